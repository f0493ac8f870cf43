package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	tank "github.com/fanqie/tank-websocket-go-server"
	natsbroker "github.com/fanqie/tank-websocket-go-server/broker/nats"
)

// mode is what the nodes expect of the broker: that it keeps what is said in the room, for both of them.
const mode = natsbroker.JetStream

// room is the topic of the chat.
const room = "room"

// history is what the room keeps.
var history = tank.History{Messages: 200, Age: time.Hour}

const (
	maxName = 40   // characters
	maxText = 1000 // characters
	maxID   = 64   // bytes
)

// node is one instance of the group. In a service, each is a process on a machine of its own; what connects them is the broker alone.
type node struct {
	tkws  *tank.Manager
	cable *cable
}

// newNode makes a node that is not started yet.
func newNode(brokerURL string, log *slog.Logger) (*node, error) {
	n := &node{cable: new(cable)}
	b, err := natsbroker.New(natsbroker.Options{
		URL:    brokerURL,
		Group:  "cluster",
		Mode:   mode,
		NATS:   []nats.Option{nats.SetCustomDialer(n.cable)}, // a service leaves this out
		Logger: log,
	})
	if err != nil {
		return nil, err
	}
	n.tkws = tank.NewInstance(
		tank.WithBroker(b),
		tank.WithTopics(room, tank.TopicOptions{History: history}),
		tank.WithAuthenticator(nameOf),
		tank.WithSubscribeAuthorizer(onlyRoom),
		tank.WithPublishAuthorizer(stamp),
		tank.WithUpgrader(tank.Upgrader{CheckOrigin: sameHost}),
		tank.WithLogger(log),
	)
	return n, nil
}

// start runs the node until it is shut down.
func (n *node) start() {
	go n.tkws.Start()
	go n.stay()
}

// stay keeps the room alive, so that the page can show how many messages this node has. A page gets what the broker has, in any case.
func (n *node) stay() {
	for range n.tkws.Subscribe(context.Background(), room) {
	}
}

// kept returns how many messages of the room the node has.
func (n *node) kept() int {
	for _, topic := range n.tkws.GetAllTopics() {
		if topic.Name == room {
			return topic.Kept
		}
	}
	return 0
}

// nameOf takes the user's name from the query. It is a label that anybody can choose.
func nameOf(r *http.Request) (tank.Identity, error) {
	name := strings.TrimSpace(r.URL.Query().Get("user_id"))
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName {
		return tank.Identity{}, fmt.Errorf("name has %d characters, want 1 to %d", n, maxName)
	}
	return tank.Identity{UserID: name, Anonymous: true}, nil
}

func onlyRoom(_ *tank.Client, topic string) error {
	if topic != room {
		return errors.New("there is one room")
	}
	return nil
}

// said is a message of the room. Pages send the text and an id, by which they know it when it comes; who and when are the node's word.
type said struct {
	ID   string `json:"id"`
	From string `json:"from"`
	Text string `json:"text"`
	Time int64  `json:"time"` // ms since 1970
}

// stamp is the publish authorizer.
func stamp(client *tank.Client, p *tank.Publication) error {
	var s said
	if err := json.Unmarshal([]byte(p.Data), &s); err != nil {
		return err
	}
	s.Text = strings.TrimSpace(s.Text)
	if n := utf8.RuneCountInString(s.Text); p.Topic != room || s.ID == "" || len(s.ID) > maxID || n == 0 || n > maxText {
		return fmt.Errorf("want a text of 1 to %d characters, and an id", maxText)
	}
	s.From, s.Time = client.UserID(), time.Now().UnixMilli()
	data, err := json.Marshal(s)
	p.Data, p.JSON = string(data), true
	return err
}

// sameHost lets pages of another port of the same host connect: the page comes from a server of its own.
func sameHost(r *http.Request) bool {
	text := r.Header.Get("Origin")
	if text == "" { // not a browser
		return true
	}
	origin, err := url.Parse(text)
	here := url.URL{Host: r.Host}
	return err == nil && origin.Hostname() != "" && origin.Hostname() == here.Hostname()
}

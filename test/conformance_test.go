package test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
)

// conformance is testdata/protocol-v2.json, which explains itself.
type conformance struct {
	Server struct {
		Topics map[string]struct {
			Messages int
			Age      time.Duration `json:"seconds"`
		}
		Subscriptions int
		Heartbeat     time.Duration
		NoSubscribe   string `json:"forbidden to subscribe"`
		NoPublish     string `json:"forbidden to publish"`
	}
	Dialogues []struct {
		Name   string
		For    string
		Server added
		Steps  [][]any
	}
}

// added is what a dialogue adds to the server.
type added struct {
	Tokens   bool
	Presence int
	Outbox   int
	Policy   string
}

func TestConformance(t *testing.T) {
	text, err := os.ReadFile("../testdata/protocol-v2.json")
	must(t, err)
	var file conformance
	must(t, json.Unmarshal(text, &file))
	for _, d := range file.Dialogues {
		if d.For == "clients" {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				x := &dialogue{t: t, s: serve(t, append(file.options(), d.Server.options()...)...), added: d.Server, speakers: map[string]*speaker{}, values: map[string]any{}}
				for i, step := range d.Steps {
					x.at = fmt.Sprintf("step %d: %.200v", i+1, step)
					x.do(step)
					synctest.Wait()
				}
			})
		})
	}
}

// options are those of the server that the file describes.
func (f *conformance) options() []tank.Option {
	forbid := func(pattern, topic string) error {
		if strings.HasPrefix(topic, strings.TrimSuffix(pattern, "*")) {
			return errors.New("not for you")
		}
		return nil
	}
	opts := []tank.Option{
		tank.WithLimits(tank.Limits{Subscriptions: f.Server.Subscriptions}),
		tank.WithHeartbeat(f.Server.Heartbeat*time.Second, 10*time.Second),
		tank.WithSubscribeAuthorizer(func(c *tank.Client, topic string) error {
			if member, _ := tank.ValueOf[bool](c); strings.HasPrefix(topic, "members:") && !member {
				return errors.New("not for you")
			}
			return forbid(f.Server.NoSubscribe, topic)
		}),
		tank.WithPublishAuthorizer(func(_ *tank.Client, p *tank.Publication) error { return forbid(f.Server.NoPublish, p.Topic) }),
		tank.WithRequestHandler(func(_ *tank.Client, r tank.Request) (any, error) {
			var asked struct {
				Echo   json.RawMessage
				Refuse string
			}
			if r.Decode(&asked) != nil {
				return nil, errors.New("not understood")
			}
			if asked.Refuse != "" {
				return nil, &tank.RequestError{Code: asked.Refuse, Message: "refused"}
			}
			return asked.Echo, nil
		}),
		tank.WithMessageHandler(func(c *tank.Client, m tank.Message) {
			var told struct{ Back json.RawMessage }
			if json.Unmarshal(m.Data, &told) == nil && told.Back != nil {
				c.Send(tank.Message{Data: told.Back, JSON: true})
			}
		}),
	}
	for pattern, o := range f.Server.Topics {
		opts = append(opts, tank.WithTopics(pattern, tank.TopicOptions{History: tank.History{Messages: o.Messages, Age: o.Age * time.Second}}))
	}
	return opts
}

// options are those of what a dialogue adds.
func (a added) options() (opts []tank.Option) {
	if a.Tokens {
		opts = append(opts,
			tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
				_, token, _ := strings.Cut(r.Header.Get("Sec-WebSocket-Protocol"), "bearer.")
				return identityOfMember(token)
			}),
			tank.WithTokenHandler(func(_ *tank.Client, token string) (tank.Identity, error) { return identityOfMember(token) }))
	}
	if a.Presence > 0 {
		info := func(c *tank.Client) any { return map[string]string{"is": c.UserID()} }
		opts = append(opts, tank.WithTopics("here:*", tank.TopicOptions{Presence: tank.Presence{Enabled: true, Grace: 10 * time.Second, Max: a.Presence, Info: info}}))
	}
	if a.Outbox > 0 {
		policies := map[string]tank.OutboxPolicy{"oldest": tank.OutboxDropOldest, "latest": tank.OutboxKeepLatest}
		opts = append(opts, tank.WithLimits(tank.Limits{OutboxBytes: a.Outbox}), tank.WithOutboxPolicy(policies[a.Policy]))
	}
	return opts
}

// identityOfMember returns whom a token names that is USER/SECONDS or USER/SECONDS/member.
func identityOfMember(token string) (tank.Identity, error) {
	token, member := strings.CutSuffix(token, "/member")
	user, seconds, _ := strings.Cut(token, "/")
	lasts, err := strconv.Atoi(seconds)
	return tank.Identity{UserID: user, Value: member, Expires: time.Now().Add(time.Duration(lasts) * time.Second)}, err
}

// dialogue is one that runs.
type dialogue struct {
	t        *testing.T
	s        *server
	added    added
	at       string
	speakers map[string]*speaker
	values   map[string]any // of $NAME
}

// speaker is a client of the dialogue.
type speaker struct {
	*peer
	client *tank.Client
	texts  chan string // text frames, those that are {} aside
	others chan string // binary frames, and the payload of a close frame
	beats  int
}

// listen takes all frames, and answers pings and close frames.
func (k *speaker) listen() {
	defer close(k.others)
	for {
		op, payload, err := k.receive()
		switch {
		case err != nil:
			return
		case op == opPing:
			k.write(frame(opPong, payload))
		case op == opText && payload == "{}":
			k.beats++
		case op == opText:
			k.texts <- payload
		default:
			k.others <- payload
			if op == opClose {
				k.write(frame(opClose, payload))
			}
		}
	}
}

func (x *dialogue) fatal(format string, args ...any) {
	x.t.Helper()
	x.t.Fatalf("%s: %s", x.at, fmt.Sprintf(format, args...))
}

func (x *dialogue) check(err error) {
	x.t.Helper()
	if err != nil {
		x.fatal("%v", err)
	}
}

func (x *dialogue) do(step []any) {
	verb, args := step[0].(string), step[1:]
	text := func(i int) string { return args[i].(string) }
	ctx := context.Background()
	switch verb {
	case "wait":
		time.Sleep(time.Duration(args[0].(float64)) * time.Second)
	case "shutdown":
		go x.s.Shutdown(ctx)
	case "publish":
		if s, isText := args[1].(string); isText {
			x.check(x.s.Publish(ctx, text(0), s))
		} else {
			x.check(x.s.PublishJSON(ctx, text(0), args[1]))
		}
	case "position":
		at, err := x.s.Position(text(0))
		x.check(err)
		x.values[text(1)] = []any{at.Epoch, float64(at.Seq)}
	case "reset":
		x.check(x.s.Reset(text(0)))
	case "connect":
		offers := "tank.v2"
		if len(args) > 1 {
			offers += ", bearer." + text(1)
		}
		x.connect(text(0), offers)
	default:
		x.doWith(verb, x.speakers[text(0)], args[1:])
	}
}

func (x *dialogue) connect(name, offers string) {
	h := handshake{path: "/", header: map[string][]string{"Sec-Websocket-Protocol": {offers}}}
	if x.added.Outbox > 0 {
		h.buffer = 1
	}
	p := x.s.connect(h)
	all := x.s.GetAllClients()
	k := &speaker{peer: p, client: all[len(all)-1], texts: make(chan string, 100), others: make(chan string, 100)}
	x.speakers[name] = k
	go k.listen()
}

// doWith does a step with a client.
func (x *dialogue) doWith(verb string, k *speaker, args []any) {
	text := func(i int) string { return args[i].(string) }
	switch verb {
	case "send":
		k.send(string(encode(x.substitute(args[0]))))
	case "text":
		k.send(text(0))
	case "cut":
		k.conn.Close()
	case "freeze":
		k.conn.Conn.(*memnet.Conn).SetReadBudget(0)
	case "thaw":
		k.conn.Conn.(*memnet.Conn).SetReadBudget(-1)
	case "expect":
		x.expect(k, args[0])
	case "silent":
		if len(k.texts)+len(k.others) > 0 {
			x.fatal("got %q", <-k.texts)
		}
	case "beat":
		if k.beats == 0 {
			x.fatal("got none")
		}
	case "binary":
		if got := <-k.others; got != text(0) {
			x.fatal("got %q", got)
		}
	case "closed":
		payload, ok := <-k.others
		if want := int(args[0].(float64)); !ok || len(payload) < 2 || int(payload[0])<<8|int(payload[1]) != want || len(k.texts) > 0 {
			x.fatal("got %q, and %d frames before it", payload, len(k.texts))
		}
	case "alone":
		x.check(k.client.SendTopic(text(0), text(1)))
	case "subscribe":
		x.check(k.client.Subscribe(text(0)))
	case "unsubscribe":
		x.check(k.client.Unsubscribe(text(0)))
	case "tell":
		x.check(k.client.Send(tank.Message{Data: []byte(text(0))}))
	case "tell-json":
		x.check(k.client.Send(tank.Message{Data: encode(args[0]), JSON: true}))
	case "tell-bytes":
		x.check(k.client.Send(tank.Message{Data: []byte(text(0)), Binary: true}))
	default:
		x.fatal("no such verb")
	}
}

func (x *dialogue) expect(k *speaker, want any) {
	x.t.Helper()
	select {
	case got := <-k.texts:
		var value any
		x.check(json.Unmarshal([]byte(got), &value))
		if !x.match(want, value) {
			x.fatal("got %s, want %s", got, encode(x.substitute(want)))
		}
	default:
		x.fatal("got nothing")
	}
}

// match compares a value with what is wanted, and gives values to names.
func (x *dialogue) match(want, got any) bool {
	if name, ok := want.(string); ok && strings.HasPrefix(name, "$") {
		known, bound := x.values[name]
		if !bound && name != "$_" {
			x.values[name] = got
		}
		return !bound || reflect.DeepEqual(known, got)
	}
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		for name := range want {
			if value, there := got[name]; !there || !x.match(want[name], value) {
				return false
			}
		}
		return ok && len(got) == len(want)
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			return false
		}
		for i := range want {
			if !x.match(want[i], got[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(want, got)
}

// substitute puts the values of names in their places.
func (x *dialogue) substitute(value any) any {
	switch value := value.(type) {
	case string:
		if known, bound := x.values[value]; bound {
			return known
		}
	case map[string]any:
		filled := map[string]any{}
		for name := range value {
			filled[name] = x.substitute(value[name])
		}
		return filled
	case []any:
		filled := []any{}
		for i := range value {
			filled = append(filled, x.substitute(value[i]))
		}
		return filled
	}
	return value
}

// encode encodes a value as the file has it.
func encode(value any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}

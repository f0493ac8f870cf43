// Package chat is the chat of examples/chat: everybody talks in topics, sees who does what, and which topics are busy.
package chat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/web"
)

// Topics that only the server publishes on. Everything with the prefix is reserved, so that feeds can be added.
const (
	reservedPrefix = "chat:"
	eventsTopic    = reservedPrefix + "events" // who did what, see feeds.go
	topicsTopic    = reservedPrefix + "topics" // the table of topics, once per tick
)

// At a shutdown, so many pages at a time are told to reconnect, spread over the window: a new process, or the one beside
// this one behind a load balancer, does not get them all in the same instant.
const (
	drainWindow = 4 * time.Second
	drainBatch  = 200
)

// What a topic keeps, for who joins it and for who comes back. Names of topics are anybody's choice, so all of it is bounded.
const (
	kept      = 200
	keptBytes = 256 << 10 // no more than a replay may have, or a page that comes back could get none of it
	keptAge   = 24 * time.Hour
	keptTotal = 64 << 20 // bytes, of all topics
)

const (
	maxName   = 40   // characters of a user's name
	maxText   = 1000 // characters of what somebody says
	maxTopics = 50   // subscriptions of one connection, the feeds included
)

// Chat is the application: a handler with the page and the WebSocket route, and the feeds that it publishes.
type Chat struct {
	http.Handler
	Manager *tank.Manager
	log     *slog.Logger
	tick    time.Duration // between two tables of topics

	stopFeeds context.CancelFunc
	work      sync.WaitGroup
}

// New makes a chat that is not started yet. tick is the time between two tables of topics.
func New(log *slog.Logger, tick time.Duration) *Chat {
	c := &Chat{log: log, tick: tick}
	c.Manager = tank.NewInstance(
		tank.WithAuthenticator(nameOf),
		tank.WithSubscribeAuthorizer(maySubscribe),
		tank.WithPublishAuthorizer(c.stamp),
		tank.WithTopics("*", tank.TopicOptions{
			History:  tank.History{Messages: kept, Bytes: keptBytes, Age: keptAge},
			Presence: tank.Presence{Enabled: true}, // of users, and so by name
		}),
		tank.WithTopics(reservedPrefix+"*", tank.TopicOptions{}), // of a feed, only what comes next counts
		tank.WithLimits(tank.Limits{
			MessageBytes:       16 << 10, // the longest text, escaped, and a topic
			Subscriptions:      maxTopics,
			TotalHistoryBytes:  keptTotal,
			ConnectionsPerUser: math.MaxInt, // a name is nobody's own, so nobody can be locked out by its use
		}),
		tank.WithDrain(drainWindow, drainBatch),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /ws", c.Manager)
	web.Handle(mux)
	mux.Handle("GET /", page())
	c.Handler = mux
	return c
}

// Start runs the instance and the feeds until Shutdown.
func (c *Chat) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.stopFeeds = cancel
	c.work.Go(c.Manager.Start)
	c.work.Go(c.logErrors)
	c.work.Go(c.publishEvents)
	c.work.Go(func() { c.publishTopics(ctx) })
}

// Shutdown says goodbye to all clients, waits until queued messages are written, and ends all that Start has started.
func (c *Chat) Shutdown(ctx context.Context) error {
	c.stopFeeds()
	err := c.Manager.Shutdown(ctx)
	c.work.Wait()
	return err
}

// nameOf takes the user's name from the query. It is a label that anybody can choose, not an identity: a service with
// accounts looks at its session cookie here. What the server does guarantee is that a message carries the name of the
// connection that it came from.
func nameOf(r *http.Request) (tank.Identity, error) {
	name := strings.TrimSpace(r.URL.Query().Get("user_id"))
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName {
		return tank.Identity{}, fmt.Errorf("name has %d characters, want 1 to %d", n, maxName)
	}
	return tank.Identity{UserID: name, Anonymous: true}, nil
}

// maySubscribe lets everybody listen to everything, but not make up reserved topics.
func maySubscribe(_ *tank.Client, topic string) error {
	if strings.HasPrefix(topic, reservedPrefix) && topic != eventsTopic && topic != topicsTopic {
		return errors.New("reserved topic")
	}
	return nil
}

// logErrors writes what the instance had to deal with to the log, until Shutdown closes the channel.
func (c *Chat) logErrors() {
	for e := range c.Manager.Errors {
		level := slog.LevelWarn
		switch e.Code {
		case tank.CodeRead, tank.CodeForbidden: // somebody closed a laptop, or sent too long a text: nothing that anyone has to look at
			level = slog.LevelDebug
		case tank.CodeInternal:
			level = slog.LevelError
		}
		c.log.Log(context.Background(), level, e.Message,
			"code", e.Code, "error", e.Err, "client", e.ClientID, "user", e.UserID, "topic", e.Topic)
	}
}

package main

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
)

// Topics that only the server publishes on. Everything with the prefix is reserved, so that feeds can be added.
const (
	reservedPrefix = "chat:"
	eventsTopic    = reservedPrefix + "events" // who did what, see feeds.go
	topicsTopic    = reservedPrefix + "topics" // the table of topics, once per tick
)

const (
	maxName   = 40   // characters of a user's name
	maxText   = 1000 // characters of what somebody says
	maxTopics = 50   // subscriptions of one connection, the feeds included
)

// chat is the application: a handler with the page and the WebSocket route, and the feeds that it publishes.
type chat struct {
	http.Handler
	tkws *tank.Manager
	log  *slog.Logger
	tick time.Duration // between two tables of topics

	stopFeeds context.CancelFunc
	work      sync.WaitGroup
}

func newChat(log *slog.Logger, tick time.Duration) *chat {
	c := &chat{log: log, tick: tick}
	c.tkws = tank.NewInstance(
		tank.WithAuthenticator(nameOf),
		tank.WithSubscribeAuthorizer(maySubscribe),
		tank.WithMessageHandler(c.receive),
		tank.WithLimits(tank.Limits{
			MessageBytes:       16 << 10, // the longest text, escaped, and a topic
			Subscriptions:      maxTopics,
			ConnectionsPerUser: math.MaxInt, // a name is nobody's own, so nobody can be locked out by its use
		}),
		tank.WithDrain(drainWindow, drainBatch),
	)
	mux := http.NewServeMux()
	mux.Handle("GET /ws", c.tkws)
	mux.Handle("GET /", page())
	c.Handler = mux
	return c
}

// start runs the instance and the feeds until shutdown.
func (c *chat) start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.stopFeeds = cancel
	c.work.Go(c.tkws.Start)
	c.work.Go(c.logErrors)
	c.work.Go(c.publishEvents)
	c.work.Go(func() { c.publishTopics(ctx) })
}

// shutdown says goodbye to all clients, waits for what is on its way, and ends all that start has started.
func (c *chat) shutdown(ctx context.Context) error {
	c.stopFeeds()
	err := c.tkws.Shutdown(ctx)
	c.work.Wait()
	return err
}

// nameOf takes the user's name from the query. It is a label that anybody can choose, not an identity: a service with
// accounts looks at its session cookie here. What the server does guarantee is that a message carries the name of the
// connection that it came from.
func nameOf(r *http.Request) (string, error) {
	name := strings.TrimSpace(r.URL.Query().Get("user_id"))
	if n := utf8.RuneCountInString(name); n == 0 || n > maxName {
		return "", fmt.Errorf("name has %d characters, want 1 to %d", n, maxName)
	}
	return name, nil
}

// maySubscribe lets everybody listen to everything, but not make up reserved topics.
func maySubscribe(_ *tank.Client, topic string) error {
	if strings.HasPrefix(topic, reservedPrefix) && topic != eventsTopic && topic != topicsTopic {
		return errors.New("reserved topic")
	}
	return nil
}

// logErrors writes what the instance had to deal with to the log, until Shutdown closes the channel.
func (c *chat) logErrors() {
	for e := range c.tkws.Errors {
		level := slog.LevelWarn
		switch e.Code {
		case tank.CodeRead: // somebody closed a laptop: nothing that anyone has to look at
			level = slog.LevelDebug
		case tank.CodeInternal:
			level = slog.LevelError
		}
		c.log.Log(context.Background(), level, e.Message,
			"code", e.Code, "error", e.Err, "client", e.ClientID, "user", e.UserID, "topic", e.Topic)
	}
}

package server

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// Names that the callbacks do something special about.
const (
	Panic     = "panic"     // as a user, a topic or a message: the callback panics
	Forbidden = "forbidden" // as a user or a topic: the callback refuses
)

// callbacks are those of the instance.
type callbacks struct{ panics atomic.Uint64 }

func (c *callbacks) panicIf(name string) {
	if name == Panic {
		c.panics.Add(1)
		panic("told to")
	}
}

func (c *callbacks) options() []tank.Option {
	return []tank.Option{
		tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
			user := r.URL.Query().Get("user")
			c.panicIf(user)
			return tank.Identity{UserID: user}, allow(user)
		}),
		tank.WithSubscribeAuthorizer(func(_ *tank.Client, topic string) error {
			c.panicIf(topic)
			return allow(topic)
		}),
		tank.WithPublishAuthorizer(func(_ *tank.Client, p *tank.Publication) error {
			c.panicIf(p.Topic)
			return allow(p.Topic)
		}),
		tank.WithMessageHandler(func(client *tank.Client, m tank.Message) { // an echo
			c.panicIf(string(m.Data))
			client.Send(m) // it may be closing, and then misses nothing
		}),
	}
}

func allow(name string) error {
	if strings.HasPrefix(name, Forbidden) {
		return errors.New("told to")
	}
	return nil
}

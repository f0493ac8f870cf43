package tank

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/hub"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Presence says whether a topic knows who is in it. A topic that does tells clients of tank.v2 that ask for it. The unit is the user id: a
// user is there while one of its connections, of any protocol, is subscribed. A user whose last connection unsubscribes, closes with
// 1000, or is closed by the server with a code after which clients do not come back, leaves at once. A user whose last connection is lost
// has time to come back, see Grace.
type Presence struct {
	Enabled bool
	// Grace is how long a user whose last connection was lost stays, with up to two seconds more. A topic in which nobody is left knows for
	// 2 minutes at most who may come back. Zero: 10 s.
	Grace time.Duration
	// Max is the number of users above which no names are told, only the number, until there are less than three quarters of Max. Zero: 250.
	Max int
	// Info returns what the others are told of a client's user. It is encoded as encoding/json does, into at most 1,024 bytes. Info is called
	// when the client subscribes, in the goroutine of its connection, or in that of the caller of Client.Subscribe. It may block: then the
	// server reads nothing more from this client, which is not subscribed yet and gets everything else, and other clients do not wait. When
	// the client has gone meanwhile, nobody is told of it. Shutdown waits a second for it, as for other callbacks. Info must not subscribe the
	// client to a topic for which it is called again. Of several connections of a user, the one that subscribed last counts. What is too
	// large, or cannot be encoded, is reported with CodeSerialization, and {} is told, as for nil. When Info panics, the client is closed
	// with 1011. Nil: {}.
	Info func(*Client) any
}

const (
	defaultGrace      = 10 * time.Second
	defaultMaxPresent = 250
)

func (p *Presence) setDefaults() {
	p.Grace = cmp.Or(p.Grace, defaultGrace)
	p.Max = cmp.Or(p.Max, defaultMaxPresent)
}

func (t *topicTable) presence(name string) hub.Presence {
	p := t.of(name).Presence
	return hub.Presence{Enabled: p.Enabled, Grace: p.Grace, Max: p.Max}
}

// presenceInfo returns what others in a topic are told of the client's user, as JSON. ok is false when the client is closed, because
// the callback panicked. Any edge may call it.
func (c *Client) presenceInfo(topic string) (info string, ok bool) {
	p := c.m.config.topics.of(topic).Presence
	if !p.Enabled || p.Info == nil {
		return "", true
	}
	err := c.guard("Presence.Info panicked", topic, func() (err error) {
		value := p.Info(c)
		if value == nil {
			return nil
		}
		if info, err = encodeResult("what Presence.Info has returned", value); err == nil && len(info) > wire.MaxInfo {
			err = fmt.Errorf("%w: Presence.Info: %d bytes of JSON are more than %d", ErrInvalidData, len(info), wire.MaxInfo)
		}
		return err
	})
	switch {
	case isPanic(err):
		return "", false
	case err != nil:
		c.report(CodeSerialization, "what others are told of the user cannot be sent", topic, err)
		return "", true
	}
	return info, true
}

// Present is who is in a topic.
type Present struct {
	Users int // how many users are there
	// Info is what others are told of each user, by user id, as valid JSON. It is nil when no names are told, see Presence.Max, and when the
	// topic does not exist or does not know who is in it.
	Info map[string]json.RawMessage
}

// Presence returns who is in a topic. Subscriptions that were made or ended before the call are counted. Users is 0 when nobody is there,
// and when the topic does not know; see TopicOptions.
//
// It waits for the publish timeout (default 5 s, see Limits) at most. It returns ErrInvalidTopic, ErrBusy or, once Shutdown ends the
// topics, ErrClosed. It may be called before Start.
func (m *Manager) Presence(topic string) (Present, error) {
	if err := checkTopic(topic); err != nil {
		return Present{}, err
	}
	here, err := m.hub.Present(m.config.limits.PublishTimeout, topic)
	p := Present{Users: int(here.Users)} // #nosec G115 -- a count
	if here.Names {
		p.Info = make(map[string]json.RawMessage, len(here.In))
		for _, u := range here.In {
			p.Info[u.User] = json.RawMessage(cmp.Or(u.Info, "{}"))
		}
	}
	return p, err
}

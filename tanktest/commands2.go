package tanktest

import (
	"encoding/json"
	"errors"
	"fmt"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// What a client of tank.v2 sends.

// Subscription is what the server answers to a subscription.
type Subscription struct {
	Position  tank.Position // where the topic stands
	From      uint64        // the number behind which messages come; that of Position, unless there is a replay
	Recovered bool          // all that was published behind Since comes; always false without Since
	Why       string        // it was not recovered: "epoch", "ahead", "off", "evicted" or "unknown", see docs/protocol-v2.md
	Here      *Here         // with Watch: who is in the topic
}

// Here is who is in a topic, or who has come and gone.
type Here struct {
	Users int                        `json:"n"`   // how many users there are
	In    map[string]json.RawMessage `json:"in"`  // by user id: what the server tells of those who are there, or have come
	Out   []string                   `json:"out"` // the ids of those who have gone; nil, as In is, when there are too many to tell names
}

// SubscribeOption varies a subscription.
type SubscribeOption func(*subscribing)

type subscribing struct {
	since *tank.Position
	last  *int
	watch bool
}

// Since asks for what was published behind a position. The zero Position asks for nothing.
func Since(at tank.Position) SubscribeOption {
	return func(s *subscribing) { s.since = &at }
}

// Last asks for up to so many messages that were published before.
func Last(messages int) SubscribeOption {
	return func(s *subscribing) { s.last = &messages }
}

// Watch asks to be told who is in the topic, now and when that changes; see tank.Presence.
func Watch() SubscribeOption {
	return func(s *subscribing) { s.watch = true }
}

// Subscribe subscribes to a topic, or asks for a replay on a subscription that there is, and returns what the server answers. What
// it replays comes as messages of the topic do. It fails the test when the server refuses, or has not answered within
// Server.Patience.
func (c *ClientV2) Subscribe(topic string, opts ...SubscribeOption) Subscription {
	c.t.Helper()
	return c.subscribe(fmt.Sprintf("Subscribe(%s)", quote(topic)), topic, opts)
}

func (c *ClientV2) subscribe(what, topic string, opts []SubscribeOption) Subscription {
	c.t.Helper()
	s, a := c.askToSubscribe(what, topic, opts)
	c.mustAccept(what, a)
	return s
}

// SubscribeRefused is Subscribe for a subscription that the server has to refuse with this code, such as "forbidden".
func (c *ClientV2) SubscribeRefused(code, topic string, opts ...SubscribeOption) Refusal {
	c.t.Helper()
	what := fmt.Sprintf("SubscribeRefused(%s, %s)", quote(code), quote(topic))
	_, a := c.askToSubscribe(what, topic, opts)
	return c.mustRefuse(what, code, a)
}

func (c *ClientV2) askToSubscribe(what, topic string, opts []SubscribeOption) (s Subscription, a answer) {
	c.t.Helper()
	var asked subscribing
	apply(c, what, opts, &asked)
	members := map[string]any{"sub": topic}
	if asked.since != nil && *asked.since != (tank.Position{}) {
		members["since"] = []any{asked.since.Epoch, asked.since.Seq}
	} else {
		asked.since = nil
	}
	if asked.last != nil {
		members["last"] = *asked.last
	}
	if asked.watch {
		members["presence"] = true
	}
	a = c.call(what, members, topic, func(n *notes, ok json.RawMessage) (err error) {
		s, err = n.subscribed(topic, asked, ok)
		return err
	})
	return s, a
}

// subscribed understands the answer to a subscription. It runs in the reader.
func (n *notes) subscribed(topic string, asked subscribing, ok json.RawMessage) (s Subscription, err error) {
	var more struct {
		From      *uint64 `json:"from"`
		Recovered *bool   `json:"recovered"`
		Why       string  `json:"why"`
		Here      *Here   `json:"here"`
	}
	at, valid := positionOf(ok)
	if !valid || json.Unmarshal(ok, &more) != nil {
		return s, errors.New("to a subscription is malformed")
	}
	s = Subscription{Position: at, From: at.Seq, Why: more.Why, Here: more.Here}
	if more.From != nil {
		s.From = *more.From
	}
	if more.Recovered != nil {
		s.Recovered = *more.Recovered
	}
	replays := asked.since != nil || asked.last != nil
	switch {
	case (more.From != nil) != replays, (more.Recovered != nil) != (asked.since != nil), (more.Here != nil) != asked.watch:
		return s, errors.New("to a subscription is not one to what it has asked for")
	case s.From > at.Seq,
		asked.since != nil && s.Recovered != (s.Why == ""),
		s.Recovered && *asked.since != tank.Position{Epoch: at.Epoch, Seq: s.From}:
		return s, errors.New("to a subscription contradicts itself")
	}
	if place := n.topics[topic]; replays || place == nil || place.epoch != at.Epoch {
		n.topics[topic] = newStanding(tank.Position{Epoch: at.Epoch, Seq: s.From})
		n.topics[topic].stood = at.Seq
		if asked.last != nil && !s.Recovered {
			n.topics[topic].told = at.Seq
		}
	}
	n.topics[topic].watch = asked.watch
	return s, nil
}

// Unsubscribe ends subscriptions, and returns when the server has answered: nothing of the topics comes behind that. It fails the test
// when the server refuses, or has not answered within Server.Patience.
func (c *ClientV2) Unsubscribe(topics ...string) {
	c.t.Helper()
	for _, topic := range topics {
		what := fmt.Sprintf("Unsubscribe(%s)", quote(topic))
		c.mustAccept(what, c.call(what, map[string]any{"unsub": topic}, topic, func(n *notes, _ json.RawMessage) error {
			delete(n.topics, topic)
			return nil
		}))
	}
}

// Published is what the server answers to a publication.
type Published struct {
	Seq       uint64 // its number; 0: nobody is there, and nothing is kept
	Duplicate bool   // it was published before with the same key
}

// PublishOption varies a publication.
type PublishOption func(*publishing)

type publishing struct{ key string }

// Key gives a publication a key, with which the server takes it once.
func Key(key string) PublishOption {
	return func(p *publishing) { p.key = key }
}

// Publish publishes a value, which is encoded as encoding/json does, to a topic, and returns what the server answers. It fails the
// test when the server refuses, or has not answered within Server.Patience.
func (c *ClientV2) Publish(topic string, value any, opts ...PublishOption) (p Published) {
	c.t.Helper()
	what := fmt.Sprintf("Publish(%s, %s)", quote(topic), show(value))
	ok := c.mustAccept(what, c.publish(what, topic, value, opts))
	if json.Unmarshal(ok, &p) != nil {
		c.fail("%s: the server's answer is malformed: %s", what, bare(string(ok)))
	}
	return p
}

// PublishRefused is Publish for a publication that the server has to refuse with this code, such as "forbidden".
func (c *ClientV2) PublishRefused(code, topic string, value any, opts ...PublishOption) Refusal {
	c.t.Helper()
	what := fmt.Sprintf("PublishRefused(%s, %s, %s)", quote(code), quote(topic), show(value))
	return c.mustRefuse(what, code, c.publish(what, topic, value, opts))
}

func (c *ClientV2) publish(what, topic string, value any, opts []PublishOption) answer {
	c.t.Helper()
	var p publishing
	apply(c, what, opts, &p)
	members := map[string]any{"pub": topic, "data": value}
	if p.key != "" {
		members["key"] = p.key
	}
	return c.call(what, members, topic, nil)
}

// Request asks the application a question, which is encoded as encoding/json does, and returns the answer, which is JSON. It fails the
// test when the server refuses, or has not answered within Server.Patience.
func (c *ClientV2) Request(value any) json.RawMessage {
	c.t.Helper()
	what := fmt.Sprintf("Request(%s)", show(value))
	return c.mustAccept(what, c.call(what, map[string]any{"msg": value}, "", nil))
}

// RequestRefused is Request for a question that the server has to answer with an error of this code.
func (c *ClientV2) RequestRefused(code string, value any) Refusal {
	c.t.Helper()
	what := fmt.Sprintf("RequestRefused(%s, %s)", quote(code), show(value))
	return c.mustRefuse(what, code, c.call(what, map[string]any{"msg": value}, "", nil))
}

// Auth gives the server new credentials, and returns when it has taken them. It fails the test when the server refuses, or has not
// answered within Server.Patience.
func (c *ClientV2) Auth(token string) {
	c.t.Helper()
	what := fmt.Sprintf("Auth(%s)", quote(token))
	c.mustAccept(what, c.call(what, map[string]any{"auth": token}, "", nil))
}

// AuthRefused is Auth for credentials that the server has to refuse with this code, such as "forbidden".
func (c *ClientV2) AuthRefused(code, token string) Refusal {
	c.t.Helper()
	what := fmt.Sprintf("AuthRefused(%s, %s)", quote(code), quote(token))
	return c.mustRefuse(what, code, c.call(what, map[string]any{"auth": token}, "", nil))
}

// apply has options vary what a command asks for.
func apply[O ~func(*T), T any](c *ClientV2, what string, opts []O, to *T) {
	c.t.Helper()
	for i, opt := range opts {
		if opt == nil {
			c.fail("%s: option %d is nil", what, i+1)
		}
		opt(to)
	}
}

// Send sends the application a value, which is encoded as encoding/json does. It does not wait for the server to handle it; see Sync.
// When the server refuses, it says so in an error frame; see ExpectRefusal. It fails the test when the connection has ended.
func (c *ClientV2) Send(value any) {
	c.t.Helper()
	what := fmt.Sprintf("Send(%s)", show(value))
	c.sendFrame(what, map[string]any{"msg": value})
}

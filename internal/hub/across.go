package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/internal/link"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// An instance behind a broker: what is published goes there, and comes back to the topics. Without a broker there is no link, and nothing
// in this file is called.

// BrokerUp is reported to the Observer when there is a connection to the broker.
type BrokerUp struct{ At time.Time }

// ErrBroker is that of package tank.
var ErrBroker = errors.New("tank: broker unavailable")

// The functions from here on run in the goroutines of edges.

// Broker returns what is counted of the broker, and whether there is a connection; nil when there is no broker.
func (h *Hub) Broker() (counters *link.Counters, connected bool) {
	if h.link == nil {
		return nil, false
	}
	return h.link.Counters(), !h.link.IsDown()
}

// BrokerReady returns ErrBroker when there is a broker and no connection to it.
func (h *Hub) BrokerReady() error {
	if h.link != nil && h.link.IsDown() {
		return ErrBroker
	}
	return nil
}

// Tell says something to all instances, this one included, as long as the publish timeout allows. There must be a broker.
func (h *Hub) Tell(data string) error {
	ctx, cancel := context.WithTimeout(context.Background(), h.config.PublishTimeout)
	defer cancel()
	if _, err := h.awaitConnection(ctx); err != nil {
		return err
	}
	return translateBroker(h.link.Tell(ctx, data))
}

// publishAcross gives a publication to the broker, once it is known whether there is a connection and the subscription of its topic here is
// in force, if there is such a topic, or with begin one that keeps publications: so who has subscribed here gets it. It returns ErrBroker at
// once while there is no connection, ErrBusy, ErrLimit, or ErrClosed.
func (h *Hub) publishAcross(patience patience, p *wire.Publication, owner string, begin bool) (broker.Receipt, error) {
	if h.life.state() > draining {
		return broker.Receipt{}, ErrClosed
	}
	ctx := patience.ctx
	if ctx == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.Background(), patience.timeout)
		defer cancel()
	}
	if err := h.awaitLive(ctx, p.Topic, begin); err != nil {
		h.link.Counters().Refused.Add(1)
		return broker.Receipt{}, err
	}
	key := p.Key
	if key != "" {
		key = wire.OwnersKey(owner, key)
	}
	r, err := h.link.Publish(ctx, p.Topic, broker.Publication{Data: p.Data, Key: key, From: p.From, JSON: p.JSON, Keep: h.Shares(p.Topic)})
	return r, translateBroker(err)
}

// resetAcross has all instances forget what a topic keeps, in a place among what is published. It returns when this one has.
func (h *Hub) resetAcross(ctx context.Context, name string) error {
	if h.life.state() > draining {
		return ErrClosed
	}
	if _, err := h.awaitConnection(ctx); err != nil {
		return err
	}
	r, err := h.link.Publish(ctx, name, broker.Publication{Keep: true, Reset: true})
	if err != nil {
		return translateBroker(err)
	}
	if t := h.findShared(name); t != nil {
		if err := t.AwaitDelivered(ctx, wire.Position{Epoch: r.Epoch, Seq: r.Offset}); !errors.Is(err, actor.ErrStopped) {
			return translate(err)
		}
	}
	return nil
}

// findShared returns a topic whose messages the broker keeps, or nil when there is none here.
func (h *Hub) findShared(name string) *topic.Topic {
	if t := h.topics.find(name); t != nil && t.IsShared() {
		return t
	}
	return nil
}

// awaitLive waits until the subscription of a topic is in force. With begin, the topic begins for that where publications are kept.
func (h *Hub) awaitLive(ctx context.Context, name string, begin bool) error {
	connection, err := h.awaitConnection(ctx)
	if err != nil {
		return err
	}
	return h.awaitInForce(ctx, name, begin, connection)
}

// awaitInForce is awaitLive that gives up when a connection is closed; nil: it does not.
func (h *Hub) awaitInForce(ctx context.Context, name string, begin bool, connection <-chan struct{}) error {
	for before := (*topic.Topic)(nil); ; {
		t := h.topics.find(name)
		if t == nil && begin && h.keeps(name) {
			var err error
			if t, err = h.lookup(lookup{topic: name, create: true}); err != nil {
				return err
			}
		}
		if t == nil || t == before {
			return nil
		}
		if err := h.awaitTopic(ctx, t, connection); err != nil {
			return err
		}
		before = t // it may have ended, and another one be there
	}
}

// awaitTopic waits until the subscription of a topic is in force at the broker, if there is one. It gives up when a connection is closed;
// nil: it does not.
func (h *Hub) awaitTopic(ctx context.Context, t *topic.Topic, connection <-chan struct{}) error {
	if h.link == nil {
		return nil
	}
	select {
	case <-t.Live():
		return nil
	case <-connection:
		return translateBroker(broker.ErrDown)
	case <-ctx.Done():
		return translate(ctx.Err())
	}
}

// awaitShared waits until a topic whose messages the broker keeps knows where it stands. It returns ErrBroker while it does not, and there
// is no connection.
func (h *Hub) awaitShared(ctx context.Context, t *topic.Topic) error {
	if !t.IsShared() || t.IsLive() {
		return nil
	}
	connection, err := h.awaitConnection(ctx)
	if err != nil {
		return err
	}
	return h.awaitTopic(ctx, t, connection)
}

// awaitConnection waits until it is known whether there is a connection, and returns what is closed when that is lost. It returns ErrBroker
// when there is none, as before Start.
func (h *Hub) awaitConnection(ctx context.Context) (<-chan struct{}, error) {
	if h.life.state() != unstarted {
		if err := h.link.AwaitKnown(ctx); err != nil {
			return nil, translate(err)
		}
	}
	if c := h.link.Connection(); c != nil {
		return c, nil
	}
	return nil, translateBroker(broker.ErrDown)
}

func translateBroker(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, broker.ErrTooBig):
		return fmt.Errorf("%w: %w", ErrLimit, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return translate(err)
	}
	return fmt.Errorf("%w: %w", ErrBroker, err)
}

// linkOwner is what a link sees of the hub. Its methods run in any goroutine.
type linkOwner struct{ *supervisor }

func (o linkOwner) InForce(t *topic.Topic) { o.post(topicInForce{t}) }
func (o linkOwner) Connected(cause error)  { o.post(brokerState{cause}) }
func (o linkOwner) Failed(err error)       { o.fault(Fault{Kind: BrokerFailed, Err: err}) }
func (o linkOwner) Missing(topics int, cause error) {
	where := "of those to everybody"
	if topics > 0 {
		where = fmt.Sprintf("in %d topics, and %s", topics, where)
	}
	o.fault(Fault{Kind: BrokerGap, Err: fmt.Errorf("%s: %w", where, cause)})
}
func (o linkOwner) Heard(data string) { o.hub.config.Heard(data) }

// The functions from here on run in the supervisor's goroutine.

// handle tells clients of tank.v2 whether this instance has lost its way to the others.
func (m brokerState) handle(s *supervisor) {
	if m.cause != nil {
		s.fault(Fault{Kind: BrokerDown, Err: m.cause})
	} else {
		s.hub.config.Observer.Report(BrokerUp{time.Now()})
	}
	if down := m.cause != nil; down != s.interrupted {
		s.interrupted = down
		s.broadcast.topic.Notify(wire.AppendInterrupted(nil, down))
	}
}

// tellInterrupted tells a new session of tank.v2 that this instance has lost its way to the others, if it has.
func (s *supervisor) tellInterrupted(c *Session) {
	if e := c.Client.Encoding(); s.interrupted && e.IsV2() {
		c.Client.Enqueue(wire.NewAnswers(e, wire.AppendInterrupted(nil, true), 1))
	}
}

// handle tells of the subscriptions that have waited for it.
func (m topicInForce) handle(s *supervisor) {
	t := s.live(m.topic.Name())
	if t == nil || t.topic != m.topic {
		return // it has ended
	}
	t.joining = false
	for c := range t.unannounced {
		s.event(Event{Kind: Subscribed, Session: c, Topic: m.topic.Name()})
	}
	t.unannounced = nil
}

// announce tells of a new subscription, once it is in force.
func (s *supervisor) announce(c *Session, t *liveTopic) {
	if !t.joining {
		s.event(Event{Kind: Subscribed, Session: c, Topic: t.topic.Name()})
		return
	}
	if t.unannounced == nil {
		t.unannounced = make(map[*Session]struct{})
	}
	t.unannounced[c] = struct{}{}
}

// withdraw reports whether a subscription that ends was announced.
func (t *liveTopic) withdraw(c *Session) bool {
	_, waits := t.unannounced[c]
	delete(t.unannounced, c)
	return !waits
}

// enterLink has the subscription of a new topic made at the broker, if there is one.
func (s *supervisor) enterLink(t *liveTopic) {
	if s.hub.link != nil {
		t.joining = true
		s.hub.link.Enter(t.topic)
	}
}

// leaveLink has the subscription of a topic that has ended ended at the broker, if there is one.
func (s *supervisor) leaveLink(t *topic.Topic) {
	if s.hub.link != nil {
		s.hub.link.Leave(t)
	}
}

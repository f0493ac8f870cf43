package hub

import (
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// Who subscribes to what. All functions in this file run in the supervisor's goroutine.

func (m subscribe) handle(s *supervisor) {
	c := m.session
	if !s.active(c) || s.hub.life.state() > draining {
		refuse(m.Request, c, m.topic, wire.RefusedClosing, ErrClosed)
		return
	}
	t := s.topics[m.topic]
	if _, already := c.subscriptions[t]; already {
		m.Reply(struct{}{})
		return
	}
	if len(c.subscriptions) >= s.hub.config.Subscriptions {
		s.tooManySubscriptions(m)
		return
	}
	if t == nil {
		t = s.newTopic(m.topic)
	}
	c.subscriptions[t] = s.join(c, t, m.Request)
	c.subscribed.Store(int64(len(c.subscriptions)))
	c.refusals = 0
	if t.subscribers++; t.subscribers == 1 {
		s.hub.liveTopics.Add(1)
	}
	s.event(Event{Kind: Subscribed, Session: c, Topic: m.topic})
}

// maxRefusals is how many subscriptions past the limit a session is refused in a row. Then it is closed.
const maxRefusals = 16

// tooManySubscriptions refuses a request for one subscription too many. A client that goes on asking is closed.
func (s *supervisor) tooManySubscriptions(m subscribe) {
	c := m.session
	err := fmt.Errorf("%w: the client has %d subscriptions", ErrLimit, len(c.subscriptions))
	if !refuse(m.Request, c, m.topic, wire.RefusedLimit, err) {
		return
	}
	s.fault(Fault{Kind: TooManySubscriptions, Err: err, Session: c, Topic: m.topic})
	if c.refusals++; c.refusals == maxRefusals {
		c.Client.Close(wire.TooManySubscriptions)
	}
}

// refuse answers a request that is not granted: the caller who waits for it, or else the client. It reports whether it was the
// client.
func refuse(r actor.Request[struct{}], c *Session, topic, code string, err error) (toClient bool) {
	if r.Awaited() {
		r.Fail(err)
		return false
	}
	c.Client.Enqueue(wire.NewRefusal(code, err.Error(), topic))
	return true
}

// join makes a session a member of a topic. What is published from here on comes behind it in the topic's mailbox. The topic
// answers the request, if somebody waits for that.
func (s *supervisor) join(c *Session, t *liveTopic, r actor.Request[struct{}]) *topic.Member {
	member := &topic.Member{Subscriber: c.Client, Joined: whenAwaited(r)}
	t.topic.Join(member)
	return member
}

func (m unsubscribe) handle(s *supervisor) {
	c := m.session
	if !s.active(c) {
		refuse(m.Request, c, m.topic, wire.RefusedClosing, ErrClosed)
		return
	}
	t := s.topics[m.topic]
	if _, subscribed := c.subscriptions[t]; !subscribed {
		m.Fail(fmt.Errorf("%w: not subscribed to %s", ErrNotFound, wire.Quote(m.topic)))
		return
	}
	s.leave(c, t, whenAwaited(m.Request))
	s.event(Event{Kind: Unsubscribed, Session: c, Topic: m.topic})
}

// whenAwaited returns a function that answers a request, or nil when nobody waits for the answer. Any goroutine may call it.
func whenAwaited(r actor.Request[struct{}]) func() {
	if !r.Awaited() {
		return nil
	}
	return func() { r.Reply(struct{}{}) }
}

// leave ends a subscription, and with the last one the topic, once that has delivered everything. done is that of topic.Leave.
func (s *supervisor) leave(c *Session, t *liveTopic, done func()) {
	member := c.subscriptions[t]
	delete(c.subscriptions, t)
	c.subscribed.Store(int64(len(c.subscriptions)))
	if t.subscribers--; t.subscribers > 0 {
		t.topic.Leave(member, done)
		return
	}
	t.pendingEmpty++
	s.hub.liveTopics.Add(-1)
	empty := topicEmpty{t}
	t.topic.Leave(member, func() {
		if done != nil {
			done()
		}
		s.post(empty)
	})
}

// leaveBroadcast ends a session's part in the topic of broadcasts, if it has one.
func (s *supervisor) leaveBroadcast(c *Session, done func()) {
	if c.broadcast != nil {
		s.broadcast.topic.Leave(c.broadcast, done)
		c.broadcast = nil
	}
}

func (m countSubscribers) handle(s *supervisor) {
	if t := s.topics[m.topic]; t != nil {
		m.Reply(t.subscribers)
		return
	}
	m.Reply(0)
}

func (m listSubscriptions) handle(*supervisor) {
	list := make([]string, 0, len(m.session.subscriptions))
	for t := range m.session.subscriptions {
		list = append(list, t.topic.Name())
	}
	m.Reply(list)
}

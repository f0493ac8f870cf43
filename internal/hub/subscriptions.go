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
	c.subscriptions[t] = join(c.Client, t, m.Request)
	c.subscribed.Store(int64(len(c.subscriptions)))
	c.refusals = 0
	s.joined(t)
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

// join makes a subscriber a member of a topic. What is published from here on comes behind it in the topic's mailbox. The topic
// answers the request, if somebody waits for that.
func join(subscriber topic.Subscriber, t *liveTopic, r actor.Request[struct{}]) *topic.Member {
	member := &topic.Member{Subscriber: subscriber, Joined: whenAwaited(r)}
	t.topic.Join(member)
	return member
}

func (m unsubscribe) handle(s *supervisor) {
	c := m.session
	if !s.active(c) {
		refuse(m.Request, c, m.topic, wire.RefusedClosing, ErrClosed)
		return
	}
	t := s.subscription(c, m.topic)
	if t == nil {
		m.Fail(notSubscribed(m.topic))
		return
	}
	s.unsubscribe(c, t, whenAwaited(m.Request))
}

// unsubscribe is leave for a session that goes on without the topic.
func (s *supervisor) unsubscribe(c *Session, t *liveTopic, done func()) {
	s.leave(c, t, done)
	s.event(Event{Kind: Unsubscribed, Session: c, Topic: t.topic.Name()})
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
	s.leaveTopic(t, member, done)
}

// joined counts a new subscriber of a topic.
func (s *supervisor) joined(t *liveTopic) {
	if t.subscribers++; t.subscribers == 1 {
		s.hub.liveTopics.Add(1)
	}
}

// leaveTopic ends a membership, and with the last one the topic, see leave.
func (s *supervisor) leaveTopic(t *liveTopic, member *topic.Member, done func()) {
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

// subscription returns the topic of that name, if a session is subscribed to it, or nil.
func (s *supervisor) subscription(c *Session, name string) *liveTopic {
	t := s.topics[name]
	if _, subscribed := c.subscriptions[t]; !subscribed {
		return nil
	}
	return t
}

func (m isSubscribed) handle(s *supervisor) { m.Reply(s.subscription(m.session, m.topic) != nil) }

func (m findMember) handle(s *supervisor) {
	if !s.open(m.session) {
		m.Fail(ErrClosed)
		return
	}
	t := s.subscription(m.session, m.topic)
	if t == nil {
		m.Fail(notSubscribed(m.topic))
		return
	}
	m.Reply(membership{t.topic, m.session.subscriptions[t]})
}

func (m unsubscribeUser) handle(s *supervisor) {
	n := 0
	for _, c := range s.users[m.userID] {
		if t := s.subscription(c, m.topic); t != nil && s.active(c) {
			s.unsubscribe(c, t, nil)
			n++
		}
	}
	m.Reply(n)
}

func notSubscribed(name string) error {
	return fmt.Errorf("%w: not subscribed to %s", ErrNotFound, wire.Quote(name))
}

func (m listSubscriptions) handle(*supervisor) {
	list := make([]string, 0, len(m.session.subscriptions))
	for t := range m.session.subscriptions {
		list = append(list, t.topic.Name())
	}
	m.Reply(list)
}

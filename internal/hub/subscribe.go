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
	if !s.serves(c) {
		m.refuse(wire.RefusedClosing, ErrClosed)
		return
	}
	t := s.topics[m.topic]
	if member := c.subscriptions.of(t); member != nil {
		if m.ask != nil {
			t.topic.Ask(member, m.ask)
		}
		m.Reply(struct{}{})
		return
	}
	if c.subscriptions.len() >= s.hub.config.Subscriptions {
		s.tooManySubscriptions(m)
		return
	}
	if t == nil {
		t = s.newTopic(m.topic)
	}
	if t.joining {
		m.ask.Defer()
	}
	member := (&topic.Member{Subscriber: c.Client, User: c.UserID, Info: m.info}).Asking(m.ask)
	c.subscriptions.add(t, join(member, t, m.Request))
	c.subscribed.Store(int64(c.subscriptions.len()))
	c.refusals = 0
	s.joined(t)
	s.announce(c, t)
}

// maxRefusals is how many subscriptions past the limit a session is refused in a row. Then it is closed.
const maxRefusals = 16

// tooManySubscriptions refuses a request for one subscription too many. A client that goes on asking is closed.
func (s *supervisor) tooManySubscriptions(m subscribe) {
	c := m.session
	err := fmt.Errorf("%w: the client has %d subscriptions", ErrLimit, c.subscriptions.len())
	if !m.refuse(wire.RefusedLimit, err) {
		return
	}
	s.fault(Fault{Kind: TooManySubscriptions, Err: err, Session: c, Topic: m.topic})
	if c.refusals++; c.refusals == maxRefusals {
		c.Client.Close(wire.TooManySubscriptions)
	}
}

// refuse answers a request that is not granted: the caller who waits for it, or else the client. It reports whether it was the
// client.
func (m subscribe) refuse(code string, err error) (toClient bool) {
	defer m.ask.Done()
	r := wire.Refusal{Code: code, Message: err.Error(), Topic: m.topic}
	if m.ask != nil {
		r.ID = m.ask.ID
	}
	return refuse(m.Request, m.session, r, err)
}

func refuse(r actor.Request[struct{}], c *Session, refusal wire.Refusal, err error) (toClient bool) {
	if r.Awaited() {
		r.Fail(err)
		return false
	}
	c.Client.Enqueue(refusal.Batch(c.Client.Encoding()))
	return true
}

// join makes somebody a member of a topic. What is published from here on comes behind it in the topic's mailbox. The topic answers the
// request, if somebody waits for that.
func join(member *topic.Member, t *liveTopic, r actor.Request[struct{}]) *topic.Member {
	member.Joined = whenAwaited(r)
	t.topic.Join(member)
	return member
}

func (m unsubscribe) handle(s *supervisor) {
	c := m.session
	t := s.subscription(c, m.topic)
	switch {
	case t == nil && s.active(c) && (m.id == 0 || s.serves(c)):
		m.Fail(notSubscribed(m.topic))
		s.confirmAbsence(m)
		return
	case !s.active(c), !s.serves(c) && (m.id != 0 || c.Client.Encoding().IsV2()):
		// A topic that has stopped may have messages to deliver, which would come behind the answer, or behind the end frame.
		refuse(m.Request, c, wire.Refusal{ID: m.id, Code: wire.RefusedClosing, Message: ErrClosed.Error(), Topic: m.topic}, ErrClosed)
		return
	}
	s.unsubscribe(c, t, m.why, m.done())
}

// done returns what is to be done when the subscription has ended, or nil when nobody waits for that. Any goroutine may call what it returns.
func (m unsubscribe) done() func() {
	if m.id == 0 && !m.Awaited() {
		return nil
	}
	return func() {
		m.confirm()
		m.Reply(struct{}{})
	}
}

// confirmAbsence is confirm for a session without the subscription, which may have ended a moment ago: what the topic has still to deliver
// to it comes first.
func (s *supervisor) confirmAbsence(m unsubscribe) {
	if t := s.topics[m.topic]; t != nil && m.id != 0 {
		t.topic.Leave(&topic.Member{Subscriber: m.session.Client}, false, m.confirm)
	} else {
		m.confirm()
	}
}

// confirm answers the client's command, if it has an id. Any goroutine may call it.
func (m unsubscribe) confirm() {
	if m.id != 0 {
		e := m.session.Client.Encoding()
		m.session.Client.Enqueue(wire.NewAnswers(e, wire.AppendOK(nil, m.id), 1).About(m.topic))
	}
}

// unsubscribe is leave for a session that goes on without the topic, and is told why, unless that is nil, if it speaks tank.v2.
func (s *supervisor) unsubscribe(c *Session, t *liveTopic, why *EndReason, done func()) {
	name := t.topic.Name()
	if why != nil && c.Client.Encoding().IsV2() {
		done = after(func() { c.tellEnd(name, *why) }, done)
	}
	if s.leave(c, t, false, done) {
		s.event(Event{Kind: Unsubscribed, Session: c, Topic: name})
	}
}

// tellEnd tells a client that speaks tank.v2 that a subscription has ended. Any goroutine may call it.
func (s *Session) tellEnd(topic string, why EndReason) {
	e := s.Client.Encoding()
	s.Client.Enqueue(wire.NewAnswers(e, wire.AppendEnd(nil, topic, why.Code, why.Message), 1).About(topic))
}

// after returns a function that does one thing, and then another one unless that is nil.
func after(first, then func()) func() {
	if then == nil {
		return first
	}
	return func() {
		first()
		then()
	}
}

// whenAwaited returns a function that answers a request, or nil when nobody waits for the answer. Any goroutine may call it.
func whenAwaited(r actor.Request[struct{}]) func() {
	if !r.Awaited() {
		return nil
	}
	return func() { r.Reply(struct{}{}) }
}

// leave ends a subscription, and with the last one the topic, once that has delivered everything. vanished and done are those of
// topic.Leave. It reports whether the subscription was announced.
func (s *supervisor) leave(c *Session, t *liveTopic, vanished bool, done func()) (announced bool) {
	member := c.subscriptions.remove(t)
	c.subscribed.Store(int64(c.subscriptions.len()))
	announced = t.withdraw(c)
	s.leaveTopic(t, member, vanished, done)
	return announced
}

// joined counts a new subscriber of a topic.
func (s *supervisor) joined(t *liveTopic) {
	if t.subscribers++; t.subscribers == 1 {
		s.noLongerIdle(t)
		s.list(t)
	}
}

// leaveTopic ends a membership, and with the last one the topic, see leave.
func (s *supervisor) leaveTopic(t *liveTopic, member *topic.Member, vanished bool, done func()) {
	if t.subscribers--; t.subscribers > 0 {
		t.topic.Leave(member, vanished, done)
		return
	}
	t.pendingEmpty++
	s.list(t)
	emptied := t.emptied
	if done != nil {
		emptied = after(done, emptied)
	}
	t.topic.Leave(member, vanished, emptied)
}

// leaveBroadcast ends a session's part in the topic of broadcasts, if it has one.
func (s *supervisor) leaveBroadcast(c *Session, done func()) {
	if c.broadcast != nil {
		s.broadcast.topic.Leave(c.broadcast, false, done)
		c.broadcast = nil
	}
}

// ByServer is why a subscription ends that the server has ended without saying more.
var ByServer = EndReason{wire.RefusedUnsubscribed, "the server has ended the subscription"}

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
	if c.subscriptions.of(t) == nil {
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
	m.Reply(membership{t.topic, m.session.subscriptions.of(t)})
}

func (m unsubscribeUser) handle(s *supervisor) {
	n := 0
	for _, c := range s.sessionsOf(m.userID) {
		if t := s.subscription(c, m.topic); t != nil && s.serves(c) {
			s.unsubscribe(c, t, &ByServer, nil)
			n++
		}
	}
	m.Reply(n)
}

func notSubscribed(name string) error {
	return fmt.Errorf("%w: not subscribed to %s", ErrNotFound, wire.Quote(name))
}

func (m listSubscriptions) handle(*supervisor) {
	list := make([]string, 0, m.session.subscriptions.len())
	for t := range m.session.subscriptions.all() {
		list = append(list, t.topic.Name())
	}
	m.Reply(list)
}

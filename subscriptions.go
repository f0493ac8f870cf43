package tank

import (
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// What the supervisor does about topics and who subscribes to them. All of it runs in its goroutine.

// liveTopic is a topic that has subscribers, or still has messages to deliver to former ones: a client that subscribes again
// gets these messages before new ones. Invariant: subscribers is the number of clients that have it in their
// subscriptions.
type liveTopic struct {
	topic       *topic.Topic
	subscribers int
	desertions  int // how many times its last subscriber left for which topicDeserted is still to come
}

func (s *supervisor) spawnTopic(name string) *topic.Topic {
	s.topicActors++
	return topic.Spawn(name, topic.Options{
		QueueBytes: s.m.config.limits.TopicQueueBytes,
		Deflater:   s.m.deflater,
		Pool:       s.m.pool,
		Verbatim:   name == everyone,

		BatchMessages: s.m.histograms.batchMessages,
		OnPanic: func(t *topic.Topic, err *actor.PanicError) {
			s.m.report(&ErrorEvent{Code: CodeInternal, Message: "topic panicked", Err: err, Topic: t.Name()})
		},
		OnStop: func(t *topic.Topic, err error) { s.m.supervisor.Post(topicStopped{t, err}) },
	})
}

func (m subscribe) handle(s *supervisor) {
	c := m.client
	if !s.attended(c) || s.m.life.state() > draining {
		refuse(m.Request, c, m.topic)
		return
	}
	t := s.topics[m.topic]
	if _, already := c.subscriptions[t]; already {
		m.Reply(struct{}{})
		return
	}
	if len(c.subscriptions) >= s.m.config.limits.Subscriptions {
		s.refuseSubscription(m)
		return
	}
	if t == nil {
		t = &liveTopic{topic: s.spawnTopic(m.topic)}
		s.topics[m.topic] = t
		s.m.topics.add(t.topic)
	}
	c.subscriptions[t] = s.join(c, t)
	c.subscribed.Store(int64(len(c.subscriptions)))
	c.refusals = 0
	if t.subscribers++; t.subscribers == 1 {
		s.m.counters.topics.Add(1)
	}
	s.emit(&ConnEvent{EventType: EventSubscribe, ClientID: c.id, UserID: c.userID, Topic: m.topic})
	m.Reply(struct{}{})
}

// maxRefusals is how many subscriptions past the limit a client is refused in a row. Then it is closed.
const maxRefusals = 16

// refuseSubscription answers a request for one subscription too many: whoever waits for it, or else the client.
func (s *supervisor) refuseSubscription(m subscribe) {
	c := m.client
	err := advise(fmt.Errorf("%w: the client has %d subscriptions", ErrLimit, len(c.subscriptions)), adviceTopics)
	if m.Awaited() {
		m.Fail(err)
		return
	}
	c.answerLater(m.topic, err)
	s.m.report(&ErrorEvent{Code: CodeLimit, Message: "subscription refused", Err: err, ClientID: c.id, UserID: c.userID, Topic: m.topic})
	if c.refusals++; c.refusals == maxRefusals {
		c.conn.Close(wire.ClosePolicy, "too many subscriptions")
	}
}

// refuse answers a request that comes too late: whoever waits for it, or else the client.
func refuse(r actor.Request[struct{}], c *Client, topic string) {
	if r.Awaited() {
		r.Fail(ErrClosed)
	} else {
		c.answerLater(topic, ErrClosed)
	}
}

// join makes a client a member of a topic. What is published from here on comes behind it in the topic's mailbox.
func (s *supervisor) join(c *Client, t *liveTopic) *topic.Member {
	member := &topic.Member{Subscriber: c.conn}
	t.topic.Join(member)
	return member
}

func (m unsubscribe) handle(s *supervisor) {
	c := m.client
	if !s.attended(c) {
		refuse(m.Request, c, m.topic)
		return
	}
	t := s.topics[m.topic]
	if _, subscribed := c.subscriptions[t]; !subscribed {
		m.Fail(fmt.Errorf("%w: not subscribed to %s", ErrNotFound, wire.Quote(m.topic)))
		return
	}
	s.leave(c, t, nil)
	s.emit(&ConnEvent{EventType: EventUnsubscribe, ClientID: c.id, UserID: c.userID, Topic: m.topic})
	m.Reply(struct{}{})
}

// leave ends a subscription, and with the last one the topic, once that has delivered everything. done is that of topic.Leave,
// and so is not called when the topic has been given up.
func (s *supervisor) leave(c *Client, t *liveTopic, done func()) {
	member := c.subscriptions[t]
	delete(c.subscriptions, t)
	c.subscribed.Store(int64(len(c.subscriptions)))
	if t.subscribers--; t.subscribers > 0 {
		t.topic.Leave(member, done)
		return
	}
	t.desertions++
	s.m.counters.topics.Add(-1)
	deserted := topicDeserted{t, t.topic}
	t.topic.Leave(member, func() {
		if done != nil {
			done()
		}
		s.m.supervisor.Post(deserted)
	})
}

// handle ends a topic, unless somebody has subscribed again.
func (m topicDeserted) handle(s *supervisor) {
	t := m.live
	if t.topic != m.topic { // it was replaced meanwhile
		return
	}
	if t.desertions--; t.desertions == 0 && t.subscribers == 0 {
		s.endTopic(t)
	}
}

// endTopic ends a topic without subscribers. One who comes later gets a new topic actor.
func (s *supervisor) endTopic(t *liveTopic) {
	s.m.topics.remove(t.topic)
	t.topic.Stop()
	delete(s.topics, t.topic.Name())
	if len(s.topics) == 0 {
		s.topics = make(map[string]*liveTopic) // which, unlike the one before, is small
	}
}

func (m lookup) handle(s *supervisor) {
	switch t := s.live(m.topic); {
	case s.m.life.state() > draining:
		m.Fail(ErrClosed)
	case t == nil:
		m.Reply(nil)
	default:
		m.Reply(t.topic)
	}
}

// live returns the topic of that name, or nil when there is none.
func (s *supervisor) live(name string) *liveTopic {
	if name == everyone {
		return s.everyone
	}
	return s.topics[name]
}

func (m countSubscribers) handle(s *supervisor) {
	if t := s.topics[m.topic]; t != nil {
		m.Reply(t.subscribers)
		return
	}
	m.Reply(0)
}

func (m listTopics) handle(s *supervisor) {
	list := make([]liveTopic, 0, len(s.topics))
	for _, t := range s.topics {
		if t.subscribers > 0 {
			list = append(list, *t)
		}
	}
	m.Reply(list)
}

func (m listSubscriptions) handle(*supervisor) {
	list := make([]string, 0, len(m.client.subscriptions))
	for t := range m.client.subscriptions {
		list = append(list, t.topic.Name())
	}
	m.Reply(list)
}

// leaveEveryone ends a client's part in the topic of BroadcastMessage, if it has one.
func (s *supervisor) leaveEveryone(c *Client, done func()) {
	if c.everyone != nil {
		s.everyone.topic.Leave(c.everyone, done)
		c.everyone = nil
	}
}

func (m topicStopped) handle(s *supervisor) {
	s.topicActors--
	if m.err != nil && s.m.life.state() <= draining {
		s.replace(m.topic)
	}
	s.advance()
}

// replace gives the subscribers of a topic actor that was given up a new one.
func (s *supervisor) replace(old *topic.Topic) {
	t := s.live(old.Name())
	if t == nil || t.topic != old {
		return
	}
	if t.subscribers == 0 && t != s.everyone {
		s.endTopic(t)
		return
	}
	t.topic, t.desertions = s.spawnTopic(old.Name()), 0
	for _, c := range s.clients {
		if t == s.everyone && c.everyone != nil {
			c.everyone = s.join(c, t)
		} else if _, subscribed := c.subscriptions[t]; subscribed {
			c.subscriptions[t] = s.join(c, t)
		}
	}
	s.m.topics.add(t.topic) // in front of the old one, so that publishers find one or the other all the while
	s.m.topics.remove(old)
}

package tank

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// everyone is the name of the built-in topic that every client joins: BroadcastMessage's. Users cannot name it.
const everyone = ""

// supervisor is the manager's actor: it alone knows which clients and topics exist and who subscribes to what. So the
// race between a topic's last subscriber leaving and its next one coming is decided here, by the order of the mailbox.
// All fields belong to its goroutine, and all methods in this file run in it.
type supervisor struct {
	m          *Manager
	errors     chan<- *ErrorEvent
	connEvents chan<- *ConnEvent

	clients  map[*Client]struct{}
	users    map[string][]*Client
	topics   map[string]*liveTopic
	everyone *liveTopic
	wheel    *wheel

	topicActors int // that have not ended
	readers     int // reader goroutines that have not ended
	stage       stage
}

// stage of a shutdown, in order.
type stage int

const (
	serving           stage = iota
	drainingTopics          // topics deliver what they have taken
	closingClients          // clients write what is queued and say goodbye
	awaitingCallbacks       // no connection is left, but goroutines may be inside callbacks
	drained                 // nothing is left but the channels
	ended                   // the channels are closed
)

// liveTopic is a topic with at least one subscriber. Invariant: subscribers is the number of clients that have it in
// their subscriptions.
type liveTopic struct {
	topic       *topic.Topic
	subscribers int
}

// spawnSupervisor makes the supervisor of an instance. Invariant: nothing is posted before m.supervisor is set, which
// the callbacks below use.
func spawnSupervisor(m *Manager, errs chan<- *ErrorEvent, connEvents chan<- *ConnEvent) *actor.Ref[message] {
	s := &supervisor{
		m:          m,
		errors:     errs,
		connEvents: connEvents,
		clients:    make(map[*Client]struct{}),
		users:      make(map[string][]*Client),
		topics:     make(map[string]*liveTopic),
		wheel:      newWheel(m.config.heartbeatInterval, m.config.heartbeatTimeout),
	}
	s.everyone = &liveTopic{topic: s.spawnTopic(everyone)}
	m.topics.add(s.everyone.topic)
	return actor.Spawn(actor.Options{Restarts: -1, OnPanic: s.panicked}, s.receive)
}

func (s *supervisor) receive(mail iter.Seq[message]) {
	for msg := range mail {
		msg.handle(s)
	}
}

// panicked reports a bug in the supervisor itself: the message it was handling is lost, nothing else.
func (s *supervisor) panicked(err *actor.PanicError) {
	s.m.report(&ErrorEvent{Code: CodeInternal, Message: "supervisor panicked", Err: err})
}

func (s *supervisor) spawnTopic(name string) *topic.Topic {
	s.topicActors++
	return topic.Spawn(name, topic.Options{
		QueueBytes: s.m.config.limits.TopicQueueBytes,
		Deflater:   s.m.deflater,
		Pool:       s.m.pool,
		Verbatim:   name == everyone,
		OnPanic: func(t *topic.Topic, err *actor.PanicError) {
			s.m.report(&ErrorEvent{Code: CodeInternal, Message: "topic panicked", Err: err, Topic: t.Name()})
		},
		OnStop: func(t *topic.Topic, err error) { s.m.supervisor.Post(topicStopped{t, err}) },
	})
}

func (m register) handle(s *supervisor) {
	if s.stage > closingClients {
		m.Fail(ErrClosed)
		return
	}
	c := m.client
	s.clients[c] = struct{}{}
	s.users[c.userID] = append(s.users[c.userID], c)
	s.wheel.add(c)
	s.readers++
	s.m.counters.clients.Store(int64(len(s.clients)))
	c.subscriptions = make(map[*liveTopic]*topic.Member)
	c.everyone = s.join(c, s.everyone)
	s.emit(&ConnEvent{EventType: EventConnect, ClientID: c.id, UserID: c.userID})
	if s.stage != serving { // it slipped in while the door was closing
		c.conn.Close(wire.CloseGoingAway, goingAway)
	}
	m.Reply(struct{}{})
}

func (m subscribe) handle(s *supervisor) {
	c := m.client
	if _, live := s.clients[c]; !live || s.stage != serving {
		refuse(m.Request, c, m.topic)
		return
	}
	t := s.topics[m.topic]
	if t == nil {
		t = &liveTopic{topic: s.spawnTopic(m.topic)}
		s.topics[m.topic] = t
		s.m.topics.add(t.topic)
		s.m.counters.topics.Store(int64(len(s.topics)))
	}
	if _, already := c.subscriptions[t]; !already {
		c.subscriptions[t] = s.join(c, t)
		t.subscribers++
		s.emit(&ConnEvent{EventType: EventSubscribe, ClientID: c.id, UserID: c.userID, Topic: m.topic})
	}
	m.Reply(struct{}{})
}

// refuse answers a request that comes too late: whoever waits for it, or else the client.
func refuse(r actor.Request[struct{}], c *Client, topic string) {
	if r.Awaited() {
		r.Fail(ErrClosed)
	} else {
		c.answer(topic, ErrClosed)
	}
}

func (m fence) handle(*supervisor) { m.Reply(struct{}{}) }

// join makes a client a member of a topic. What is published from here on comes behind it in the topic's mailbox.
func (s *supervisor) join(c *Client, t *liveTopic) *topic.Member {
	member := &topic.Member{Subscriber: c.conn}
	t.topic.Join(member)
	return member
}

func (m unsubscribe) handle(s *supervisor) {
	c := m.client
	if _, live := s.clients[c]; !live {
		refuse(m.Request, c, m.topic)
		return
	}
	t := s.topics[m.topic]
	if _, subscribed := c.subscriptions[t]; !subscribed {
		m.Fail(fmt.Errorf("%w: not subscribed to %s", ErrNotFound, wire.Quote(m.topic)))
		return
	}
	s.leave(c, t)
	s.emit(&ConnEvent{EventType: EventUnsubscribe, ClientID: c.id, UserID: c.userID, Topic: m.topic})
	m.Reply(struct{}{})
}

// leave ends a subscription, and the topic with its last one. A subscriber who comes later gets a new topic actor.
func (s *supervisor) leave(c *Client, t *liveTopic) {
	t.topic.Leave(c.subscriptions[t])
	delete(c.subscriptions, t)
	if t.subscribers--; t.subscribers == 0 {
		s.m.topics.remove(t.topic)
		t.topic.Stop()
		delete(s.topics, t.topic.Name())
		s.m.counters.topics.Store(int64(len(s.topics)))
	}
}

func (m lookup) handle(s *supervisor) {
	switch t := s.live(m.topic); {
	case s.stage != serving:
		m.Fail(ErrClosed)
	case t == nil:
		m.Reply(nil)
	default:
		m.Reply(t.topic)
	}
}

// live returns the topic of that name, or nil when nobody subscribes to it.
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
		list = append(list, *t)
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

func (m closeUser) handle(s *supervisor) {
	n := 0
	for _, c := range s.users[m.userID] {
		if c.conn.Close(wire.CloseNormal, "closed by server") {
			n++
		}
	}
	m.Reply(n)
}

func (m gone) handle(s *supervisor) {
	c := m.client
	if _, live := s.clients[c]; !live {
		return // it was refused, so nobody knows of it
	}
	for t := range c.subscriptions {
		s.leave(c, t)
	}
	s.everyone.topic.Leave(c.everyone)
	delete(s.clients, c)
	s.wheel.remove(c)
	s.removeUser(c)
	s.m.counters.clients.Store(int64(len(s.clients)))
	s.emit(&ConnEvent{EventType: EventDisconnect, ClientID: c.id, UserID: c.userID, Reason: m.reason})
	s.advance()
}

func (s *supervisor) removeUser(c *Client) {
	rest := s.users[c.userID]
	i := slices.Index(rest, c)
	rest = slices.Delete(rest, i, i+1)
	if len(rest) == 0 {
		delete(s.users, c.userID)
	} else {
		s.users[c.userID] = rest
	}
}

func (readerDone) handle(s *supervisor) {
	s.readers--
	s.advance()
}

func (m topicStopped) handle(s *supervisor) {
	s.topicActors--
	if m.err != nil && s.stage == serving {
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
	t.topic = s.spawnTopic(old.Name())
	for c := range s.clients {
		if t == s.everyone {
			c.everyone = s.join(c, t)
		} else if _, subscribed := c.subscriptions[t]; subscribed {
			c.subscriptions[t] = s.join(c, t)
		}
	}
	s.m.topics.add(t.topic) // in front of the old one, so that publishers find one or the other all the while
	s.m.topics.remove(old)
}

func (m report) handle(s *supervisor) {
	s.m.journal.add(errorEntry(*m.event)) // before somebody else has it
	offer(s, s.errors, m.event)
}

// emit sends a connection event. Counts must be up to date before.
func (s *supervisor) emit(e *ConnEvent) {
	e.Time = time.Now()
	s.m.journal.add(connEntry(*e)) // before somebody else has it
	offer(s, s.connEvents, e)
}

// offer sends an event unless nobody has read so many that the channel is full, or it is closed.
func offer[E any](s *supervisor, to chan<- E, event E) {
	if s.stage != ended {
		select {
		case to <- event:
			return
		default:
		}
	}
	s.m.counters.eventsDropped.Add(1)
}

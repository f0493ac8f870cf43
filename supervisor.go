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

	clients    map[*Client]struct{}
	users      map[string][]*Client // by id, less those that are turned away
	turnedAway map[string]int       // by user id: how many are being closed because the user had too many already
	topics     map[string]*liveTopic
	everyone   *liveTopic
	wheel      *wheel

	topicActors int // that have not ended
	readers     int // reader goroutines that have not ended
	stage       stage
	allGone     chan<- struct{} // closed when no client is left; nil: nobody waits for that
}

// stage of a shutdown, in order.
type stage int

const (
	serving           stage = iota
	drainingTopics          // topics deliver what they have taken
	closingClients          // clients write what is queued and say goodbye
	awaitingCallbacks       // no connection is left, but goroutines may be inside callbacks
	quiescent               // nothing is left but the channels
	ended                   // the channels are closed
)

// liveTopic is a topic that has subscribers, or had some to whom it still has something to deliver: one who subscribes
// again is to get that before anything new. Invariant: subscribers is the number of clients that have it in their
// subscriptions.
type liveTopic struct {
	topic       *topic.Topic
	subscribers int
	desertions  int // how many times its last subscriber left for which topicDeserted is still to come
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
		turnedAway: make(map[string]int),
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
	tooMany := c.authenticated && len(s.users[c.userID]) >= s.m.config.limits.ConnectionsPerUser
	if tooMany && s.turnedAway[c.userID] >= s.m.config.limits.ConnectionsPerUser {
		s.reportTooMany(c)
		m.Fail(ErrLimit) // it is cut: even those who are turned away take a place until they are gone
		return
	}
	s.clients[c] = struct{}{}
	s.wheel.add(c)
	s.readers++
	s.m.counters.clients.Store(int64(len(s.clients)))
	c.subscriptions = make(map[*liveTopic]*topic.Member)
	s.emit(&ConnEvent{EventType: EventConnect, ClientID: c.id, UserID: c.userID})
	if tooMany {
		s.turnAway(c)
	} else {
		s.users[c.userID] = append(s.users[c.userID], c)
		c.everyone = s.join(c, s.everyone)
	}
	if s.stage != serving { // it slipped in while the door was closing
		c.conn.Close(wire.CloseGoingAway, goingAway)
	}
	m.Reply(struct{}{})
}

// turnAway closes a client whose user has too many connections. It does not count as one of them.
func (s *supervisor) turnAway(c *Client) {
	c.leaving, c.turnedAway = true, true
	s.turnedAway[c.userID]++
	s.reportTooMany(c)
	c.conn.Close(wire.ClosePolicy, "too many connections")
}

func (s *supervisor) reportTooMany(c *Client) {
	err := fmt.Errorf("%w: the user has %d connections", ErrLimit, len(s.users[c.userID]))
	s.m.report(&ErrorEvent{Code: CodeLimit, Message: "too many connections", Err: err, ClientID: c.id, UserID: c.userID})
}

// attended reports whether the client's requests are attended to: it is registered, and its subscriptions are not being ended.
func (s *supervisor) attended(c *Client) bool {
	_, live := s.clients[c]
	return live && !c.leaving
}

func (m subscribe) handle(s *supervisor) {
	c := m.client
	if !s.attended(c) || s.stage != serving {
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
	err := fmt.Errorf("%w: the client has %d subscriptions", ErrLimit, len(c.subscriptions))
	if m.Awaited() {
		m.Fail(err)
		return
	}
	c.answer(m.topic, err)
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
	case s.stage != serving:
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
	c.leaving = true
	turn := leaveAtOnce
	for t := range c.subscriptions {
		if turn--; turn < 0 {
			s.m.supervisor.Post(m) // others want their turn
			return
		}
		s.leave(c, t, nil)
	}
	s.leaveEveryone(c, nil)
	delete(s.clients, c)
	s.wheel.remove(c)
	s.removeUser(c)
	s.m.counters.clients.Store(int64(len(s.clients)))
	s.emit(&ConnEvent{EventType: EventDisconnect, ClientID: c.id, UserID: c.userID, Reason: m.reason})
	s.noteGone()
	s.advance()
}

// leaveAtOnce is how many subscriptions of a client that is gone are ended at a time.
const leaveAtOnce = 256

// leaveEveryone ends a client's part in the topic of BroadcastMessage, if it has one.
func (s *supervisor) leaveEveryone(c *Client, done func()) {
	if c.everyone != nil {
		s.everyone.topic.Leave(c.everyone, done)
		c.everyone = nil
	}
}

func (s *supervisor) removeUser(c *Client) {
	if c.turnedAway {
		if s.turnedAway[c.userID]--; s.turnedAway[c.userID] == 0 {
			delete(s.turnedAway, c.userID)
		}
		return
	}
	rest := slices.DeleteFunc(s.users[c.userID], func(other *Client) bool { return other == c })
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
	if t.subscribers == 0 && t != s.everyone {
		s.endTopic(t)
		return
	}
	t.topic, t.desertions = s.spawnTopic(old.Name()), 0
	for c := range s.clients {
		if t == s.everyone && c.everyone != nil {
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

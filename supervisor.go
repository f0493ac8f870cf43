package tank

import (
	"fmt"
	"iter"
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

	clients    map[string]*Client // by their own ids
	users      users              // without rejected connections
	turnedAway map[string]int     // by user id: how many are being closed because the user had too many already
	topics     map[string]*liveTopic
	everyone   *liveTopic
	wheel      *wheel
	allowances *allowances
	candidates candidates  // for being closed over the budget
	departures *departures // nil: no drain has begun

	topicActors int             // that have not ended
	readers     int             // reader goroutines that have not ended
	allGone     chan<- struct{} // closed when no client is left; nil: nobody waits for that
}

// spawnSupervisor makes the supervisor of an instance. Invariant: nothing is posted before m.supervisor is set, which
// the callbacks below use.
func spawnSupervisor(m *Manager, errs chan<- *ErrorEvent, connEvents chan<- *ConnEvent) *actor.Ref[message] {
	s := &supervisor{
		m:          m,
		errors:     errs,
		connEvents: connEvents,
		clients:    make(map[string]*Client),
		users:      make(users),
		turnedAway: make(map[string]int),
		topics:     make(map[string]*liveTopic),
		wheel:      newWheel(m.config.heartbeatInterval, m.config.heartbeatTimeout),
		allowances: newAllowances(m.clientOptions.Refill(), maxAllowances),
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

func (m register) handle(s *supervisor) {
	if s.m.life.state() > closingClients {
		m.Fail(ErrClosed)
		return
	}
	c := m.client
	tooMany := c.authenticated && len(s.users[c.userID]) >= s.m.config.limits.ConnectionsPerUser
	if tooMany && s.turnedAway[c.userID] >= s.m.config.limits.ConnectionsPerUser {
		s.reportTooMany(c)
		m.Fail(ErrLimit) // it is cut: a rejected connection counts until it has ended
		return
	}
	s.clients[c.id] = c
	c.conn.Inherit(s.allowances.left(c.source), !c.authenticated)
	s.wheel.add(c)
	s.departures.add(c)
	s.readers++
	s.m.counters.clients.Store(int64(len(s.clients)))
	c.number = s.m.counters.accepted.Add(1)
	c.subscriptions = make(map[*liveTopic]*topic.Member)
	if !tooMany {
		s.users.add(c)
		c.everyone = s.join(c, s.everyone)
	}
	s.emit(&ConnEvent{EventType: EventConnect, ClientID: c.id, UserID: c.userID})
	if tooMany {
		s.turnAway(c)
	}
	if s.m.life.state() > draining { // it slipped in while the door was closing
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
	err := advise(fmt.Errorf("%w: the user has %d connections", ErrLimit, len(s.users[c.userID])), adviceUser)
	s.m.report(&ErrorEvent{Code: CodeLimit, Message: "too many connections", Err: err, ClientID: c.id, UserID: c.userID})
}

// attended reports whether the client's requests are attended to: it is registered, and its subscriptions are not being ended.
func (s *supervisor) attended(c *Client) bool {
	return s.clients[c.id] == c && !c.leaving
}

func (m fence) handle(*supervisor) { m.Reply(struct{}{}) }

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
	if s.clients[c.id] != c {
		return // it was rejected, and never registered
	}
	c.leaving = true
	s.allowances.leave(c.source, c.conn.Allowance())
	turn := leaveAtOnce
	for t := range c.subscriptions {
		if turn--; turn < 0 {
			s.m.supervisor.Post(m) // others want their turn
			return
		}
		s.leave(c, t, nil)
	}
	s.leaveEveryone(c, nil)
	delete(s.clients, c.id)
	s.wheel.remove(c)
	s.removeUser(c)
	s.m.counters.clients.Store(int64(len(s.clients)))
	s.emit(&ConnEvent{EventType: EventDisconnect, ClientID: c.id, UserID: c.userID, Reason: m.reason})
	s.noteGone()
	s.advance()
}

// leaveAtOnce is how many subscriptions of clients that are gone, or of those that a drain closes, are ended in one turn. A
// drain ends those of its last client as a whole.
const leaveAtOnce = 256

func (s *supervisor) removeUser(c *Client) {
	if c.turnedAway {
		if s.turnedAway[c.userID]--; s.turnedAway[c.userID] == 0 {
			delete(s.turnedAway, c.userID)
		}
		return
	}
	s.users.remove(c)
}

func (readerDone) handle(s *supervisor) {
	s.readers--
	s.advance()
}

func (m report) handle(s *supervisor) {
	s.m.journal.add(errorEntry(*m.event)) // before a reader of the channel has it
	offer(s, s.errors, m.event)
}

func (m note) handle(s *supervisor) { s.m.journal.add(m.entry) }

// emit sends a connection event. Counts must be up to date before.
func (s *supervisor) emit(e *ConnEvent) {
	e.Time = time.Now()
	s.m.journal.add(connEntry(*e)) // before a reader of the channel has it
	offer(s, s.connEvents, e)
}

// offer sends an event unless the channel is full, because its events are not read, or is closed.
func offer[E any](s *supervisor, to chan<- E, event E) {
	if s.m.life.state() < ended {
		select {
		case to <- event:
			return
		default:
		}
	}
	s.m.counters.eventsDropped.Add(1)
}

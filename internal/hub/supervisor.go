package hub

import (
	"fmt"
	"iter"
	"slices"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// supervisor is the actor. So the race between a topic's last subscriber leaving and its next one coming is decided here, by the
// order of the mailbox. All methods in this file run in its goroutine, but post and fault.
type supervisor struct {
	hub *Hub // immutable

	// Owned by the supervisor's goroutine.
	sessions    map[string]*Session // by the ids of their connections
	users       users               // less those that are rejected
	rejected    map[string]int      // by user id: how many are being closed because the user had too many already
	topics      map[string]*liveTopic
	broadcast   *liveTopic
	interrupted bool // there is a broker, and no connection to it
	listeners   map[*Listener]struct{}
	wheel       *wheel
	expiries    expiries
	clock       clock
	sweeps      schedule               // of topics that keep messages for a limited time
	presences   schedule               // of topics that are to tell who is present
	lingering   schedule               // the ends of topics that linger
	abandoned   map[*topic.Topic]int64 // bytes that were given up, and may not be free yet
	allowances  *allowances
	candidates  candidates            // for being closed over the budget
	evicted     *client.Client        // the last of them; nil: its memory is given back
	departures  *departures           // nil: no drain has begun
	drained     map[*Session][]string // topics whose subscriptions a drain has ended; nil: no drain has begun

	topicActors int             // that have not ended
	readers     int             // reader goroutines that have not ended
	hooks       int             // hooks that run, or are about to
	awaiting    []awaitHooks    // callers who wait until there are none
	empty       chan<- struct{} // closed when no session is left; nil: nobody waits for that
}

func (s *supervisor) receive(mail iter.Seq[message]) {
	for msg := range mail {
		msg.handle(s)
	}
}

// panicked reports a bug in the supervisor itself: the message it was handling is lost, nothing else.
func (s *supervisor) panicked(err *actor.PanicError) { s.fault(Fault{Kind: HubPanicked, Err: err}) }

// post leaves a message to a later turn. Any goroutine may call it.
func (s *supervisor) post(m message) { s.hub.supervisor.Post(m) }

// event tells of a step in the life of a session. Counts must be up to date before.
func (s *supervisor) event(e Event) { s.hub.config.Observer.Event(e) }

// fault reports a fault. Any goroutine may call it.
func (s *supervisor) fault(f Fault) { s.hub.config.Observer.Fault(f) }

func (m register) handle(s *supervisor) {
	if s.hub.life.state() > closingClients {
		m.Fail(ErrClosed)
		return
	}
	c, most := m.session, s.hub.config.SessionsPerUser
	tooMany := c.Authenticated && len(s.users[c.UserID]) >= most
	if tooMany && s.rejected[c.UserID] >= most {
		s.tooManySessions(c)
		m.Fail(ErrLimit) // it is disconnected: even sessions that are rejected take a place until they are gone
		return
	}
	s.sessions[c.ID], c.registered = c, true
	if m.hello != nil {
		c.Client.Enqueue(m.hello)
	}
	s.tellInterrupted(c)
	c.Client.Inherit(s.allowances.left(c.source()), !c.Authenticated)
	s.wheel.add(c)
	s.expire(c, m.expires)
	s.wakeFor(s.expiries.first())
	s.departures.add(c)
	s.readers++
	if m.hook {
		s.hooks++
	}
	s.countSession(c, 1)
	c.number = s.hub.accepted.Add(1)
	if !tooMany {
		s.users.add(c)
		c.broadcast = join(&topic.Member{Subscriber: c.Client}, s.broadcast, actor.Request[struct{}]{})
	}
	s.event(Event{Kind: Connected, Session: c})
	if tooMany {
		s.reject(c)
	}
	if s.hub.life.state() > draining { // it came while the instance was closing
		c.Client.Close(wire.ShuttingDown)
	}
	m.Reply(struct{}{})
}

// reject closes a session whose user has too many. It does not count as one of them.
func (s *supervisor) reject(c *Session) {
	c.leaving, c.rejected = true, true
	s.rejected[c.UserID]++
	s.tooManySessions(c)
	c.Client.Close(wire.TooManyConnections)
}

func (s *supervisor) tooManySessions(c *Session) {
	err := fmt.Errorf("%w: the user has %d connections", ErrLimit, len(s.users[c.UserID]))
	s.fault(Fault{Kind: TooManySessions, Err: err, Session: c})
}

// active reports whether a session is registered, and its subscriptions are not being ended.
func (s *supervisor) active(c *Session) bool { return c.registered && !c.leaving }

// serves reports whether the requests of a session are handled: it is active, and topics were not told to end.
func (s *supervisor) serves(c *Session) bool { return s.active(c) && s.hub.life.state() <= draining }

// open reports whether a session is served, and its connection not closing.
func (s *supervisor) open(c *Session) bool { return s.serves(c) && !c.Client.Closing() }

func (m gone) handle(s *supervisor) {
	c := m.session
	if !c.registered || s.hub.life.state() >= ended {
		c.end(nil)
		return // it was never registered, or nobody counts any more
	}
	c.leaving = true
	s.allowances.leave(c.source(), c.Client.Allowance())
	turn := leaveAtOnce
	for t := range c.subscriptions.all() {
		if turn--; turn < 0 {
			s.post(m) // others want their turn
			return
		}
		if s.leave(c, t, m.vanished, nil) {
			m.topics = append(m.topics, t.topic.Name())
		}
	}
	m.topics = append(m.topics, s.drained[c]...)
	delete(s.drained, c)
	s.leaveBroadcast(c, nil)
	delete(s.sessions, c.ID)
	c.registered = false
	s.candidates.forget(c)
	if s.evicted == c.Client {
		s.evicted = nil
	}
	s.wheel.remove(c)
	s.expiries.remove(c)
	s.removeUser(c)
	s.countSession(c, -1)
	s.event(Event{Kind: Disconnected, Session: c, Topics: m.topics, Reason: m.reason})
	c.end(m.topics)
	s.signalEmpty()
	s.advance()
}

// countSession counts a session that has come, by 1, or one that has gone, by -1.
func (s *supervisor) countSession(c *Session, by int64) {
	s.hub.sessions.Add(by)
	if c.Client.Encoding().IsV2() {
		s.hub.sessionsV2.Add(by)
	}
}

// leaveAtOnce is how many subscriptions of sessions that are gone, or of those that a drain closes, are ended in one turn. A
// drain ends those of its last session as a whole.
const leaveAtOnce = 256

func (s *supervisor) removeUser(c *Session) {
	if c.rejected {
		if s.rejected[c.UserID]--; s.rejected[c.UserID] == 0 {
			delete(s.rejected, c.UserID)
		}
		return
	}
	s.users.remove(c)
}

func (m readerDone) handle(s *supervisor) {
	s.readers--
	if m.hook {
		s.hooks++
	}
	s.advance()
}

func (hookDone) handle(s *supervisor) {
	s.hooks--
	s.advance()
	if s.hooks == 0 {
		for _, m := range s.awaiting {
			m.Reply(true)
		}
		s.awaiting = nil
	}
}

func (m awaitHooks) handle(s *supervisor) {
	if s.hooks == 0 {
		m.Reply(false)
		return
	}
	s.awaiting = append(s.awaiting, m)
}

func (m closeUser) handle(s *supervisor) {
	n := 0
	for _, c := range s.sessionsOf(m.userID) {
		if c.Client.Close(wire.ClosedByServer) {
			n++
		}
	}
	m.Reply(n)
}

func (m findSession) handle(s *supervisor) { m.Reply(s.sessions[m.id]) }

func (m listUser) handle(s *supervisor) { m.Reply(slices.Clone(s.sessionsOf(m.userID))) }

func (m listSessions) handle(s *supervisor) {
	list := make([]*Session, 0, len(s.sessions))
	for _, c := range s.sessions {
		list = append(list, c)
	}
	m.Reply(list)
}

func (m barrier) handle(*supervisor) { m.Reply(struct{}{}) }

func (m report) handle(s *supervisor) { s.hub.config.Observer.Report(m.what) }

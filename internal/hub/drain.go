package hub

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// The batches of a drain. All functions in this file run in the supervisor's goroutine; Hub.drain sets the pace.

func (m drainSome) handle(s *supervisor) {
	if s.departures == nil {
		s.departures, s.drained = newDepartures(s.sessions), make(map[*Session][]string)
	}
	for turn := leaveAtOnce; m.most > 0; m.most-- {
		c := s.departures.next()
		if c == nil {
			break
		}
		if turn <= 0 {
			s.post(m) // others want their turn
			return
		}
		turn -= c.subscriptions.len()
		s.departures.pass()
		s.closeDelivered(c)
	}
	s.empty = m.empty
	m.Reply(s.departures.next() != nil)
}

// closeDelivered closes a session behind everything that was published until now: the last of its topics to have delivered
// that does it, in its own goroutine.
func (s *supervisor) closeDelivered(c *Session) {
	c.leaving = true
	waiting := new(atomic.Int32)
	waiting.Store(int32(c.subscriptions.len() + 1)) // #nosec G115 -- 2^31 do not fit into memory
	done := func() {
		if waiting.Add(-1) == 0 {
			c.Client.Close(wire.ShuttingDown)
		}
	}
	for t := range c.subscriptions.all() {
		if s.leave(c, t, true, done) {
			s.drained[c] = append(s.drained[c], t.topic.Name())
		}
	}
	s.leaveBroadcast(c, done)
}

// signalEmpty tells a drain that is going on that no session is left.
func (s *supervisor) signalEmpty() {
	if len(s.sessions) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// departures are the sessions that a drain has still to close, in any order. Each is looked at once. Owned by the supervisor.
type departures struct {
	left   []*Session
	looked int // sessions looked at, in all; for tests
}

func newDepartures(sessions map[string]*Session) *departures {
	return &departures{left: slices.Collect(maps.Values(sessions))}
}

// add takes note of a session that has come late. Without a drain, d is nil.
func (d *departures) add(c *Session) {
	if d != nil {
		d.left = append(d.left, c)
	}
}

// next returns the next session that is not being closed, or nil when none is left. It passes over the others.
func (d *departures) next() *Session {
	for ; len(d.left) > 0; d.pass() {
		d.looked++
		if c := d.left[0]; !c.leaving && !c.Client.Closing() {
			return c
		}
	}
	return nil
}

// pass goes on behind the session that next has returned.
func (d *departures) pass() {
	d.left[0] = nil // it may be gone
	d.left = d.left[1:]
}

package hub

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// Which session is closed when the queued bytes of all exceed the budget. All functions in this file run in the supervisor's
// goroutine.

var errBudget = errors.New("the queued bytes of all clients together are over the limit, and this one has the most")

// handle closes the session that has the most queued bytes, one at a time. It is called again when that one's memory is given back
// and the rest is still too much, and whenever more bytes are queued.
func (overBudget) handle(s *supervisor) {
	exceeded := s.hub.outboxBudget.Rearm()
	switch {
	case !exceeded: // others have made room meanwhile
		s.candidates.clear()
	case s.evicted != nil && !s.evicted.IsEmptied(): // the client looks at the budget when it is
	default:
		s.evicted = nil
		if largest := s.candidates.next(s.sessions); largest != nil && largest.Client.Evict(errBudget) {
			s.evicted = largest.Client
		}
	}
}

const (
	// maxCandidates is how many sessions are closed for each look at all of them.
	maxCandidates = 64
	// candidacy is how long a look at all sessions is good for: others may have more queued bytes thereafter.
	candidacy = 10 * time.Millisecond
)

// candidates are the sessions with the most queued bytes, found by one look at all sessions: to free the budget, very many may have
// to be closed, one after the other. Owned by the supervisor.
type candidates struct {
	list   []candidate // by queued bytes, least first
	enough int64       // queued bytes that a candidate must still have
	found  time.Time   // when the list was made
	looked int         // sessions looked at, in all; for tests
}

type candidate struct {
	*Session
	queued int64 // when it was found
}

func (c *candidates) clear() { c.list = nil }

// forget drops a session that has ended.
func (c *candidates) forget(s *Session) {
	c.list = slices.DeleteFunc(c.list, func(e candidate) bool { return e.Session == s })
}

// next returns the candidate with the most queued bytes, or nil when no session has any. A session whose queue has grown since
// the last look at all of them may have more by now.
func (c *candidates) next(sessions map[string]*Session) *Session {
	if time.Since(c.found) < candidacy {
		if largest := c.take(); largest != nil {
			return largest
		}
	}
	c.look(sessions)
	return c.take()
}

// look finds the candidates among all sessions.
func (c *candidates) look(sessions map[string]*Session) {
	c.list, c.enough, c.found = c.list[:0], 1, time.Now()
	c.looked += len(sessions)
	for _, session := range sessions {
		queued := session.Client.Queued()
		switch isFull := len(c.list) == maxCandidates; {
		case queued == 0, session.Client.IsEmptied(), isFull && queued <= c.list[0].queued:
			continue
		case isFull:
			c.list = c.list[:copy(c.list, c.list[1:])]
		}
		at, _ := slices.BinarySearchFunc(c.list, queued, func(e candidate, queued int64) int { return cmp.Compare(e.queued, queued) })
		c.list = slices.Insert(c.list, at, candidate{session, queued})
	}
	if len(c.list) == maxCandidates {
		c.enough = max(1, c.list[0].queued/2)
	}
}

// take returns the candidate with the most queued bytes of those that still have enough, or nil.
func (c *candidates) take() *Session {
	largest, most := -1, c.enough-1
	for i, e := range c.list {
		if queued := e.Client.Queued(); queued > most && !e.Client.IsEmptied() {
			largest, most = i, queued
		}
	}
	if largest < 0 {
		return nil
	}
	found := c.list[largest].Session
	c.list = slices.Delete(c.list, largest, largest+1)
	return found
}

package hub

import (
	"container/heap"
	"math"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Credentials that expire: the session is warned, and then closed. All functions in this file run in the supervisor's goroutine, but
// Hub.Renew and unixNano, which run in an edge's.

// Renew sets the time at which a session's credentials expire, and its value. It returns ErrClosed when the session is closing or has
// ended.
func (h *Hub) Renew(s *Session, expires time.Time, value any) error {
	return h.ask(func(r actor.Request[struct{}]) message { return renew{r, s, unixNano(expires), value} })
}

func (m renew) handle(s *supervisor) {
	if !s.open(m.session) {
		m.Fail(ErrClosed)
		return
	}
	s.expiries.remove(m.session)
	s.expire(m.session, m.expires)
	m.session.Value.Store(&m.value)
	s.wakeFor(s.expiries.first())
	m.Reply(struct{}{})
}

// mostWarning is how long before its credentials expire a session is warned at the earliest, in seconds.
const mostWarning = 60

// expire sets when the credentials of a session expire, in Unix nanoseconds; 0 is never. The warning comes when half of the time has passed,
// if that is later than mostWarning says.
func (s *supervisor) expire(c *Session, at int64) {
	c.expires, c.warning = at, 0
	if s.hub.config.WarnOfExpiry && c.Client.Encoding().IsV2() {
		left := time.Until(time.Unix(0, at))
		c.warning = uint8(max(0, min(mostWarning, left/2/time.Second))) // #nosec G115 -- at most mostWarning
	}
	s.expiries.add(c)
}

// closeExpired closes the sessions whose credentials have expired, and warns those whose credentials are about to expire.
func (s *supervisor) closeExpired(now time.Time) {
	for first := s.expiries.first(); !first.IsZero() && !first.After(now); first = s.expiries.first() {
		c := s.expiries[0]
		s.expiries.remove(c)
		left := time.Unix(0, c.expires).Sub(now)
		if left <= 0 {
			c.Client.Close(wire.CredentialsExpired)
			continue
		}
		s.warn(c, left)
	}
	s.wakeFor(s.expiries.first())
}

// warn tells a session that its credentials expire in this time. It is closed then.
func (s *supervisor) warn(c *Session, left time.Duration) {
	seconds := uint64(max(1, left.Seconds()+0.5)) // #nosec G115 -- positive; 0 might be taken for nothing
	c.Client.Enqueue(wire.NewAnswers(c.Client.Encoding(), wire.AppendExpires(nil, seconds), 1))
	c.warning = 0
	s.expiries.add(c)
}

// expiries are the sessions whose credentials expire, as a heap in the order of due. Owned by the supervisor.
//
// Invariant: a session that is in it has its index there, plus 1, as its heapPlace.
type expiries []*Session

// first returns when the next session is due, or the zero time when none is.
func (e expiries) first() time.Time {
	if len(e) == 0 {
		return time.Time{}
	}
	return time.Unix(0, e[0].due())
}

// due returns when the session is to be warned or, if it was, closed, in Unix nanoseconds.
func (c *Session) due() int64 { return c.expires - int64(c.warning)*int64(time.Second) }

// unixNano returns a time in Unix nanoseconds, the nearest one that there is, or 0 for the zero time.
func unixNano(at time.Time) int64 {
	switch {
	case at.IsZero():
		return 0
	case at.Unix() >= math.MaxInt64/int64(time.Second): // in the year 2262
		return math.MaxInt64
	case at.Unix() <= 0:
		return 1
	}
	return at.UnixNano()
}

// add takes note of a session, if its credentials expire.
func (e *expiries) add(c *Session) {
	if c.expires != 0 {
		heap.Push(e, c)
	}
}

// remove forgets a session, if it is known.
func (e *expiries) remove(c *Session) {
	if c.heapPlace > 0 {
		heap.Remove(e, int(c.heapPlace)-1)
	}
}

// Len, Less, Swap, Push and Pop are for package heap.

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].due() < e[j].due() }
func (e expiries) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].heapPlace, e[j].heapPlace = int32(i+1), int32(j+1) // #nosec G115 -- 2^31 do not fit into memory
}

func (e *expiries) Push(c any) {
	*e = append(*e, c.(*Session))
	(*e)[len(*e)-1].heapPlace = int32(len(*e)) // #nosec G115 -- 2^31 do not fit into memory
}

func (e *expiries) Pop() any {
	last := len(*e) - 1
	c := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	c.heapPlace = 0
	return c
}

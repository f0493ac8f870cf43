package hub

import "time"

// The clock for what is due at a time of its own, unlike the heartbeat. It ticks at most once a second, and not at all while
// nothing is due. All functions in this file run in the supervisor's goroutine.

// resolution is the shortest time between two ticks, and so how late what is due may be.
const resolution = time.Second

// clock is one timer for all that is due. Owned by the supervisor.
type clock struct {
	timer  *time.Timer // posts due; nil before it is needed
	next   time.Time   // when it does; zero: it does not
	ticked time.Time   // when it last did
}

// wakeFor makes the clock tick when something is due, or up to a second later. For the zero time, nothing is.
func (s *supervisor) wakeFor(at time.Time) {
	c := &s.clock
	if at.IsZero() || !c.next.IsZero() && !at.Before(c.next) {
		return
	}
	if earliest := c.ticked.Add(resolution); at.Before(earliest) {
		at = earliest
	}
	c.next = at
	if c.timer == nil {
		c.timer = time.AfterFunc(time.Until(at), func() { s.post(due{}) })
	} else {
		c.timer.Reset(time.Until(at))
	}
}

// stopClock lets the clock tick no more.
func (s *supervisor) stopClock() {
	if s.clock.timer != nil {
		s.clock.timer.Stop()
	}
}

func (due) handle(s *supervisor) {
	now := time.Now()
	if s.clock.next.IsZero() || now.Before(s.clock.next) { // the timer was moved on when it had fired already
		return
	}
	s.clock.next, s.clock.ticked = time.Time{}, now
	s.closeExpired(now)
}

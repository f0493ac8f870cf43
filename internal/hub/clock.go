package hub

import "time"

// The clock for what is due at a time of its own, unlike the heartbeat. It ticks at most once a second, and not at all while
// nothing is due. All functions in this file run in the supervisor's goroutine.

// resolution is the shortest time between two ticks, and so how late what is due may be.
const resolution = time.Second

// longest is the longest time between two ticks while something is due: what is due goes by the wall clock, which may be set, or go on
// while the machine sleeps, and a timer does not know of that.
const longest = time.Minute

// clock is one timer for all that is due. Owned by the supervisor.
type clock struct {
	timer  *time.Timer // posts a clockTick; nil before it is needed
	next   time.Time   // when something is due next; zero: nothing is
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
	wait := min(time.Until(at), longest)
	if c.timer == nil {
		c.timer = time.AfterFunc(wait, func() { s.post(clockTick{}) })
	} else {
		c.timer.Reset(wait)
	}
}

// stopClock lets the clock tick no more.
func (s *supervisor) stopClock() {
	if s.clock.timer != nil {
		s.clock.timer.Stop()
	}
}

// handle may come before anything is due: closeExpired, tendTopics and tellPresence set the next tick.
func (clockTick) handle(s *supervisor) {
	now := time.Now()
	s.clock.next, s.clock.ticked = time.Time{}, now
	s.closeExpired(now)
	s.tendTopics(now)
	s.tellPresence(now)
}

package hub

import "time"

// The heartbeat. All functions in this file run in the supervisor's goroutine, but divide, which is pure.

// Over how many slots the pings of an interval are spread, so that ten thousand clients are not pinged in the same
// instant.
const (
	minSlots = 25
	maxSlots = 1000
)

// wheel tells which sessions to ping and which to reap at each tick of the clock: one timer for all of them.
// Owned by the supervisor.
type wheel struct {
	timeout int          // in ticks
	slots   [][]*Session // Invariant: each session has its slot, and its place there as its turn
	now     int          // ticks so far; slot now%len(slots) was pinged last
	next    int          // the slot for the next newcomer
}

func newWheel(interval, timeout time.Duration) *wheel {
	n, tick := divide(interval, timeout)
	ticks := timeout / tick
	if timeout%tick > 0 {
		ticks++
	}
	return &wheel{timeout: int(ticks), slots: make([][]*Session, n)}
}

// divide says into how many ticks an interval falls, and how long each is: short enough that pings are spread and the
// timeout is kept to within a quarter, but not so short that the clock does nothing but tick.
func divide(interval, timeout time.Duration) (n int, tick time.Duration) {
	n = max(minSlots, min(maxSlots, int(interval/max(1, timeout/4))))
	n = min(n, int(interval/time.Millisecond))
	return n, interval / time.Duration(n)
}

func (w *wheel) add(c *Session) {
	w.next = (w.next + 1) % len(w.slots)
	slot := w.slots[w.next]
	c.slot, c.turn = int32(w.next), int32(len(slot)) // #nosec G115 -- 2^31 do not fit into memory
	w.slots[w.next] = append(slot, c)
	c.pinged = w.now
}

// remove puts the last session of a slot into the place of another one.
func (w *wheel) remove(c *Session) {
	slot := w.slots[c.slot]
	last := len(slot) - 1
	moved := slot[last]
	slot[c.turn], moved.turn = moved, c.turn
	slot[last] = nil
	w.slots[c.slot] = slot[:last]
}

// at returns the sessions that are pinged at a tick. Early ticks may be negative.
func (w *wheel) at(tick int) []*Session {
	n := len(w.slots)
	return w.slots[(tick%n+n)%n]
}

// handle reaps whoever was pinged one timeout ago and has not answered this ping or a later one, then pings the next
// slot, and looks at their outboxes.
func (tick) handle(s *supervisor) {
	s.hub.ticking.Store(false)
	s.allowances.expire()
	w := s.wheel
	w.now++
	for _, c := range w.at(w.now - w.timeout) {
		if w.now-c.pinged >= w.timeout {
			c.Client.Reap()
		}
	}
	for _, c := range w.at(w.now) {
		s.hub.config.OutboxBytes.Observe(c.Client.Queued())
		if c.Client.Ping() {
			c.pinged = w.now
		}
	}
}

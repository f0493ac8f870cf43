package tank

import "time"

// wheelSlots is over how many slots the pings of an interval are spread, so that ten thousand clients are not pinged
// in the same instant.
const wheelSlots = 25

// wheel tells which clients to ping and which to reap at each tick of the clock: one timer for all of them.
// Owned by the supervisor.
type wheel struct {
	timeout int // in ticks
	slots   []map[*Client]struct{}
	now     int // ticks so far; slot now%len(slots) was pinged last
	next    int // the slot for the next newcomer
}

func newWheel(interval, timeout time.Duration) *wheel {
	n, tick := divide(interval)
	return &wheel{timeout: int((timeout + tick - 1) / tick), slots: make([]map[*Client]struct{}, n)}
}

// divide says into how many ticks an interval falls, and how long each is: 1 ms at least, as the interval is.
func divide(interval time.Duration) (n int, tick time.Duration) {
	n = min(wheelSlots, int(interval/time.Millisecond))
	return n, interval / time.Duration(n)
}

func (w *wheel) add(c *Client) {
	w.next = (w.next + 1) % len(w.slots)
	c.slot = w.next
	if w.slots[c.slot] == nil {
		w.slots[c.slot] = make(map[*Client]struct{})
	}
	w.slots[c.slot][c] = struct{}{}
	c.pinged = w.now
}

func (w *wheel) remove(c *Client) { delete(w.slots[c.slot], c) }

// runClock posts a tick to the supervisor whenever it is time to look at the next slot, until Shutdown is complete.
// It runs in the goroutine of Start.
func (m *Manager) runClock() {
	_, every := divide(m.config.heartbeatInterval)
	clock := time.NewTicker(every)
	defer clock.Stop()
	for {
		select {
		case <-clock.C:
			m.supervisor.Post(tick{})
		case <-m.done:
			return
		}
	}
}

// at returns the clients that are pinged at a tick. Early ticks may be negative.
func (w *wheel) at(tick int) map[*Client]struct{} {
	n := len(w.slots)
	return w.slots[(tick%n+n)%n]
}

// handle reaps whoever was pinged one timeout ago and has not answered this ping or a later one, then pings the next
// slot.
func (tick) handle(s *supervisor) {
	w := s.wheel
	w.now++
	for c := range w.at(w.now - w.timeout) {
		if w.now-c.pinged >= w.timeout {
			c.conn.Reap()
		}
	}
	for c := range w.at(w.now) {
		if c.conn.Ping() {
			c.pinged = w.now
		}
	}
}

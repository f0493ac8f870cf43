package tank

import "time"

// wheelSlots is over how many slots the pings of an interval are spread, so that ten thousand clients are not pinged
// in the same instant.
const wheelSlots = 25

// wheel tells which clients to ping and which to reap at each tick of the clock: one timer for all of them.
// Owned by the supervisor.
type wheel struct {
	tick    time.Duration
	timeout int // in ticks
	slots   []map[*Client]struct{}
	now     int // ticks so far; slot now%len(slots) was pinged last
	next    int // the slot for the next newcomer
}

func newWheel(interval, timeout time.Duration) *wheel {
	n := max(1, min(wheelSlots, int(interval/time.Millisecond)))
	tick := interval / time.Duration(n)
	ticks := int((timeout + tick - 1) / tick)
	return &wheel{tick: tick, timeout: ticks, slots: make([]map[*Client]struct{}, n)}
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
	clock := time.NewTicker(heartbeatTick(m.config))
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

func heartbeatTick(c *config) time.Duration {
	return newWheel(c.heartbeatInterval, c.heartbeatTimeout).tick
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

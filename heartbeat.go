package tank

import "time"

// wheelSlots is over how many slots the pings of an interval are spread, so that ten thousand clients are not pinged
// in the same instant.
const wheelSlots = 25

// wheel tells which clients to ping and which to reap at each tick of the clock: one timer for all of them.
// Owned by the supervisor.
type wheel struct {
	tick    time.Duration
	timeout int // in ticks; Invariant: 1 <= timeout <= len(slots)
	slots   []map[*Client]struct{}
	now     int // the slot pinged last
	next    int // the slot for the next newcomer
}

func newWheel(interval, timeout time.Duration) *wheel {
	n := max(1, min(wheelSlots, int(interval/time.Millisecond)))
	tick := interval / time.Duration(n)
	ticks := int((timeout + tick - 1) / tick)
	return &wheel{tick: tick, timeout: min(ticks, n), slots: make([]map[*Client]struct{}, n)}
}

func (w *wheel) add(c *Client) {
	w.next = (w.next + 1) % len(w.slots)
	c.slot = w.next
	if w.slots[c.slot] == nil {
		w.slots[c.slot] = make(map[*Client]struct{})
	}
	w.slots[c.slot][c] = struct{}{}
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

// handle reaps the slot that was pinged one timeout ago, then pings the next.
func (tick) handle(s *supervisor) {
	w := s.wheel
	w.now = (w.now + 1) % len(w.slots)
	for c := range w.slots[(w.now-w.timeout+len(w.slots))%len(w.slots)] {
		c.conn.Reap()
	}
	for c := range w.slots[w.now] {
		c.conn.Ping()
	}
}

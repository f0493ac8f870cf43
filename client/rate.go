package client

import (
	"math"
	"time"
)

// Rate is how often something may happen: so many times per second, and as many as Burst at once after a rest. It counts
// as a token bucket does. The zero Rate is no limit.
type Rate struct{ PerSecond, Burst int }

// meter counts against a Rate. The zero meter has rested.
type meter struct {
	due time.Time // when the rest is complete
}

// take counts one event, and returns for how long it is early.
func (m *meter) take(r Rate) (early time.Duration) {
	if r == (Rate{}) {
		return 0
	}
	now, each := time.Now(), time.Second/time.Duration(r.PerSecond)
	if m.due.Before(now) {
		m.due = now
	}
	ahead := time.Duration(min(int64(r.Burst-1), int64(math.MaxInt64/max(each, 1)))) * each
	early = max(0, m.due.Sub(now)-ahead)
	m.due = m.due.Add(each)
	return early
}

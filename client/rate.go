package client

import (
	"math"
	"time"
)

// Rate is how often something may happen: so many times per second, and as many as Burst at once after a rest. It counts
// as a token bucket does. The zero Rate is no limit; otherwise both are positive.
type Rate struct{ PerSecond, Burst int }

// meter counts against a Rate. The zero meter has rested.
type meter struct {
	due int64 // when it has rested completely, Unix nanoseconds
}

// take counts one event, and returns for how long it is early.
func (m *meter) take(r Rate) (early time.Duration) {
	if r == (Rate{}) {
		return 0
	}
	now, each := time.Now().UnixNano(), int64(time.Second)/int64(r.PerSecond)
	ahead := min(int64(r.Burst-1), math.MaxInt32*int64(time.Second)/max(each, 1)) * each
	if m.due < now || m.due > now+ahead+int64(time.Second) { // it is never so far ahead: the clock was set back
		m.due = now
	}
	early = time.Duration(max(0, m.due-now-ahead))
	m.due += each
	return early
}

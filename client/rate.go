package client

import "time"

// Rate is how often something may happen: so many times per second, and as many as Burst at once after a rest. It counts
// as a token bucket does. The zero Rate is no limit; otherwise both are positive, and Burst is at most MaxBurst.
type Rate struct{ PerSecond, Burst int }

// MaxBurst is a burst that never comes, and whose time in nanoseconds can be reckoned with.
const MaxBurst = 1 << 30

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
	ahead := int64(r.Burst-1) * each
	if m.due < now || m.due > now+ahead+int64(time.Second) { // it is never so far ahead: the clock was set back
		m.due = now
	}
	early = time.Duration(max(0, m.due-now-ahead))
	m.due += each
	return early
}

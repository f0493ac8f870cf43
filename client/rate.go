package client

import (
	"sync/atomic"
	"time"
)

// Rate is how often something may happen: so many times per second, and as many as Burst at once after a rest. It counts
// as a token bucket does. The zero Rate is no limit; otherwise both are positive, and Burst is at most MaxBurst.
type Rate struct{ PerSecond, Burst int }

// MaxBurst is a burst that never comes, and whose duration in nanoseconds does not overflow.
const MaxBurst = 1 << 30

// each is how long one event takes to be allowed again. The rate must not be zero.
func (r Rate) each() time.Duration { return time.Second / time.Duration(r.PerSecond) }

// maxCharge is the most events that are counted at once.
const maxCharge = 1000

// meter counts events against a Rate. The allowance of the zero meter is full.
type meter struct {
	full atomic.Int64 // the instant when the allowance is full again, in nanoseconds; one goroutine writes it, any reads it
}

// take counts n events at once, maxCharge at most, and returns how early they come.
func (m *meter) take(r Rate, n int) (early time.Duration) { return m.takeAt(instant(), r, n) }

// takeAt is take, at the instant that it is now.
func (m *meter) takeAt(at time.Duration, r Rate, n int) (early time.Duration) {
	if r == (Rate{}) {
		return 0
	}
	each := r.each()
	full := max(at, time.Duration(m.full.Load()))
	m.full.Store(int64(full + time.Duration(min(n, maxCharge))*each))
	return max(0, full-at-time.Duration(r.Burst-1)*each)
}

// refill is how long a meter takes to be full, of whose allowance nothing is left, and so many events more are charged.
func (r Rate) refill(more int) time.Duration {
	if r == (Rate{}) {
		return 0
	}
	return time.Duration(r.Burst+more) * r.each()
}

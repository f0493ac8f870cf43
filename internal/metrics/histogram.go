// Package metrics counts what happens too often to be told one by one.
package metrics

import "sync/atomic"

// Histogram counts observations by size. Any goroutine may use it; nobody waits.
type Histogram struct {
	bounds []int64         // immutable: inclusive upper bounds of the buckets, increasing
	counts []atomic.Uint64 // one more than bounds, for all that is larger
	sum    atomic.Int64
}

// NewHistogram returns a histogram with buckets up to and including each of the bounds, which increase, and one for all that
// is larger. What is observed most had better fall into the first ones.
func NewHistogram(bounds ...int64) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts one value. A nil Histogram does not.
func (h *Histogram) Observe(value int64) {
	if h == nil {
		return
	}
	i := 0
	for i < len(h.bounds) && value > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(value)
}

// Bounds returns the upper bounds of the buckets but the last. They must not be changed.
func (h *Histogram) Bounds() []int64 { return h.bounds }

// Counts returns how many values fell into each bucket.
func (h *Histogram) Counts() []uint64 {
	counts := make([]uint64, len(h.counts))
	for i := range counts {
		counts[i] = h.counts[i].Load()
	}
	return counts
}

// Sum returns the sum of all values.
func (h *Histogram) Sum() int64 { return h.sum.Load() }

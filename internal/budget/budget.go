// Package budget counts memory that many share.
package budget

import "sync/atomic"

// Budget bounds the memory of many holders together. It is safe for concurrent use, and none of its methods blocks.
type Budget struct {
	// Immutable.
	bytes    int
	exceeded func()

	held   atomic.Int64
	called atomic.Bool // exceeded was called, and Rearm was not since
}

// New makes a budget of so many bytes; zero: no bound. exceeded is called when Check finds more bytes held, to have Rearm called and
// memory given back. It must not block.
func New(bytes int, exceeded func()) *Budget {
	return &Budget{bytes: bytes, exceeded: exceeded}
}

// Add counts so many bytes more, or fewer.
func (b *Budget) Add(bytes int) { b.held.Add(int64(bytes)) }

// Held returns how many bytes are held.
func (b *Budget) Held() int64 { return b.held.Load() }

// Excess returns how many bytes are held beyond the bound, or 0.
func (b *Budget) Excess() int64 {
	if b.bytes <= 0 {
		return 0
	}
	return max(0, b.held.Load()-int64(b.bytes))
}

// Check calls exceeded when too much is held, unless that was done since the last Rearm.
func (b *Budget) Check() {
	if b.Excess() > 0 && b.called.CompareAndSwap(false, true) {
		b.exceeded()
	}
}

// Rearm lets exceeded be called again, and reports whether more bytes are held than allowed.
func (b *Budget) Rearm() (exceeded bool) {
	b.called.Store(false)
	return b.Excess() > 0
}

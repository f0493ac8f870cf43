package client

import (
	"sync/atomic"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Budget bounds the memory of what waits in the outboxes of all clients that share it. What several of them wait for
// counts once, but for what it takes to wait. A socket that takes everything at once is not asked.
type Budget struct {
	// Immutable.
	bytes    int
	exceeded func()

	held   atomic.Int64
	called atomic.Bool // exceeded was called, and Rearm was not since
}

// NewBudget makes a budget of so many bytes; zero: no bound. exceeded is called when more bytes wait, to have Rearm called, and a
// client with a large outbox closed by Evict; and once more when that one has given its memory back and it was not enough. It
// must not block.
func NewBudget(bytes int, exceeded func()) *Budget {
	return &Budget{bytes: bytes, exceeded: exceeded}
}

// Held returns how many bytes wait. Any goroutine may call it.
func (b *Budget) Held() int64 { return b.held.Load() }

// slotBytes is what a slot of an outbox takes.
const slotBytes = 8

func (b *Budget) add(batch *wire.Batch)    { b.held.Add(int64(batch.Hold())) }
func (b *Budget) remove(batch *wire.Batch) { b.held.Add(-int64(batch.Release())) }

// Rearm lets exceeded be called again, and reports whether more bytes are held than allowed.
func (b *Budget) Rearm() (exceeded bool) {
	b.called.Store(false)
	return b.isExceeded()
}

func (b *Budget) isExceeded() bool { return b.bytes > 0 && b.held.Load() > int64(b.bytes) }

func (b *Budget) check() {
	if b.isExceeded() && b.called.CompareAndSwap(false, true) {
		b.exceeded()
	}
}

// hold counts what is left waiting. It runs in the actor.
func (c *Client) hold() {
	o := &c.out.outbox
	if o.held >= len(o.slots) {
		return
	}
	for ; o.held < len(o.slots); o.held++ {
		if b := o.slots[o.held]; b != nil {
			c.opts.Budget.add(b)
		}
	}
	c.countSlots(cap(o.slots))
	c.opts.Budget.check()
}

// countSlots makes so many slots count. It runs in the actor.
func (c *Client) countSlots(n int) {
	o := &c.out.outbox
	if n != o.counted {
		c.opts.Budget.held.Add(int64(n-o.counted) * slotBytes)
		o.counted = n
	}
}

// release counts the batch in a slot no more, if it was counted. It runs in the actor.
func (c *Client) release(slot int) {
	if slot < c.out.outbox.held {
		c.opts.Budget.remove(c.out.outbox.slots[slot])
	}
}

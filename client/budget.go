package client

import (
	"github.com/fanqie/tank-websocket-go-server/internal/budget"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// The memory of what waits in the outboxes of all clients that share Options.Budget. What several of them wait for counts once, but
// for what it takes to wait. A socket that takes everything at once is not asked.

// slotBytes is what a slot of an outbox takes.
const slotBytes = 8

func hold(in *budget.Budget, b *wire.Batch)    { in.Add(b.Hold()) }
func release(in *budget.Budget, b *wire.Batch) { in.Add(-b.Release()) }

// The functions from here on run in the actor.

// hold counts what is left waiting.
func (c *Client) hold() {
	o := &c.out.outbox
	if o.held >= len(o.slots) {
		return
	}
	for ; o.held < len(o.slots); o.held++ {
		if b := o.slots[o.held]; b != nil {
			hold(c.opts.Budget, b)
		}
	}
	c.countSlots(cap(o.slots))
	c.opts.Budget.Check()
}

// countSlots makes so many slots count.
func (c *Client) countSlots(n int) {
	o := &c.out.outbox
	if n != o.counted {
		c.opts.Budget.Add((n - o.counted) * slotBytes)
		o.counted = n
	}
}

// release counts the batch in a slot no more, if it was counted.
func (c *Client) release(slot int) {
	if slot < c.out.outbox.held {
		release(c.opts.Budget, c.out.outbox.slots[slot])
	}
}

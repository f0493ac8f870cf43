package client

import (
	"errors"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// What an outbox does past its limit. All functions in this file run in the actor.

// Policy is what happens to a client that does not read fast enough, when its outbox is full.
type Policy int

// The policies.
const (
	CloseSlow  Policy = iota // it is closed with 1013: nothing is ever skipped on an open connection
	DropOldest               // the oldest messages are dropped
	KeepLatest               // of each topic, all but the latest message are dropped; then, if need be, the oldest
)

var errLosing = errors.New("outbox is full: messages are dropped")

// isFull reports whether the batches that the actor has accepted are over the limit. Those that are still in its mailbox do
// not count: the policy has not seen them.
func (c *Client) isFull() bool { return c.out.outbox.bytes > c.opts.OutboxBytes }

// shed makes room in an outbox that is over its limit, if the policy is to drop messages. Answers stay, those that are being written
// do, and so does the newest batch: it is over the limit all by itself if the rest is not enough. But before a client is closed over
// an unasked notice, all that may be dropped is. It takes constant time for each message that was accepted since, amortized.
func (c *Client) shed(unasked bool) {
	stays := 1
	if unasked {
		stays = 0
	}
	if c.opts.Policy == CloseSlow || c.out.outbox.mayDrop <= stays {
		return
	}
	if !c.out.losing {
		c.out.losing = true
		c.owner.Failed(LossFault, errLosing)
	}
	if c.opts.Policy == KeepLatest {
		c.keepLatest()
	}
	c.dropOldest(stays)
}

// dropOldest drops as many of the oldest messages as it takes, but so many of the newest batches.
func (c *Client) dropOldest(stays int) {
	o := &c.out.outbox
	for c.isFull() && o.mayDrop > stays {
		slot := o.firstToDrop()
		b, excess := o.slots[slot], o.bytes-c.opts.OutboxBytes
		if c.size(b) > excess {
			if rest := b.Without(c.encoding, excess); rest.Messages > 0 {
				c.shedFirst(slot, rest)
				return
			}
		}
		c.shedAll(slot)
	}
}

// shedAll drops a waiting batch.
func (c *Client) shedAll(slot int) {
	c.noteLoss(slot, c.out.outbox.slots[slot].Messages)
	c.dropAt(slot)
}

// shedFirst drops the first messages of a waiting batch, so that the rest is left.
func (c *Client) shedFirst(slot int, rest *wire.Batch) {
	c.noteLoss(slot, c.out.outbox.slots[slot].Messages-rest.Messages)
	c.cutAt(slot, rest)
}

// keepLatest drops all but the latest message of each topic, which may have ended and begun anew meanwhile. Messages of no topic stay,
// and so do answers.
//
// Of the batches that it has seen before, only the latest of each topic are left, with one message each.
func (c *Client) keepLatest() {
	o := &c.out.outbox
	if o.latest == nil {
		o.latest = make(map[string]int)
	}
	first := max(o.indexed, o.done+o.begun)
	for i := first; i < len(o.slots); i++ {
		b := o.slots[i]
		if b == nil || !hasLatest(b) {
			continue
		}
		if before, ok := o.latest[b.Topic]; ok && before >= o.done+o.begun && o.slots[before] != nil {
			c.shedAll(before)
		}
		o.latest[b.Topic] = i
	}
	for i := first; i < len(o.slots); i++ {
		if b := o.slots[i]; b != nil && hasLatest(b) && b.Messages > 1 {
			c.shedFirst(i, b.Last(c.encoding))
		}
	}
	o.indexed = len(o.slots)
}

// hasLatest reports whether only the latest of such messages need be kept: those of a topic, and those for everybody.
func hasLatest(b *wire.Batch) bool { return b.Lost != nil && !b.Answers }

package client

import (
	"errors"
	"sync/atomic"
)

// Policy is what happens to a client that does not read fast enough, when its outbox is full.
type Policy int

// The policies.
const (
	CloseSlow  Policy = iota // it is closed with 1013: nothing is ever skipped on an open connection
	DropOldest               // the oldest messages are dropped
	KeepLatest               // of each topic, all but the latest message are dropped; then, if need be, the oldest
)

var errLosing = errors.New("outbox is full: messages are dropped")

// shed makes room in an outbox that is over its limit, if the policy is to drop messages. Those that are being written
// stay, and so does the newest batch: it is over the limit all by itself if the rest is not enough.
func (c *Client) shed() {
	if c.opts.Policy == CloseSlow || len(c.out.waiting()) < 2 {
		return
	}
	if !c.out.losing {
		c.out.losing = true
		c.owner.Failed(LossFault, errLosing)
	}
	if c.opts.Policy == KeepLatest {
		c.keepLatest()
	}
	c.dropOldest()
}

// dropOldest drops as many of the oldest messages as it takes.
func (c *Client) dropOldest() {
	o := &c.out
	first := o.written + o.begun
	next := first
	for excess := c.excess(); excess > 0 && next < len(o.batches)-1; excess = c.excess() {
		b := o.batches[next]
		c.release(next)
		if rest := b.Without(c.deflate, excess); rest.Messages > 0 {
			c.lose(b, b.Messages-rest.Messages, c.size(b)-c.size(rest))
			c.replace(next, rest)
			break
		}
		c.drop(b)
		o.batches[next] = nil
		next++
	}
	o.held = max(o.held, next)
	copy(o.batches[o.written+next-first:], o.batches[o.written:first]) // those that are being written
	clear(o.batches[o.written : o.written+next-first])
	o.written += next - first
}

// excess returns how many bytes the outbox is over its limit.
func (c *Client) excess() int { return int(c.queued.Load()) - c.opts.OutboxBytes }

// keepLatest drops all but the latest message of each topic. Messages of no topic stay. A batch's counter of losses stands for
// its topic; one that ended and began anew meanwhile has another, and counts as another topic.
func (c *Client) keepLatest() {
	o := &c.out
	first := o.written + o.begun
	kept := len(o.batches) // where the batches that are kept begin: they move to the end
	seen := make(map[*atomic.Uint64]bool)
	for i := len(o.batches) - 1; i >= first; i-- {
		b := o.batches[i]
		c.release(i)
		switch {
		case b.Lost == nil:
		case seen[b.Lost]:
			c.drop(b)
			continue
		default:
			seen[b.Lost] = true
			if b.Messages > 1 {
				latest := b.Last(c.deflate)
				c.lose(b, b.Messages-1, c.size(b)-c.size(latest))
				b = latest
			}
		}
		kept--
		o.batches[kept] = b
	}
	o.held = min(o.held, first)
	o.truncate(first + copy(o.batches[first:], o.batches[kept:]))
}

// truncate forgets the batches from n on.
func (o *output) truncate(n int) {
	clear(o.batches[n:])
	o.batches, o.held = o.batches[:n], min(o.held, n)
}

package client

import (
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// keptSlots is how many slots stay allocated while an outbox is empty.
const keptSlots = 4

// outbox is the batches that are being written, and those that wait behind them, in order. Owned by the actor.
//
// Invariant: slots holds what was written, as nil; then so many slots as begun, which are being written; then those that wait.
// A batch that was dropped leaves nil in its slot until compact. So adding, taking and dropping a batch take constant time,
// amortized, however many there are.
type outbox struct {
	slots   []*wire.Batch // shared, read-only
	done    int           // slots before this one are written
	begun   int           // slots behind those are being written, and must not be dropped
	waiting int           // batches behind those
	mayDrop int           // how many of these the policy may drop
	bytes   int           // of all batches that are not written
	held    int           // batches in slots before this one count against the budget, and no others
	counted int           // slots that count against it

	// What was found in slots, until forget.
	searched int            // no batch waits in a slot before this one; see first
	sought   int            // none that may be dropped does; see firstToDrop
	indexed  int            // slots before this one are in latest; see keepLatest
	latest   map[string]int // slot of the newest batch of each topic

	losses map[string][]loss // of each topic, oldest first
}

func (o *outbox) empty() bool { return o.begun == 0 && o.waiting == 0 }

// add takes a batch of which so many bytes are to be written.
func (o *outbox) add(b *wire.Batch, size int) {
	if n := len(o.slots); n == cap(o.slots) && o.begun+o.waiting <= n/2 {
		o.compact()
	}
	o.slots = append(o.slots, b)
	o.countWaiting(b, 1)
	o.bytes += size
}

// compact moves the batches to the first slots.
func (o *outbox) compact() {
	o.moveLosses()
	n, begun, held := 0, 0, 0
	for i, b := range o.slots {
		if b == nil {
			continue
		}
		if i < o.done+o.begun {
			begun++
		}
		if i < o.held {
			held++
		}
		o.slots[n] = b
		n++
	}
	clear(o.slots[n:])
	o.slots, o.done, o.begun, o.held = o.slots[:n], 0, begun, held
	o.forget()
}

// forget is for whoever moves batches to other slots, or takes slots away.
func (o *outbox) forget() { o.searched, o.sought, o.indexed, o.latest = 0, 0, 0, nil }

// first returns the slot of the batch that has waited longest. Some batch must be waiting.
func (o *outbox) first() int {
	o.searched = max(o.searched, o.done+o.begun)
	for o.slots[o.searched] == nil {
		o.searched++
	}
	return o.searched
}

// firstToDrop returns the slot of the batch that has waited longest of those that may be dropped. There must be one.
func (o *outbox) firstToDrop() int {
	o.sought = max(o.sought, o.done+o.begun)
	for o.slots[o.sought] == nil || o.slots[o.sought].Answers {
		o.sought++
	}
	return o.sought
}

// oldest returns the batch that has waited longest. Some batch must be waiting.
func (o *outbox) oldest() *wire.Batch { return o.slots[o.first()] }

// messagesOf returns how many messages of a topic are not written, those that are being written included.
func (o *outbox) messagesOf(topic string) (n int) {
	for _, b := range o.slots {
		if b != nil && b.Lost != nil && b.Topic == topic && !b.Answers {
			n += b.Messages
		}
	}
	return n
}

// begin takes the batch that has waited longest to be written. Some batch must be waiting.
func (o *outbox) begin() *wire.Batch {
	next := o.first()
	if o.begun == 0 {
		o.done = next
	}
	o.begun = next + 1 - o.done
	o.countWaiting(o.slots[next], -1)
	return o.slots[next]
}

// countWaiting counts one batch more among those that wait, by 1, or one less, by -1.
func (o *outbox) countWaiting(b *wire.Batch, by int) {
	o.waiting += by
	if !b.Answers {
		o.mayDrop += by
	}
}

// remove takes a waiting batch, of which so many bytes were to be written, out of its slot.
func (o *outbox) remove(slot, size int) {
	o.countWaiting(o.slots[slot], -1)
	o.slots[slot] = nil
	o.bytes -= size
}

// unbegin lets the batches that are being written wait again.
func (o *outbox) unbegin() {
	for _, b := range o.slots[o.done : o.done+o.begun] {
		if b != nil {
			o.countWaiting(b, 1)
		}
	}
	o.begun, o.searched, o.sought = 0, 0, 0
}

// reset makes an empty outbox new. None of its slots may count against the budget.
func (o *outbox) reset() {
	slots := o.slots[:0]
	if cap(slots) > keptSlots {
		slots = nil
	}
	*o = outbox{slots: slots}
}

// The functions below keep what the client and the budget count in step with the outbox.

// dropAt drops a waiting batch.
func (c *Client) dropAt(slot int) {
	b := c.out.outbox.slots[slot]
	c.release(slot)
	c.out.outbox.remove(slot, c.size(b))
	c.drop(b)
}

// cutAt replaces a waiting batch by what is left of it when its first messages are dropped.
func (c *Client) cutAt(slot int, rest *wire.Batch) {
	o := &c.out.outbox
	b := o.slots[slot]
	dropped := c.size(b) - c.size(rest)
	c.release(slot)
	o.bytes -= dropped
	c.lose(b, b.Messages-rest.Messages, dropped)
	o.slots[slot] = rest
	if slot < o.held {
		hold(c.opts.Budget, rest)
	}
}

// waitingBytes returns how many bytes wait, those that are being written aside.
func (c *Client) waitingBytes() int {
	o := &c.out.outbox
	waiting := o.bytes
	for _, b := range o.slots[o.done : o.done+o.begun] {
		if b != nil {
			waiting -= c.size(b)
		}
	}
	return waiting
}

// wrote takes note that what had begun is written.
func (c *Client) wrote() {
	c.countCopied(0)
	c.wroteAllBut(0)
}

// wroteAllBut takes note that what had begun is written, but for the last bytes.
func (c *Client) wroteAllBut(left int) {
	o := &c.out.outbox
	first := o.done + o.begun // slot that is not written
	for ; left > 0 && first > o.done; first-- {
		if b := o.slots[first-1]; b != nil {
			left -= c.size(b)
		}
	}
	for ; o.done < first; o.done++ {
		if b := o.slots[o.done]; b != nil {
			c.noteWritten(b)
			o.bytes -= c.size(b)
			c.release(o.done)
			o.slots[o.done] = nil // the others may take long
		}
		o.begun--
	}
	o.held = max(o.held, o.done)
}

// resetOutbox gives the slots of an empty outbox back. A peer that was not told of losses will not be.
func (c *Client) resetOutbox() {
	c.countSlots(0)
	c.forgetLosses()
	c.out.outbox.reset()
}

// discard drops what waits, for good.
func (c *Client) discard() {
	o := &c.out.outbox
	first := o.done + o.begun
	for i := first; i < len(o.slots); i++ {
		if o.slots[i] != nil {
			c.dropAt(i)
		}
	}
	o.slots, o.held = o.slots[:first], min(o.held, first)
	o.forget()
	if first == o.done { // nothing is being written
		c.resetOutbox()
		c.emptied.Store(true)
		c.opts.Budget.Check() // nobody else looks when the last bytes are gone
	}
}

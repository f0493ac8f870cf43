package client

import "github.com/fanqie/tank-websocket-go-server/internal/wire"

// Notices of loss: how a peer of tank.v2 learns which publications the outbox policy has dropped. A notice comes behind the publications
// of its topic that were kept before the loss, and in front of everything about the topic that comes later. All functions in this file
// run in the actor.

// loss is publications of a topic that were dropped one after the other, and that no notice has named yet.
type loss struct {
	slot     int // the notice belongs in front of what this slot has
	messages uint64
	last     uint64 // number of the last message
}

// lossBytes is the memory that a loss counts as: its own, and its share of the map.
const lossBytes = 64

// noteLoss records that the first messages of the batch in a slot are dropped, so many of them. Those that no answer about the topic
// separates from the loss before share its notice.
func (c *Client) noteLoss(slot, messages int) {
	o := &c.out.outbox
	b := o.slots[slot]
	if !c.encoding.IsV2() || b.Topic == "" {
		return
	}
	if o.losses == nil {
		o.losses = make(map[string][]loss)
	}
	of := o.losses[b.Topic]
	if n := len(of); n == 0 || o.answers(b.Topic, of[n-1].slot, slot) {
		of = append(of, loss{})
		c.opts.Budget.Add(lossBytes)
	}
	l := &of[len(of)-1]
	l.slot = slot
	l.messages += uint64(messages) // #nosec G115 -- a count
	l.last = b.Number(messages - 1)
	o.losses[b.Topic] = of
}

// answers reports whether answers about a topic wait in one of these slots.
func (o *outbox) answers(topic string, from, to int) bool {
	if o.mayDrop == o.waiting { // as nearly always
		return false
	}
	for _, b := range o.slots[from:to] {
		if b != nil && b.Answers && b.Topic == topic {
			return true
		}
	}
	return false
}

// lossesBefore returns the notices that belong in front of the batch in a slot, or nil, and forgets their losses.
func (c *Client) lossesBefore(slot int) (notices []byte) {
	o := &c.out.outbox
	topic := o.slots[slot].Topic
	of := o.losses[topic]
	for len(of) > 0 && of[0].slot <= slot {
		notices = c.appendLoss(notices, topic, of[0])
		of = of[1:]
	}
	switch {
	case notices == nil:
	case len(of) > 0:
		o.losses[topic] = of
	default:
		delete(o.losses, topic)
	}
	return notices
}

// allLosses returns the notices of all losses, or nil, and forgets the losses. Their order counts only while batches wait.
func (c *Client) allLosses() (notices []byte) {
	for topic, of := range c.out.outbox.losses {
		for _, l := range of {
			notices = c.appendLoss(notices, topic, l)
		}
	}
	c.out.outbox.losses = nil
	return notices
}

// appendLoss appends the notice of a loss, which does not take memory any more.
func (c *Client) appendLoss(notices []byte, topic string, l loss) []byte {
	c.opts.Budget.Add(-lossBytes)
	c.opts.Counters.Lost.Add(l.messages)
	return wire.AppendLost(notices, topic, l.messages, l.last)
}

// forgetLosses forgets all losses. The peer will not be told of them.
func (c *Client) forgetLosses() {
	for _, of := range c.out.outbox.losses {
		c.opts.Budget.Add(-lossBytes * len(of))
	}
	c.out.outbox.losses = nil
}

// moveLosses gives losses the slots that their batches will have when compact has moved these.
func (o *outbox) moveLosses() {
	if len(o.losses) == 0 {
		return
	}
	to := make([]int, len(o.slots)) // for each slot, how many batches are in those before it
	n := 0
	for i, b := range o.slots {
		to[i] = n
		if b != nil {
			n++
		}
	}
	for _, of := range o.losses {
		for i := range of {
			of[i].slot = to[of[i].slot]
		}
	}
}

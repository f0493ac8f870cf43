package client

import "github.com/fanqie/tank-websocket-go-server/internal/wire"

// What a peer that speaks tank.v2 is told of publications that were dropped: behind those of the topic that it gets before, and in
// front of anything that is about the topic and comes behind them. All functions in this file run in the actor.

// loss is publications of a topic that were dropped, one behind the other, and of which the peer has not been told.
type loss struct {
	slot     int // the notice belongs in front of what this slot has
	messages uint64
	last     uint64 // number of the last message
}

// lossBytes is what a loss takes: its own bytes, and its share of the map.
const lossBytes = 64

// noteLoss takes note that so many of the first messages of the batch in a slot are dropped.
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
	l.messages += uint64(messages)               // #nosec G115 -- a count
	l.last = b.Seq - uint64(b.Messages-messages) // #nosec G115 -- there are not more
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

// lossesBefore returns the notices that belong in front of the batch in a slot, or nil. The peer counts as told.
func (c *Client) lossesBefore(slot int) (notices []byte) {
	o := &c.out.outbox
	topic := o.slots[slot].Topic
	of := o.losses[topic]
	for len(of) > 0 && of[0].slot <= slot {
		notices = c.appendLoss(notices, topic, of[0])
		of = of[1:]
	}
	if notices != nil {
		o.setLosses(topic, of)
	}
	return notices
}

// allLosses returns the notices that are left when nothing waits, or nil. The peer counts as told.
func (c *Client) allLosses() (notices []byte) {
	for topic, of := range c.out.outbox.losses {
		for _, l := range of {
			notices = c.appendLoss(notices, topic, l)
		}
	}
	c.out.outbox.losses = nil
	return notices
}

func (c *Client) appendLoss(notices []byte, topic string, l loss) []byte {
	c.opts.Budget.Add(-lossBytes)
	return wire.AppendLost(notices, topic, l.messages, l.last)
}

func (o *outbox) setLosses(topic string, of []loss) {
	if len(of) > 0 {
		o.losses[topic] = of
	} else {
		delete(o.losses, topic)
	}
}

// moveLosses is called before the batches move to the first slots.
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

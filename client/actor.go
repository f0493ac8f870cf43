package client

import (
	"iter"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// message is what a client actor understands.
type message interface{ handle(*Client) }

type (
	frames      struct{ *wire.Batch }    // write these
	ping        struct{}                 // write a ping
	pong        struct{ payload []byte } // answer one
	sendClose   struct{}                 // write a close frame behind what is queued
	writerEnded struct{ err error }      // the writer edge has written what it was given
	readerEnded struct {                 // the reader has seen the last of the peer
		closed bool // the last of the peer was its close frame
	}
	cut struct{} // end it now
	lag struct { // answered with how many messages of a topic are queued
		actor.Request[int]
		topic string
	}
)

// receive is the actor: all functions below run in its goroutine. None of them waits for the network.
func (c *Client) receive(iter.Seq[message]) {
	for msg, ok := c.ref.Next(); ok; msg, ok = c.ref.Next() {
		msg.handle(c)
	}
	c.writeQueued()
}

func (m frames) handle(c *Client) { c.accept(m.Batch) }

// accept takes a batch, or drops it and reports false when nothing is to be written any more.
func (c *Client) accept(b *wire.Batch) bool {
	why := c.closing.Load()
	if c.out.closeFrame != closeNone || why != nil && why.discards {
		c.drop(b)
		return false
	}
	c.out.outbox.add(b, c.size(b))
	if c.isFull() {
		c.shed(b.Unasked)
	}
	if b.Unasked && c.isFull() && c.out.outbox.waiting > 1 && c.waitingBytes() > c.opts.OutboxBytes { // nothing is left that may be dropped
		c.evict(errSlow, false)
	}
	return true
}

func (ping) handle(c *Client) {
	c.writeQueued() // or the heartbeat could overtake the first message of all, hello
	if c.out.closeFrame != closeNone || c.gone {
		return
	}
	c.out.pings = true
	c.out.urgent(wire.AppendHeader(nil, wire.OpPing, 0))
	if c.encoding.IsV2() {
		c.out.urgent(wire.AppendBeat(nil)) // pages cannot see pings
	}
}

// handle answers a ping. When too many answers wait, RFC 6455 section 5.5.3 lets all but the latest go.
func (m pong) handle(c *Client) {
	if c.out.closeFrame != closeNone {
		return
	}
	if len(c.out.control) > maxControl {
		c.out.control = c.out.control[:0]
		if c.out.pings { // the heartbeat's ping was among them
			ping{}.handle(c)
		}
	}
	c.out.urgent(wire.AppendFrame(nil, wire.OpPong, m.payload))
}

func (m writerEnded) handle(c *Client) {
	c.out.writing = false
	switch {
	case c.gone:
	case m.err != nil:
		c.writeFailed(m.err)
	case len(c.out.rest) == 0:
		c.wrote()
	}
}

func (m lag) handle(c *Client) { m.Reply(c.out.outbox.messagesOf(m.topic)) }

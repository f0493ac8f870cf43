package client

import (
	"iter"
	"net"

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
)

// receive is the actor: all functions below run in its goroutine. None of them waits for the network.
func (c *Client) receive(mail iter.Seq[message]) {
	for msg := range mail {
		msg.handle(c)
	}
	c.flush()
}

func (m frames) handle(c *Client) { c.accept(m.Batch) }

// accept takes a batch, or drops it and reports false when nothing is to be written any more.
func (c *Client) accept(b *wire.Batch) bool {
	why := c.closing.Load()
	if c.out.closeFrame != closeNone || why != nil && why.discard {
		c.drop(b)
		return false
	}
	c.out.outbox.add(b, c.size(b))
	if c.isFull() {
		c.shed()
	}
	return true
}

func (ping) handle(c *Client) {
	if c.out.closeFrame == closeNone {
		c.out.urgent(wire.AppendHeader(nil, wire.OpPing, 0))
	}
}

// handle answers a ping. When too many answers wait, RFC 6455 section 5.5.3 lets all but the latest go.
func (m pong) handle(c *Client) {
	if c.out.closeFrame != closeNone {
		return
	}
	if len(c.out.control) > maxControl {
		c.out.control = c.out.control[:0]
		if c.pinging.Load() { // the heartbeat's ping was among them
			ping{}.handle(c)
		}
	}
	c.out.urgent(wire.AppendFrame(nil, wire.OpPong, m.payload))
}

func (sendClose) handle(c *Client) {
	if c.out.closeFrame == closeNone { // else it is gone already
		c.out.closeFrame = closeDue
	}
	why := c.closing.Load()
	if why.discard {
		c.discard()
	}
	switch {
	case !why.relief:
	case c.out.outbox.begun > 0: // that would stay in memory, and in the way of the close frame
		c.finish()
	default:
		c.relieve()
	}
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

// writeCloseFrame goes on with the close frame, when everything before it is written.
func (c *Client) writeCloseFrame() {
	why := c.closing.Load()
	if c.out.closeFrame == closeDue && why.code != wire.CloseAbnormal { // else there is nobody to write to
		c.out.urgent(wire.AppendClose(nil, why.code, why.reason))
		c.out.closeFrame = closeBegun
		return
	}
	c.out.closeFrame = closeDone
	if why.deaf {
		c.closeWrite()
	}
	if c.readerDone {
		c.finish()
	}
}

// closeWrite tells a peer whose frames are not looked at any more, and so not its close frame either, that this was all:
// it hangs up at once instead of waiting for the hard close. See linger.
func (c *Client) closeWrite() {
	conn, ok := c.conn.raw.(interface{ CloseWrite() error }) // TCP, TLS
	switch {
	case !ok:
	case c.conn.belowTLS() != nil:
		go conn.CloseWrite() // which may wait for the peer
	default:
		conn.CloseWrite()
	}
}

func (m readerEnded) handle(c *Client) {
	c.readerDone, c.peerClosed = true, m.closed
	if c.out.closeFrame == closeDone { // else the close frame is not written yet
		c.finish()
	}
}

func (cut) handle(c *Client) { c.finish() }

func (c *Client) writeFailed(err error) {
	failed := &closeReason{code: wire.CloseAbnormal, reason: "write failed"}
	if err == errStalled {
		failed.reason = "write timeout"
	}
	if c.closing.CompareAndSwap(nil, failed) { // else it was to end anyway
		c.owner.Failed(WriteFault, err)
	}
	c.finish()
}

// finish closes the socket and takes leave.
func (c *Client) finish() {
	if c.gone {
		return
	}
	c.gone, c.out.closeFrame = true, closeDone
	c.out.outbox.unbegin()
	c.discard()
	c.forget()
	if c.closing.Load().relief {
		c.relieve()
	}
	if t := c.hardClose.Load(); t != nil {
		t.Stop()
	}
	c.ref.Stop()
	socket := c.conn.belowTLS()
	switch {
	case socket == nil:
		c.leave(c.conn.raw)
	case c.peerClosed:
		go c.leave(c.conn.raw) // tls.Conn.Close says goodbye first, for which it may wait 5 s
	default:
		c.leave(socket)
	}
}

// leave closes the socket and tells the owner.
func (c *Client) leave(socket net.Conn) {
	socket.Close()
	why := c.closing.Load()
	c.owner.Gone(why.code, why.reason)
}

// relieve says, once, that the client holds nothing any more: the budget was waiting for that.
func (c *Client) relieve() {
	if !c.relieved {
		c.relieved = true
		c.opts.Budget.Eased()
		c.opts.Budget.check()
	}
}

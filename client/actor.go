package client

import (
	"iter"
	"net"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// message is what a client actor understands.
type message interface{ handle(*Client) }

type (
	frames      struct{ *wire.Batch } // write these
	ping        struct{}              // write a ping
	pong        struct{}              // write a pong with pongData
	sendClose   struct{}              // write a close frame behind what is queued
	readerEnded struct {              // the reader has seen the last of the peer
		closed bool // which was its close frame
	}
	cut struct{} // end it now
)

// receive is the actor: all functions below run in its goroutine.
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
	c.out.add(b)
	return true
}

func (ping) handle(c *Client) {
	c.pinged.Store(0)
	if c.out.closeFrame == closeNone {
		c.out.urgent(wire.AppendHeader(nil, wire.OpPing, 0))
	}
}

func (pong) handle(c *Client) {
	if payload := c.pongData.Swap(nil); payload != nil && c.out.closeFrame == closeNone {
		c.out.urgent(wire.AppendFrame(nil, wire.OpPong, *payload))
	}
}

func (sendClose) handle(c *Client) { c.out.closeFrame = closeDue }

// writeCloseFrame goes on with the close frame, when everything before it is written.
func (c *Client) writeCloseFrame() {
	why := c.closing.Load()
	if c.out.closeFrame == closeDue && why.code != wire.CloseAbnormal { // else there is nobody to write to
		c.out.urgent(wire.AppendClose(nil, why.code, why.reason))
		c.out.closeFrame = closeBegun
		return
	}
	c.out.closeFrame = closeDone
	if why.code == wire.CloseProtocolError {
		c.closeWrite()
	}
	if c.readerDone {
		c.finish()
	}
}

// closeWrite tells a peer whose frames cannot be understood any more, and so not its close frame either, that this
// was all: it hangs up at once instead of waiting for the hard close. See linger.
func (c *Client) closeWrite() {
	if tcp, ok := c.conn.raw.(interface{ CloseWrite() error }); ok { // TCP, TLS
		tcp.CloseWrite()
	}
}

func (m readerEnded) handle(c *Client) {
	c.readerDone, c.peerClosed = true, m.closed
	if c.out.closeFrame == closeDone { // else the close frame is on its way
		c.finish()
	}
}

func (cut) handle(c *Client) { c.finish() }

func (c *Client) writeFailed(err error) {
	failed := &closeReason{code: wire.CloseAbnormal, reason: "write failed"}
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
	c.discard()
	if t := c.hardClose.Load(); t != nil {
		t.Stop()
	}
	c.closeSocket()
	why := c.closing.Load()
	c.owner.Gone(why.code, why.reason)
	c.ref.Stop()
}

// closeSocket hangs up. tls.Conn.Close says goodbye first, for which it waits up to 5 s when the peer does not read; so
// it is asked only when the peer has closed, too.
func (c *Client) closeSocket() {
	secure, ok := c.conn.raw.(interface{ NetConn() net.Conn })
	if ok && !c.peerClosed {
		secure.NetConn().Close()
		return
	}
	c.conn.raw.Close()
}

// discard gives up what was gathered and not written.
func (c *Client) discard() {
	for _, b := range c.out.waiting() {
		c.drop(b)
	}
	c.out.reset()
}

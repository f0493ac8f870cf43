package client

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// How a connection ends:
//
//	open ---> closing ---> close frame written ---> gone
//	  \          \                   \              ^
//	   `----------`-------------------`-------------'   Cut, a failed write, or the close timeout
//
// startClosing makes an open client closing, and tells the owner. The close frame goes behind what is queued. Then the peer has
// to show that it was the last: by its own close frame, or the end of its bytes. The actor alone decides to close the socket, in
// finish.

// closing is why a connection ends, and how.
type closing struct {
	wire.Close
	discards    bool // queued bytes are discarded
	byBudget    bool // the budget waits for the memory of the queued bytes
	ignoresPeer bool // the peer's frames are not looked at any more
	byPeer      bool // the peer has begun it

	within time.Duration // over which clients of tank.v2 that are to come back spread; zero: the peer is not told to
}

// isRetriable reports whether a client that is closed so may come back as it is: the end was not its fault, nor its own wish.
func (c *closing) isRetriable() bool {
	switch code := c.Code; {
	case c.byPeer, code == wire.CloseNormal, code == wire.CloseProtocolError, code == wire.CloseNoStatus, code == wire.CloseAbnormal:
		return false
	case code >= wire.CloseInvalidPayload && code <= wire.CloseTooBig, code >= 3000:
		return false
	}
	return true
}

// The functions from here on may be called by any goroutine. None of them blocks.

// Closing reports whether the client accepts nothing any more.
func (c *Client) Closing() bool { return c.closing.Load() != nil }

// Close starts the closing handshake behind what is queued. It reports false when the client is closing already; then the first
// reason stands.
func (c *Client) Close(why wire.Close) bool { return c.startClosing(closing{Close: why}) }

// Cut ends the connection without a closing handshake, at once.
func (c *Client) Cut(reason string) {
	c.markClosing(closing{Close: wire.Close{Code: wire.CloseAbnormal, Reason: reason}})
	c.ref.Post(cut{})
}

var errSlow = errors.New("outbox is full")

// Evict closes the client with 1013 because the queued bytes of all clients exceed the budget, see Budget. Its queued bytes are
// discarded; when some of them are being written, there is no close frame either. A client that is closing already is disconnected.
// It reports false when the client has no queued bytes any more.
func (c *Client) Evict(why error) bool {
	if c.evict(why, true) {
		return true
	}
	if c.IsEmptied() {
		return false
	}
	c.owner.Failed(SlowFault, why)
	c.Cut(wire.SlowClient.Reason)
	return true
}

// IsEmptied reports whether the memory of the queued bytes is given back for good: the client is closing, and has discarded them.
func (c *Client) IsEmptied() bool { return c.emptied.Load() }

// evict closes a client with too many queued bytes, and discards these bytes: the peer has shown that it does not read them.
func (c *Client) evict(why error, byBudget bool) bool {
	if !c.startClosing(closing{Close: wire.SlowClient, discards: true, byBudget: byBudget}) {
		return false
	}
	c.opts.Counters.Evicted.Add(1)
	c.owner.Failed(SlowFault, why)
	return true
}

// markClosing makes an open client closing. It reports false when it is that already.
func (c *Client) markClosing(why closing) bool {
	if !c.closing.CompareAndSwap(nil, &why) {
		return false
	}
	c.owner.CloseBegun()
	return true
}

// startClosing begins the closing handshake. A timer stands behind every close, because the peer may stall anywhere.
func (c *Client) startClosing(why closing) bool {
	if c.encoding.IsV2() && c.opts.ReturnWithin != nil && why.isRetriable() {
		why.within = c.opts.ReturnWithin()
	}
	if !c.markClosing(why) {
		return false
	}
	c.hardClose.Store(time.AfterFunc(c.opts.CloseTimeout, func() { c.Cut("close timeout") }))
	c.ref.Post(sendClose{})
	return true
}

// panicked ends the client whose actor panicked: what it was about to write is lost.
func (c *Client) panicked(err *actor.PanicError) {
	c.owner.Failed(WriteFault, err)
	c.Cut(wire.InternalError.Reason)
}

// The functions from here on run in the reader.

// fail closes the connection over something the peer did, and reports that, unless it is closing already.
func (c *Client) fail(why wire.Close, fault Fault, err error) {
	c.owner.Paused()
	c.failWith(closing{Close: why}, fault, err)
}

// abandon is for a fault in the middle of a message, or one behind which the peer's frames cannot be understood or are too many:
// they are not looked at any more (RFC 6455, section 7.1.7).
func (c *Client) abandon(why wire.Close, fault Fault, err error) {
	c.conn.reader.abandoned = true
	c.owner.Paused()
	c.failWith(closing{Close: why, ignoresPeer: true}, fault, err)
}

func (c *Client) failWith(why closing, fault Fault, err error) {
	if c.startClosing(why) {
		c.owner.Failed(fault, err)
	}
}

var errTimeout = errors.New("a message did not come to its end within the message timeout")

// readEnded finds out why reading ended and starts closing accordingly, if that has not begun.
func (c *Client) readEnded(err error) {
	var peer peerClosed
	var panicked *actor.PanicError
	var cut cutOff
	switch {
	case errors.As(err, &peer):
		c.answerClose(wire.Close(peer))
	case c.conn.reader.abandoned:
		c.linger()
	case errors.As(err, &cut) && errors.Is(cut.error, os.ErrDeadlineExceeded):
		c.abandon(wire.SlowMessage, TimeoutFault, errTimeout)
		c.linger()
	case cut.error != nil:
		c.lost(cut.error)
	case errors.As(err, &panicked):
		c.abandon(wire.InternalError, ReadFault, err)
		if c.closing.Load().ignoresPeer { // else it has begun before, and the peer may wait for the end
			c.linger()
		}
	default:
		c.abandon(wire.ProtocolError, ProtocolFault, err)
		c.linger()
	}
}

// answerClose answers the peer's close frame with the same code, RFC 6455 section 5.5.1.
func (c *Client) answerClose(peers wire.Close) {
	if utf8.ValidString(peers.Reason) {
		c.startClosing(closing{Close: peers, byPeer: true})
	} else {
		c.fail(wire.ReasonNotUTF8, ProtocolFault, errNotUTF8)
	}
}

// lost reports a connection that ended without a close frame, unless it was ended from this side.
func (c *Client) lost(err error) {
	reason := "connection lost"
	if errors.Is(err, io.EOF) {
		reason = "connection closed without a close frame"
	}
	c.fail(wire.Close{Code: wire.CloseAbnormal, Reason: reason}, ReadFault, fmt.Errorf("%s: %w", reason, err))
}

// linger reads and discards until the peer hangs up or the hard close comes, RFC 6455 section 7.1.1: closing a socket
// with unread data on it resets the connection, and the peer might never see the close frame.
func (c *Client) linger() {
	c.conn.raw.SetReadDeadline(time.Time{})
	buf := inputs.Get().(*input)
	defer inputs.Put(buf)
	for {
		n, err := readSome(c.conn.raw, buf[:])
		if err != nil {
			return
		}
		c.conn.reader.pace(n, 0)
	}
}

// The functions from here on run in the actor.

func (sendClose) handle(c *Client) {
	if c.out.closeFrame == closeNone { // else it is gone already
		c.out.closeFrame = closeDue
	}
	why := c.closing.Load()
	switch {
	case !why.discards:
	case why.byBudget && c.out.outbox.begun > 0: // that would stay in memory, and in the way of the close frame
		c.finish()
	default:
		c.discard()
	}
}

// writeCloseFrame goes on with the close frame, when everything before it is written.
func (c *Client) writeCloseFrame() {
	why := c.closing.Load()
	if c.out.closeFrame == closeDue && why.Code != wire.CloseAbnormal { // else there is nobody to write to
		if why.within > 0 {
			c.out.urgent(wire.AppendBye(nil, why.Code, uint64(why.within.Milliseconds()))) // #nosec G115 -- positive
		}
		c.out.urgent(wire.AppendClose(nil, why.Code, why.Reason))
		c.out.closeFrame = closeBegun
		return
	}
	c.out.closeFrame = closeDone
	if why.ignoresPeer {
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
	case c.try == nil:
		go conn.CloseWrite() // of TLS, it may wait for the peer
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
	failed := closing{Close: wire.Close{Code: wire.CloseAbnormal, Reason: "write failed"}}
	if err == errStalled {
		failed.Reason = "write timeout"
	}
	if c.markClosing(failed) { // else it was to end anyway
		c.owner.Failed(WriteFault, err)
	}
	c.finish()
}

// finish closes the socket and tells the owner. It is the end of every connection.
func (c *Client) finish() {
	if c.gone {
		return
	}
	c.gone, c.out.closeFrame = true, closeDone
	c.out.outbox.unbegin()
	c.discard()
	c.forget()
	if t := c.hardClose.Load(); t != nil {
		t.Stop()
	}
	c.ref.Stop()
	socket := c.conn.belowTLS()
	switch {
	case socket != nil && !c.peerClosed:
		c.closeSocket(socket)
	case c.try == nil:
		go c.closeSocket(c.conn.raw) // tls.Conn.Close, which middleware may hide, says goodbye first, for which it may wait 5 s
	default:
		c.closeSocket(c.conn.raw)
	}
}

// closeSocket runs in the actor or, where closing may take long, in a goroutine of its own.
func (c *Client) closeSocket(socket net.Conn) {
	socket.Close()
	if r := c.conn.reader; c.opts.Poller != nil && r.isSocket {
		c.opts.Poller.Release(&r.socket)
	}
	why := c.closing.Load()
	c.owner.Gone(why.Code, why.Reason)
}

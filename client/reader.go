package client

import (
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/poller"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// input is what is read from a socket at a time. An idle connection has none.
type input [4 << 10]byte

var inputs = sync.Pool{New: func() any { return new(input) }}

// leastInput is the smallest buffer that holds any control frame.
const leastInput = wire.MaxClientHeader + wire.MaxControlPayload

// reader is the receiving half of a connection: what was received of the frame and the message at hand. Its fields belong to the reader
// edge.
//
// Every connection has one, so it is small.
type reader struct {
	client  *Client       // set before anything is read
	socket  poller.Socket // of the connection, or, with TLS, below it; without Raw when there is none
	buf     []byte        // where is read to: of a socket, an input, or nil while nothing is pending
	pending []byte        // received, and not looked at: a part of buf, or what came with the handshake
	message incoming      // the message at hand
	paced   meter         // of what is read while the client is closing, see pace
	last    time.Duration // the instant when something was received last, or the owner has returned it
	stays   time.Duration // the instant up to which it stays in its goroutine: waits there, or, without a poller, does not go on in a new one
	held    int32         // microseconds for which messages were held since nothing was left to read: a pong may have waited for so long
	clock   clock         // what the read deadline is for
	inner   uint8         // frames that are not counted against the rate yet: all of a message but its first, and control frames among them
	unpaced uint16        // bytes that were read while the client is closing, and are not counted in paced yet
	frames  uint16        // that have begun since the last call of pace

	isSocket  bool // the connection is nothing but a socket; else it cannot be read without a buffer at hand
	abandoned bool // the peer's frames are not looked at any more
	early     bool // pending came with the handshake, and was not looked at
	busy      bool // things were received in a row, see busyWithin
	polled    bool // the poller knows the socket
}

// newReader gives the connection its reader, of which early was received.
func (c *Conn) newReader(early []byte, readBuffer int) {
	r := &reader{pending: early, early: len(early) > 0}
	r.socket = poller.Socket{Raw: rawSocket(c.raw), Owner: r}
	if r.isSocket = r.socket.Raw != nil; r.isSocket {
		c.try = socket{r.socket.Raw}
	} else {
		r.socket.Raw = rawSocket(c.belowTLS())
		c.try, _ = c.raw.(tryWriter)
		r.buf = make([]byte, max(leastInput, cmp.Or(readBuffer, defaultReadBuffer)))
	}
	c.reader = r
}

// cutOff is why nothing more can be read: the network, or the peer's slowness, and not the protocol.
type cutOff struct{ error }

func (e cutOff) Unwrap() error { return e.error }

// clock is what a read deadline is for.
type clock uint8

const (
	noClock  clock = iota // there is none
	running               // for the message at hand, or the control frame
	outdated              // for one that has ended
	staying               // for the next message, see rest
)

var errAbandoned = errors.New("the peer's frames are not looked at any more")

// How a reader waits for the next message. Without a goroutine it takes the least memory, and with one the least time. A goroutine whose
// stack has grown, to look at a message, takes more than twice of what a new one takes to wait; Go never makes it so small again.
const (
	// busyWithin is how soon one thing has to follow another for the reader to stay in its goroutine.
	busyWithin = 100 * time.Millisecond

	// renewal is how often it goes on in a new goroutine at most, where there is no poller.
	renewal = 100 * time.Millisecond
)

// rest reports whether the reader has gone on elsewhere, to wait there for the next message: without a goroutine, or in a new one. Then the
// caller must not touch it any more.
func (r *reader) rest() bool {
	c := r.client
	switch {
	case !r.isSocket, r.early, r.inside():
	case c.opts.Poller == nil:
		if now := instant(); now >= r.stays {
			r.stays = now + renewal
			go c.read(true)
			return true
		}
	case !r.busy:
		r.setClock()
		r.polled = true
		c.opts.Poller.Wait(&r.socket)
		return true
	}
	return false
}

// Readable implements poller.Owner.
func (r *reader) Readable() { r.client.read(true) }

// inside reports whether a part of a message, or of a frame, was received.
func (r *reader) inside() bool { return r.message.open || len(r.pending) > 0 }

// receive waits for more of what the peer sends: at most as much as fits behind what is pending, or, in a long payload, into the
// message itself. Its error is a cutOff. A connection without a poller spends its life here, so this has to be called with little on the
// stack.
func (r *reader) receive() error {
	if r.early {
		r.early, r.last = false, instant()
		return nil
	}
	r.setClock()
	into, long := r.room()
	var n int
	var err error
	if r.isSocket {
		n, err = r.readSocket(into)
	} else {
		n, err = readSome(r.client.conn.raw, into)
	}
	switch {
	case n > 0: // an error comes again with the next call
	case r.clock == staying && errors.Is(err, os.ErrDeadlineExceeded):
		r.busy = false
		return nil
	default:
		return cutOff{err}
	}
	if n < cmp.Or(len(into), len(input{})) { // that was all
		r.held = 0
	}
	r.note(instantOf(r.client.seen()))
	r.pace(n, int(r.frames))
	r.frames = 0
	if long {
		r.message.extend(n)
	} else {
		r.pending = r.buf[:len(r.pending)+n]
	}
	return nil
}

// emptyReads is how many reads of a connection may return nothing, and no error, in a row: as many as bufio allows.
const emptyReads = 100

// readSome reads from a connection that may belong to middleware, and return nothing now and then.
func readSome(conn net.Conn, into []byte) (n int, err error) {
	for range emptyReads {
		if n, err = conn.Read(into); n != 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// note takes note that something was received now.
func (r *reader) note(now time.Duration) {
	r.busy = now-r.last < busyWithin
	if !r.busy { // it waited for the peer
		r.client.behind = 0
	}
	r.last = now
}

// room returns where to read to: nil stands for the start of an input. long says that it is the message itself.
func (r *reader) room() (into []byte, long bool) {
	size := len(input{})
	if !r.isSocket {
		size = len(r.buf)
	}
	switch m := &r.message; {
	case len(r.pending) > 0: // a part of a frame, which begins the buffer from here on
		if r.buf == nil { // it came with the handshake
			r.buf = inputs.Get().(*input)[:]
		}
		n := copy(r.buf, r.pending)
		r.pending, into = r.buf[:n], r.buf[n:]
	case m.left >= uint64(size):
		into, long = m.room(size), true
	case !r.isSocket:
		into = r.buf
	}
	if r.client.Closing() { // see pace
		into = into[:min(len(into), len(input{}))]
	}
	return into, long
}

// take takes bytes off what is pending. They are gone with the next call of receive.
func (r *reader) take(n int) []byte {
	taken := r.pending[:n:n]
	r.pending = r.pending[n:]
	return taken
}

// release gives the input back that is not needed any more.
func (r *reader) release() {
	r.pending = nil
	if r.isSocket && r.buf != nil {
		inputs.Put((*input)(r.buf))
		r.buf = nil
	}
}

// setClock is called before waiting for the peer. The time of a message begins with the first wait for the rest of it.
// Between two there is no limit, but a reader that is busy waits in its goroutine for a moment only.
func (r *reader) setClock() {
	c := r.client
	switch {
	case r.inside() && c.opts.MessageTimeout > 0:
		if r.clock != running {
			_ = c.conn.raw.SetReadDeadline(time.Now().Add(c.opts.MessageTimeout))
			r.clock = running
		}
	case r.busy && c.opts.Poller != nil && r.isSocket && !r.inside():
		if r.clock != staying || r.stays-r.last < busyWithin {
			r.clock, r.stays = staying, r.last+2*busyWithin // so that this need not be done for each message
			_ = c.conn.raw.SetReadDeadline(time.Now().Add(2 * busyWithin))
		}
	case r.clock != noClock:
		_ = c.conn.raw.SetReadDeadline(time.Time{})
		r.clock = noClock
	}
}

// ended takes note of the end of a message, or of a control frame between two.
func (r *reader) ended() {
	if r.clock == running {
		r.clock = outdated
	}
}

// longAgo is a deadline that has passed, which makes pending and later reads or writes fail without blocking.
var longAgo = time.Unix(1, 0)

package client

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// input is what is read from a socket at a time. An idle connection has none.
type input [4 << 10]byte

var inputs = sync.Pool{New: func() any { return new(input) }}

// leastInput is the smallest buffer that holds any control frame.
const leastInput = wire.MaxClientHeader + wire.MaxControlPayload

// reader is the receiving half of a connection: the socket, and what was received of the frame and the message at hand. Its fields
// belong to the reader edge.
//
// Every connection has one, so it is small.
type reader struct {
	conn     net.Conn
	fd       syscall.RawConn       // the socket of conn; nil when it cannot be read without a buffer at hand
	fillOnce func(fd uintptr) bool // fill, made once
	client   *Client               // set before anything is read
	own      []byte                // where is read to without fd, which has to wait with a buffer; see input
	input    *input                // where is read to with fd; nil: nothing is pending
	pending  []byte                // received, and not looked at: a part of own or input
	into     []byte                // where fill reads to; nil: the start of an input
	got      int                   // bytes that fill has read
	err      error                 // what ended reading, if the network or the peer's slowness did, and not its protocol
	message  incoming              // the message at hand
	closing  meter                 // of what is read while the client is closing, see pace
	fresh    int64                 // since when it has its goroutine, Unix milliseconds
	clock    clock                 // what the read deadline is for
	unpaced  uint16                // bytes that were read while the client is closing, and are not counted in closing yet
	frames   uint16                // that have begun since the last call of pace
	inner    uint8                 // frames that are not counted against the rate yet: all of a message but its first, and control frames among them

	abandoned bool // the peer's frames are not looked at any more
	early     bool // pending came with the handshake, and was not looked at
}

// clock is what a read deadline is for.
type clock uint8

const (
	noClock  clock = iota // there is none
	running               // for the message at hand, or the control frame
	outdated              // for one that has ended
)

var errAbandoned = errors.New("the peer's frames are not looked at any more")

// renewal is how often a busy connection gets a new goroutine at most.
const renewal = 100 * time.Millisecond

// shouldRenew reports whether to go on in a new goroutine. Looking at a message makes the stack grow, to more than twice
// of what it takes to wait for the next one, and Go never makes it so small again.
func (r *reader) shouldRenew() bool {
	if r.fd == nil || r.inside() {
		return false
	}
	now := time.Now().UnixMilli()
	if now-r.fresh < renewal.Milliseconds() {
		return false
	}
	r.fresh = now
	return true
}

// inside reports whether a part of a message, or of a frame, was received.
func (r *reader) inside() bool { return r.message.open || len(r.pending) > 0 }

// receive waits for more of what the peer sends: at most as much as fits behind what is pending, or, in a long payload, into the
// message itself. A connection spends its life here, so this has to be called with little on the stack.
func (r *reader) receive() error {
	if r.early {
		r.early = false
		return nil
	}
	r.setClock()
	long := r.makeRoom()
	r.got = 0
	var err error
	if r.fd != nil {
		err = r.fd.Read(r.fillOnce)
	} else {
		r.got, err = r.conn.Read(r.into)
	}
	if r.got == 0 {
		if r.err == nil {
			r.err = err
		}
		return r.err
	}
	r.client.seen()
	r.pace(r.got, int(r.frames))
	r.frames = 0
	switch {
	case long:
		r.message.extend(r.got)
	case r.fd != nil:
		r.pending = r.input[:len(r.pending)+r.got]
	default:
		r.pending = r.own[:len(r.pending)+r.got]
	}
	return nil // an error comes again with the next call
}

// makeRoom sets where to read to. It reports whether that is the message itself.
func (r *reader) makeRoom() (long bool) {
	size := len(input{})
	if r.fd == nil {
		size = len(r.own)
	}
	switch m := &r.message; {
	case len(r.pending) > 0: // a part of a frame, which begins its buffer from here on
		buf := r.own
		if r.fd != nil {
			if r.input == nil { // it came with the handshake
				r.input = inputs.Get().(*input)
			}
			buf = r.input[:]
		}
		r.into = buf[copy(buf, r.pending):]
		r.pending = buf[:len(r.pending)]
	case m.left >= uint64(size):
		r.into, long = m.room(size), true
	case r.fd != nil:
		r.into = nil
	default:
		r.into = r.own
	}
	if r.client.Closing() { // see pace
		r.into = r.into[:min(len(r.into), len(input{}))]
	}
	return long
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
	if r.input != nil {
		inputs.Put(r.input)
		r.input = nil
	}
}

// setClock is called before waiting for the peer. The time of a message begins with the first wait for the rest of it;
// between two, none runs.
func (r *reader) setClock() {
	timeout := r.client.opts.MessageTimeout
	switch inside := r.inside(); {
	case timeout == 0:
	case inside && r.clock != running:
		_ = r.conn.SetReadDeadline(time.Now().Add(timeout))
		r.clock = running
	case !inside && r.clock != noClock:
		_ = r.conn.SetReadDeadline(time.Time{})
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

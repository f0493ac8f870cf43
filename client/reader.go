package client

import (
	"bufio"
	"errors"
	"math"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// input is what is read from a socket at a time. An idle connection has none.
type input [4 << 10]byte

var inputs = sync.Pool{New: func() any { return new(input) }}

// reader is the connection as the WebSocket library sees it. Its fields belong to the reader edge.
type reader struct {
	net.Conn
	fd        syscall.RawConn       // the socket of Conn; nil when it cannot be read without blocking
	fillOnce  func(fd uintptr) bool // fill, made once
	buffered  *bufio.Reader         // what the library has read, and not looked at
	pending   []byte                // read, and not given to the library
	input     *input                // where pending is, if that has to be given back
	client    *Client               // set before anything is read
	stream    stream                // what was given to the library
	closing   meter                 // of what is read while the client is closing, see pace
	timed     uint32                // the message that the read deadline is for, 1 being the first, modulo 2^32; 0: there is no deadline
	unpaced   uint16                // bytes that were read while the client is closing, and are not counted in closing yet
	abandoned bool                  // the peer's frames are not looked at any more
	err       error                 // what ended reading, if the network or the peer's slowness did, and not its protocol
	fresh     int64                 // since when it has its goroutine, Unix milliseconds
}

var errAbandoned = errors.New("the peer's frames are not looked at any more")

// renewal is how often a busy connection gets a new goroutine at most.
const renewal = 100 * time.Millisecond

// shouldRenew reports whether to go on in a new goroutine. Looking at a message makes the stack grow, to more than twice
// of what it takes to wait for the next one, and Go never makes it so small again.
func (r *reader) shouldRenew() bool {
	if r.fd == nil || r.ready() {
		return false
	}
	now := time.Now().UnixMilli()
	if now-r.fresh < renewal.Milliseconds() {
		return false
	}
	r.fresh = now
	return true
}

// ready reports whether there is something to read that was received before.
func (r *reader) ready() bool { return len(r.pending) > 0 || r.buffered.Buffered() > 0 }

// await blocks until there is something to read. A connection spends its life here, so this has to be called with little
// on the stack: it keeps that as small as a stack can be. Without a socket of its own the library waits instead.
func (r *reader) await() error {
	if r.fd == nil {
		return nil
	}
	for !r.ready() {
		r.setClock()
		if err := r.fd.Read(r.fillOnce); err != nil {
			r.err = err
		}
		if r.err != nil {
			return r.err
		}
		r.takeControls()
		if r.abandoned {
			return errAbandoned
		}
	}
	return nil
}

// takeControls takes complete pings and pongs off what was read, between two messages. All that an idle connection
// receives is answers to the heartbeat, and the library would wait for a message behind them, deep in its stack. Any other
// frame, and one that is not complete, is for the library.
func (r *reader) takeControls() {
	for p := r.pending; !r.abandoned && len(p) >= controlHeader && p[1] >= wire.MaskBit && p[1]&wire.LengthMask <= wire.MaxControlPayload; p = r.pending {
		size := controlHeader + int(p[1]&wire.LengthMask)
		if p[0] != pingFrame && p[0] != pongFrame || len(p) < size {
			break
		}
		r.client.seen()
		if p[0] == pingFrame {
			unmask(p[2:controlHeader], p[controlHeader:size])
			r.client.answerPing(p[controlHeader:size])
		} else {
			r.client.ponged()
		}
		r.pending = p[size:]
		r.pace(size, 1)
	}
	if len(r.pending) == 0 {
		r.release()
	}
}

// Control frames of a client, RFC 6455 section 5.2: their first byte, and how long their header is, mask included.
const (
	pingFrame     = wire.FinBit | byte(wire.OpPing)
	pongFrame     = wire.FinBit | byte(wire.OpPong)
	controlHeader = 6
)

// unmask takes the mask away, RFC 6455 section 5.3.
func unmask(key, payload []byte) {
	for i := range payload {
		payload[i] ^= key[i%len(key)]
	}
}

func (r *reader) Read(p []byte) (n int, err error) {
	switch {
	case r.abandoned:
		return 0, errAbandoned
	case len(r.pending) > 0:
	case r.stream.inside() && r.stream.size > uint64(r.client.mostRaw()): // what was announced is not worth waiting for
		r.client.abandon(wire.MessageTooBig, TooBigFault, wire.ErrTooBig)
		return 0, errAbandoned
	case r.fd != nil && len(p) < len(input{}):
		err = r.receive()
	default:
		r.setClock()
		if r.client.Closing() {
			p = p[:min(len(p), len(input{}))]
		}
		n, err = r.Conn.Read(p)
	}
	if len(r.pending) > 0 {
		n = copy(p, r.pending)
		if r.pending = r.pending[n:]; len(r.pending) == 0 {
			r.release()
		}
	}
	if n == 0 {
		r.err = err
		return 0, err
	}
	r.client.seen()
	r.pass(p[:n])
	return n, nil // an error comes again with the next call
}

// receive waits for the next bytes of a message, more of them than the library asks for.
func (r *reader) receive() error {
	r.setClock()
	buf := inputs.Get().(*input)
	n, err := r.Conn.Read(buf[:])
	if n == 0 {
		inputs.Put(buf)
		return err
	}
	r.pending, r.input = buf[:n], buf
	return nil
}

// setClock is called before waiting for the peer. The time of a message begins with the first wait for the rest of it;
// between two, none runs.
func (r *reader) setClock() {
	var message uint32
	if r.stream.inside() {
		message = r.stream.ended + 1
	}
	timeout := r.client.opts.MessageTimeout
	switch {
	case timeout == 0, r.timed == message:
		return
	case message == 0:
		r.SetReadDeadline(time.Time{})
	default:
		r.SetReadDeadline(time.Now().Add(timeout))
	}
	r.timed = message
}

// ahead returns how much of the message at hand can be asked for without waiting for the peer, 1 at least: all of it when
// it was received to its end.
func (r *reader) ahead() int {
	s := &r.stream
	if !s.inside() || s.fin && !s.control && s.have == 0 && s.payload <= uint64(len(r.pending)) {
		return math.MaxInt
	}
	return max(1, r.buffered.Buffered()+len(r.pending)-maxHeader) // there may be a header in between
}

func (r *reader) release() {
	r.pending = nil
	if r.input != nil {
		inputs.Put(r.input)
		r.input = nil
	}
}

// Write swallows what the library says: close frames, which the actor sends in its own good time.
func (r *reader) Write(p []byte) (int, error) { return len(p), nil }

// Close ends reading only: the library calls it when it has had enough, and the socket is the actor's to close.
func (r *reader) Close() error { return r.SetReadDeadline(longAgo) }

// longAgo is a deadline that has passed, which makes pending and later reads or writes fail without blocking.
var longAgo = time.Unix(1, 0)

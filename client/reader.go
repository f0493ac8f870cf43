package client

import (
	"bufio"
	"net"
	"sync"
	"sync/atomic"
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
	fd       syscall.RawConn       // the same; nil when it cannot be read without blocking
	fillOnce func(fd uintptr) bool // fill, made once
	buffered *bufio.Reader         // what the library has read, and not looked at
	pending  []byte                // read, and not given to the library
	input    *input                // where that is, if it has to be given back
	alive    *atomic.Bool          // set for every sign of life
	marks    *marks                // of compressed messages; nil when compression was not negotiated
	err      error                 // what ended reading: set when the network, not the peer's protocol, failed
	fresh    int64                 // since when it has its goroutine, Unix milliseconds
}

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
		if err := r.fd.Read(r.fillOnce); err != nil {
			r.err = err
		}
		if r.err != nil {
			return r.err
		}
		r.skipPongs()
	}
	return nil
}

// skipPongs takes complete pongs off what was read, between two messages. All that an idle connection receives is answers
// to the heartbeat, and the library would wait for a message behind them, deep in its stack. Any other frame, and a pong
// that is not complete, is for the library.
func (r *reader) skipPongs() {
	for p := r.pending; len(p) >= pongHeader && p[0] == pongFrame && p[1] >= maskedBit && p[1]&lengthMask <= wire.MaxControlPayload; p = r.pending {
		size := pongHeader + int(p[1]&lengthMask)
		if len(p) < size {
			break
		}
		r.alive.Store(true)
		r.pending = p[size:]
	}
	if len(r.pending) == 0 {
		r.release()
	}
}

// A pong of a client, RFC 6455 section 5.2: its first byte, and how long its header is, mask included.
const (
	pongFrame  = 0x80 | byte(wire.OpPong)
	pongHeader = 6
)

func (r *reader) Read(p []byte) (n int, err error) {
	if len(r.pending) > 0 {
		n = copy(p, r.pending)
		if r.pending = r.pending[n:]; len(r.pending) == 0 {
			r.release()
		}
	} else if n, err = r.Conn.Read(p); n == 0 {
		r.err = err
		return 0, err
	}
	r.alive.Store(true)
	if r.marks != nil {
		r.marks.pass(p[:n])
	}
	return n, nil // an error comes again with the next call
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

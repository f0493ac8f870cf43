package client

import (
	"bufio"
	"net"
	"sync"
	"syscall"
	"time"
)

// input is what is read from a socket at a time. An idle connection has none.
type input [4 << 10]byte

var inputs = sync.Pool{New: func() any { return new(input) }}

// reader is the connection as the WebSocket library sees it. Its fields belong to the reader edge.
type reader struct {
	net.Conn
	raw    syscall.RawConn       // the same; nil when it cannot be read without blocking
	fill   func(fd uintptr) bool // take, made once
	behind *bufio.Reader         // what the library has read, and not looked at
	early  []byte                // read already
	input  *input                // where that is, if it has to be given back
	alive  func()                // called for every sign of life
	marks  *marks                // of compressed messages; nil when compression was not negotiated
	err    error                 // what ended reading: set when the network, not the peer's protocol, failed
}

// await blocks until there is something to read. A connection spends its life here, so this has to be called with little
// on the stack: it keeps that as small as a stack can be. Without a socket of its own the library waits instead.
func (r *reader) await() error {
	if r.raw == nil || len(r.early) > 0 || r.behind.Buffered() > 0 {
		return nil
	}
	if err := r.raw.Read(r.fill); err != nil {
		r.err = err
	}
	return r.err
}

func (r *reader) Read(p []byte) (n int, err error) {
	if len(r.early) > 0 {
		n = copy(p, r.early)
		if r.early = r.early[n:]; len(r.early) == 0 {
			r.release()
		}
	} else if n, err = r.Conn.Read(p); n == 0 {
		r.err = err
		return 0, err
	}
	r.alive()
	if r.marks != nil {
		r.marks.pass(p[:n])
	}
	return n, nil // an error comes again with the next call
}

func (r *reader) release() {
	r.early = nil
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

package client

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// write is the writer edge: it writes what the socket did not take at once, and blocks while the peer does not read, so
// that the actor need not. There is one at a time, and none while the socket has room. All functions in this file run in
// its goroutine.
func (c *Client) write(pieces net.Buffers) {
	done := writerEnded{c.writeAll(pieces)}
	if c.ref.Claim() { // go on in this goroutine, as the actor
		done.handle(c)
		c.ref.Run()
	} else {
		c.ref.Post(done)
	}
}

var errStalled = errors.New("the peer has taken nothing for the write timeout")

// writeAll writes the pieces. It gives up when the socket takes nothing for the write timeout. TLS cannot go on after a
// deadline has passed in mid record, so there a watch puts the deadline off; where the system does not tell what the peer
// acknowledges, the socket has to take the whole write in that time.
//
// Each turn of the loop takes bytes off the pieces, or has waited for the write timeout while the peer acknowledged bytes of
// before, or is the last.
func (c *Client) writeAll(pieces net.Buffers) error {
	if !c.conn.gathers() && len(pieces) > 1 {
		joined := join(pieces)
		pieces = net.Buffers{joined}
		c.opts.Budget.held.Add(int64(cap(joined)))
		defer c.opts.Budget.held.Add(-int64(cap(joined)))
	}
	for pieces = skip(pieces, 0); len(pieces) > 0; pieces = skip(pieces, 0) {
		acked := c.acked()
		unwatch := c.limitWrite()
		c.opts.Counters.Waits.Add(1)
		began := time.Now()
		n, err := c.writeSome(&pieces)
		unwatch()
		c.opts.Counters.BytesOut.Add(uint64(n))
		timedOut := errors.Is(err, os.ErrDeadlineExceeded)
		switch {
		case err != nil && !timedOut:
			return err
		case n > 0, timedOut && c.acked() != acked:
			c.progressed(time.Since(began))
		case timedOut:
			return errStalled
		default:
			return io.ErrNoProgress
		}
	}
	if c.opts.WriteTimeout > 0 {
		c.conn.raw.SetWriteDeadline(time.Time{}) // or the actor could not try any more
	}
	return nil
}

// limitWrite makes the write that follows give up when the peer takes nothing for the write timeout. The caller has to call end
// after the write.
func (c *Client) limitWrite() (end func()) {
	switch {
	case c.opts.WriteTimeout == 0:
	case c.try == nil && c.conn.fd != nil:
		w := &watch{c: c}
		w.begin()
		return w.end
	default:
		c.conn.raw.SetWriteDeadline(time.Now().Add(c.opts.WriteTimeout))
	}
	return func() {}
}

// watch looks now and then at what the peer of a connection with TLS has acknowledged, and ends a write when that was nothing
// for the write timeout. A write that does not block is over before the first look.
type watch struct {
	c *Client

	mu    sync.Mutex
	timer *time.Timer
	acked uint64 // bytes, at the last look
	known bool   // there was one
	over  bool   // the deadline is the next write's
}

func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(min(blocked, w.c.opts.WriteTimeout), w.look)
}

func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	timeout := w.c.opts.WriteTimeout
	acked, ok := socketAcked(w.c.conn.fd)
	switch {
	case w.over:
		return
	case !ok:
		w.c.conn.raw.SetWriteDeadline(time.Now().Add(timeout - min(blocked, timeout)))
		return
	case w.known && acked == w.acked:
		w.c.conn.raw.SetWriteDeadline(longAgo)
		return
	case w.known:
		w.c.progressed(timeout)
	}
	w.acked, w.known = acked, true
	w.timer.Reset(timeout)
}

func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.timer.Stop()
}

// writeSome writes until the deadline. A system may call a socket writable only when much of its buffer is free (a third, with
// Linux). So when nothing was taken, another look is needed to tell a peer that reads slowly from one that does not.
func (c *Client) writeSome(pieces *net.Buffers) (int64, error) {
	n, err := pieces.WriteTo(c.conn.raw)
	if n > 0 || c.try == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	c.conn.raw.SetWriteDeadline(time.Time{})
	took, failed := c.try.TryWrite((*pieces)[0])
	*pieces = skip(*pieces, took)
	if failed != nil {
		err = failed
	}
	return int64(took), err
}

// skip takes n bytes off the pieces, and every piece that is empty then: no write would ever take that one off.
func skip(pieces net.Buffers, n int) net.Buffers {
	for len(pieces) > 0 && n >= len(pieces[0]) {
		n -= len(pieces[0])
		pieces[0] = nil
		pieces = pieces[1:]
	}
	if n > 0 {
		pieces[0] = pieces[0][n:]
	}
	return pieces
}

// join makes one piece of several, for connections that would write each by itself.
func join(pieces net.Buffers) []byte {
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	joined := make([]byte, 0, size)
	for _, p := range pieces {
		joined = append(joined, p...)
	}
	return joined
}

// acked returns how many bytes the peer has acknowledged, as far as the connection knows. It tells a peer that reads slowly from
// one that does not: a full socket is not writable again before much of what it holds is acknowledged. With TLS the watch looks
// at it, see limitWrite.
func (c *Client) acked() (bytes uint64) {
	if c.try != nil && c.conn.fd != nil {
		bytes, _ = socketAcked(c.conn.fd)
	}
	return bytes
}

// blocked is how long a write has to take to count as blocked, and not just running.
const blocked = 50 * time.Millisecond

// progressed notes that the socket took something. That is no sign of life by itself, because the socket's buffer takes
// much for a peer that is gone. But when that took its time, the buffer was full, and so the peer must have taken something.
func (c *Client) progressed(took time.Duration) {
	if took >= blocked {
		c.taking.Store(true)
	}
}

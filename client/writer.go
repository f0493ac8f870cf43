package client

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"sync/atomic"
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
		c.opts.Budget.Add(cap(joined))
		defer c.opts.Budget.Add(-cap(joined))
	}
	for pieces = skip(pieces, 0); len(pieces) > 0; pieces = skip(pieces, 0) {
		acked := c.acked()
		unwatch := c.limitWrite()
		c.opts.Counters.Waits.Add(1)
		began := time.Now()
		n, err := c.writeSome(&pieces)
		unwatch()
		c.written.bytes.Add(uint64(n))
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
	case c.try == nil && c.conn.socket() != nil:
		return newWatch(c).end
	default:
		c.conn.raw.SetWriteDeadline(time.Now().Add(c.opts.WriteTimeout))
	}
	return func() {}
}

// watch looks now and then at what the peer of a connection with TLS has acknowledged, and ends a write when that was nothing
// for the write timeout. A write that does not block is over before the first look. Looks run in goroutines of the timer, one
// after the other.
type watch struct {
	c     *Client
	timer *time.Timer
	over  atomic.Bool   // the write has ended
	last  chan struct{} // receives at the end of the last look, if the timer could not be stopped before that

	set atomic.Bool // the write has a deadline

	// Owned by the looks.
	acked uint64 // bytes, at the last look
	known bool   // there was one
}

func newWatch(c *Client) *watch {
	w := &watch{c: c, last: make(chan struct{}, 1)}
	w.timer = time.AfterFunc(math.MaxInt64, w.look)
	w.timer.Reset(min(blocked, c.opts.WriteTimeout))
	return w
}

func (w *watch) look() {
	if w.over.Load() || !w.progresses() {
		w.last <- struct{}{}
		return
	}
	w.timer.Reset(w.c.opts.WriteTimeout)
	if w.over.Load() && w.timer.Stop() { // end was too early for this one
		w.last <- struct{}{}
	}
}

// progresses reports whether the peer has acknowledged something since the last look. If not, or if the system does not tell, it
// sets a deadline, and was the last look.
func (w *watch) progresses() bool {
	timeout := w.c.opts.WriteTimeout
	acked, ok := socketAcked(w.c.conn.socket())
	stalled := w.known && acked == w.acked
	w.set.Store(!ok || stalled)
	switch {
	case !ok:
		w.c.conn.raw.SetWriteDeadline(time.Now().Add(timeout - min(blocked, timeout)))
	case stalled:
		w.c.conn.raw.SetWriteDeadline(longAgo)
	case w.known:
		w.c.progressed(timeout)
	}
	w.acked, w.known = acked, true
	return ok && !stalled
}

// end is called after the write, when the deadline would be the next one's. It waits for a look that is running.
func (w *watch) end() {
	w.over.Store(true)
	if !w.timer.Stop() {
		<-w.last
	}
	if w.set.Load() {
		w.c.conn.raw.SetWriteDeadline(time.Time{})
	}
}

// writeSome writes until the deadline. A system may call a socket writable only when much of its buffer is free (a third, with
// Linux). So when nothing was taken, another look is needed to tell a peer that reads slowly from one that does not.
func (c *Client) writeSome(pieces *net.Buffers) (int64, error) {
	n, err := c.writePieces(pieces)
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

// writePieces writes pieces, or, where the connection does not gather, the only one. net.Buffers would write past a connection that embeds
// a socket, as middleware's may: straight to the socket.
func (c *Client) writePieces(pieces *net.Buffers) (int64, error) {
	if c.conn.gathers() {
		return pieces.WriteTo(c.conn.raw)
	}
	n, err := c.conn.raw.Write((*pieces)[0])
	*pieces = skip(*pieces, n)
	return int64(n), err
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
	if c.try != nil && c.conn.socket() != nil {
		bytes, _ = socketAcked(c.conn.socket())
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

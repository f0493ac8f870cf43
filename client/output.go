package client

import (
	"net"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

const (
	// maxGather is the most bytes that are given to the socket at a time: what it has to take within the heartbeat's
	// timeout while a ping waits behind, for the peer to count as alive; see Client.progressed.
	maxGather = 64 << 10

	// defaultWriteBuffer is how many bytes are joined into one write where the socket cannot gather: TLS, pipes.
	defaultWriteBuffer = 32 << 10

	// keptBatches is how many slots stay allocated between writes.
	keptBatches = 4
)

// output is what the actor has to write. Owned by the actor.
type output struct {
	rest       []byte        // of a write that the socket took in part only: nothing may come before, for it may end inside a frame
	begun      int           // of how many batches that is; 0: of control frames
	control    []byte        // control frames, which go before data: a peer that is busy still wants its pong
	batches    []*wire.Batch // shared, read-only
	written    int           // how many of them are
	closeFrame closeState
}

// closeState is how far the close frame has come.
type closeState int8

const (
	closeNone  closeState = iota
	closeDue              // it goes behind all that
	closeBegun            // it is among the control frames
	closeDone             // it is written, or will not be: nothing may follow
)

// urgent gathers a control frame. RFC 6455 section 5.5 lets it overtake data.
func (o *output) urgent(frame []byte) { o.control = append(o.control, frame...) }

func (o *output) add(b *wire.Batch) { o.batches = append(o.batches, b) }

// waiting returns the batches that are not written; of the first ones, a part may be.
func (o *output) waiting() []*wire.Batch { return o.batches[o.written:] }

func (o *output) empty() bool {
	return len(o.rest) == 0 && len(o.control) == 0 && o.written == len(o.batches)
}

// reset forgets what is written.
func (o *output) reset() {
	clear(o.batches)
	if cap(o.batches) > keptBatches {
		o.batches = nil
	}
	o.rest, o.begun, o.control, o.batches, o.written = nil, 0, nil, o.batches[:0], 0
}

// flush writes everything gathered. In a lent goroutine it stops where the socket has no room, to go on in one of the
// actor's own. A failed write ends the connection.
func (c *Client) flush() {
	for !c.gone {
		if c.out.empty() {
			c.out.reset()
			if c.out.closeFrame != closeDue && c.out.closeFrame != closeBegun {
				return
			}
			c.writeCloseFrame()
			continue
		}
		if c.ref.Lent() {
			if took, err := c.tryWrite(); err != nil {
				c.writeFailed(err)
			} else if !took {
				c.ref.Detach()
				return
			}
		} else if err := c.write(); err != nil {
			c.writeFailed(err)
		}
	}
}

// load takes up what comes next, if nothing is: the control frames, or one batch.
func (c *Client) load() {
	switch o := &c.out; {
	case len(o.rest) > 0:
	case len(o.control) > 0:
		o.rest, o.begun, o.control = o.control, 0, nil
	default:
		o.rest, o.begun = o.waiting()[0].For(c.deflate), 1
	}
}

// tryWrite writes control frames or one batch without blocking, and reports whether the socket took all of it.
func (c *Client) tryWrite() (bool, error) {
	c.load()
	n, err := c.try.TryWrite(c.out.rest)
	c.opts.Counters.BytesOut.Add(uint64(n))
	c.out.rest = c.out.rest[n:]
	if err != nil || len(c.out.rest) > 0 {
		return false, err
	}
	c.wrote(c.out.begun)
	return true, nil
}

// write writes what comes next, as much as is good for one write, blocking while the peer does not read.
func (c *Client) write() error {
	if len(c.out.rest) == 0 && len(c.out.control) == 0 {
		if group := c.next(c.out.waiting()); len(group) > 1 {
			err := c.writeGroup(group)
			if err == nil {
				c.wrote(len(group))
			}
			return err
		}
	}
	c.load()
	for rest := &c.out.rest; len(*rest) > 0; {
		n := min(maxGather, len(*rest))
		if err := c.writeOnce((*rest)[:n]); err != nil {
			return err
		}
		*rest = (*rest)[n:]
	}
	c.wrote(c.out.begun)
	return nil
}

// wrote takes note that the next n batches are written.
func (c *Client) wrote(n int) {
	for i, b := range c.out.waiting()[:n] {
		c.queued.Add(-int64(c.size(b)))
		c.opts.Counters.MessagesOut.Add(uint64(b.Messages))
		c.out.waiting()[i] = nil // the others may take long
	}
	c.out.written += n
}

// next takes as many batches as may be written at a time, one at least.
func (c *Client) next(batches []*wire.Batch) []*wire.Batch {
	most, size := c.conn.writeBuffer, 0
	if c.conn.gathers() {
		most = maxGather
	}
	n := 0
	for n < len(batches) && (n == 0 || size+c.size(batches[n]) <= most) {
		size += c.size(batches[n])
		n++
	}
	return batches[:n]
}

// writeGroup gives several batches to the socket in one call.
func (c *Client) writeGroup(group []*wire.Batch) error {
	pieces := make(net.Buffers, len(group))
	for i, b := range group {
		pieces[i] = b.For(c.deflate)
	}
	if c.conn.gathers() {
		n, err := pieces.WriteTo(c.conn.raw)
		c.progressed(n)
		return err
	}
	var joined []byte
	for _, p := range pieces {
		joined = append(joined, p...)
	}
	return c.writeOnce(joined)
}

func (c *Client) writeOnce(p []byte) error {
	n, err := c.conn.raw.Write(p)
	c.progressed(int64(n))
	return err
}

// blocked is for how long a ping has to wait before the write in its way counts as blocked, and not just running.
const blocked = 50 * time.Millisecond

// progressed notes that the socket took n bytes. That is no sign of life by itself, because the socket's buffer takes
// much for a peer that is gone. But when a ping has been waiting behind it, the buffer was full, and so the peer must
// have taken something.
func (c *Client) progressed(n int64) {
	c.opts.Counters.BytesOut.Add(uint64(n))
	if p := c.pinged.Load(); n > 0 && p != 0 && time.Since(time.Unix(0, p)) >= blocked {
		c.alive.Store(true)
	}
}

// gathers reports whether the socket writes several buffers in one system call.
func (c *Conn) gathers() bool {
	_, ok := c.raw.(*net.TCPConn)
	return ok
}

package client

import (
	"net"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

const (
	// maxGather is the most bytes that are given to the socket at a time. A peer that takes this much within the
	// heartbeat's timeout counts as alive, however much is still on its way to it; see Client.progressed.
	maxGather = 64 << 10

	// defaultWriteBuffer is how many bytes are joined into one write where the socket cannot gather: TLS, pipes.
	defaultWriteBuffer = 32 << 10

	// keptBatches is how many slots stay allocated between writes.
	keptBatches = 4
)

// output is what one run of the actor writes. Owned by the actor.
type output struct {
	control []byte        // control frames, which go before data: a peer that is busy still wants its pong
	batches []*wire.Batch // shared, read-only
}

// urgent gathers a control frame. RFC 6455 section 5.5 lets it overtake data.
func (o *output) urgent(frame []byte) { o.control = append(o.control, frame...) }

func (o *output) add(b *wire.Batch) { o.batches = append(o.batches, b) }

func (o *output) empty() bool { return len(o.batches) == 0 && len(o.control) == 0 }

func (o *output) reset() {
	clear(o.batches)
	if cap(o.batches) > keptBatches {
		o.batches = nil
	}
	o.control, o.batches = nil, o.batches[:0]
}

// next takes as many batches as may be written at a time, one at least.
func (c *Client) next(batches []*wire.Batch) (group, rest []*wire.Batch) {
	most, size := c.conn.writeBuffer, 0
	if c.conn.gathers() {
		most = maxGather
	}
	n := 0
	for n < len(batches) && (n == 0 || size+c.size(batches[n]) <= most) {
		size += c.size(batches[n])
		n++
	}
	return batches[:n], batches[n:]
}

// write gives a group of batches to the socket, blocking while the peer does not read: in one call, but for a batch
// that is too large for that.
func (c *Client) write(group []*wire.Batch) error {
	if len(group) == 1 {
		for frames := group[0].For(c.conn.deflate); len(frames) > 0; {
			n := min(maxGather, len(frames))
			if err := c.writeOnce(frames[:n]); err != nil {
				return err
			}
			frames = frames[n:]
		}
		return nil
	}
	pieces := make(net.Buffers, len(group))
	for i, b := range group {
		pieces[i] = b.For(c.conn.deflate)
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

// progressed notes that the socket took n bytes. That is no sign of life by itself, because the socket's buffer takes
// much for a peer that is gone. But when it happens while a ping is waiting for its turn, the buffer was full, and so
// the peer must have taken something.
func (c *Client) progressed(n int64) {
	c.opts.Counters.BytesOut.Add(uint64(n))
	if n > 0 && c.pinging.Load() {
		c.alive.Store(true)
	}
}

// gathers reports whether the socket writes several buffers in one system call.
func (c *Conn) gathers() bool {
	_, ok := c.raw.(*net.TCPConn)
	return ok
}

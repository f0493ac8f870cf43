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

package wire

import (
	"compress/flate"
	"sync"
)

// emptyBlock ends every flushed flate stream; RFC 7692 section 7.2.1 takes it away.
const emptyBlock = "\x00\x00\xff\xff"

// Deflater compresses messages for permessage-deflate (RFC 7692), each by itself (no context takeover), so that one
// result serves everyone who negotiated it. It is safe for concurrent use.
type Deflater struct {
	threshold int
	pool      sync.Pool // of *compressor
}

// compressor is a flate writer, which is dear (hundreds of kilobytes), and where it writes to.
type compressor struct {
	w   *flate.Writer
	out []byte
}

func (c *compressor) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), nil
}

// NewDeflater returns a Deflater of a compress/flate level, which must be valid, that leaves messages of fewer than
// threshold bytes alone.
func NewDeflater(level, threshold int) *Deflater {
	return &Deflater{threshold: threshold, pool: sync.Pool{New: func() any {
		c := &compressor{}
		c.w, _ = flate.NewWriter(c, level)
		return c
	}}}
}

// Append appends the compressed form of a complete, uncompressed data frame, or the frame itself when that is shorter.
func (d *Deflater) Append(dst, frame []byte) []byte {
	payload := frame[HeaderLen(frame[1]):]
	if len(payload) < d.threshold {
		return append(dst, frame...)
	}
	c := d.pool.Get().(*compressor)
	defer d.pool.Put(c)
	c.out = c.out[:0]
	c.w.Reset(c)
	_, _ = c.w.Write(payload) // into memory: neither this nor Flush fails
	_ = c.w.Flush()
	compressed := c.out[:len(c.out)-len(emptyBlock)]
	if len(compressed) >= len(payload) {
		return append(dst, frame...)
	}
	start := len(dst)
	dst = AppendFrame(dst, Opcode(frame[0]&OpcodeMask), compressed)
	dst[start] |= RSV1
	return dst
}

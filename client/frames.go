package client

import (
	"errors"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// What becomes of the frames of a peer. All functions in this file run in the reader.

// takeFrames looks at what was received, up to where more is needed. It returns why reading ends: what the peer did wrong, or its close
// frame, a peerClosed.
func (c *Client) takeFrames() error {
	r := c.conn.reader
	for {
		switch m := &r.message; {
		case r.abandoned:
			return errAbandoned
		case m.inFrame && m.left == 0:
			c.endFrame()
		case len(r.pending) == 0:
			r.release()
			return c.checkText()
		case m.inFrame:
			m.add(r.take(int(min(m.left, uint64(len(r.pending)))))) // #nosec G115 -- it is a length
		default:
			if taken, err := c.takeFrame(); err != nil {
				return err
			} else if !taken {
				return c.checkText()
			}
		}
	}
}

// takeFrame takes a control frame, or the header of another, and its payload, too, if that is a whole message. It reports false when more
// has to come.
func (c *Client) takeFrame() (taken bool, err error) {
	r := c.conn.reader
	h, n, err := wire.ParseClientHeader(r.pending, c.conn.deflate)
	control := n + int(min(h.Payload, wire.MaxControlPayload)) // #nosec G115 -- it is not more
	if err != nil || n == 0 || h.Op.IsControl() && len(r.pending) < control {
		return false, err
	}
	c.countFrame()
	if h.Op.IsControl() {
		payload := r.take(control)[n:]
		h.Key.Unmask(payload)
		return true, c.takeControl(h.Op, payload)
	}
	if err := r.message.begin(h); err != nil {
		return false, err
	}
	r.take(n)
	switch m := &r.message; {
	case m.size > uint64(c.mostRaw()): // #nosec G115 -- a limit is not negative
		c.abandon(wire.MessageTooBig, TooBigFault, wire.ErrTooBig) // what was announced is not worth waiting for
	case m.isWhole(len(r.pending)) && !m.compressed:
		data := r.take(int(m.left)) // #nosec G115 -- it is a length
		m.unmask(data)
		c.endMessage(data)
	}
	return true, nil
}

// mostRaw returns the most bytes of a message before inflating it: incompressible data grows a little.
func (c *Client) mostRaw() int {
	if c.conn.deflate {
		return c.opts.MessageBytes + c.opts.MessageBytes/1024 + 64
	}
	return c.opts.MessageBytes
}

// countFrame counts a frame that has begun.
func (c *Client) countFrame() {
	r := c.conn.reader
	r.frames++
	if !r.message.open {
		return
	}
	if r.inner++; r.inner == eventFrames {
		r.inner = 0
		c.chargeFrames()
	}
}

// peerClosed is the close frame of the peer, behind which nothing is looked at.
type peerClosed wire.Close

func (peerClosed) Error() string { return "the peer has closed the connection" }

// takeControl looks at a control frame, RFC 6455 section 5.5.
func (c *Client) takeControl(op wire.Opcode, payload []byte) error {
	r := c.conn.reader
	if !r.message.open {
		r.ended()
	}
	switch op {
	case wire.OpPing:
		c.answerPing(payload)
	case wire.OpPong:
		c.ponged()
	default:
		why, err := wire.ParseClose(payload)
		if err != nil {
			return err
		}
		return peerClosed(why)
	}
	return nil
}

// endFrame ends a frame, and the message if that was its last.
func (c *Client) endFrame() {
	m := &c.conn.reader.message
	m.inFrame = false
	if m.fin {
		c.endMessage(m.gather().raw)
	}
}

var errNotUTF8 = errors.New("text message is not valid UTF-8 (RFC 6455, section 8.1)")

// endMessage looks at a complete message.
func (c *Client) endMessage(raw []byte) {
	r := c.conn.reader
	m := r.message
	defer m.forget()
	r.message = incoming{}
	r.ended()
	if c.Closing() { // the closing handshake is on; only the peer's close frame matters
		return
	}
	data, events := raw, 1
	var err error
	if m.compressed {
		events, err = c.inflate(m.parts)
		data = m.parts.inflated
	}
	switch {
	case errors.Is(err, errInflate):
		c.fail(wire.SlowInflate, TimeoutFault, err)
	case errors.Is(err, wire.ErrTooBig), len(data) > c.opts.MessageBytes:
		c.fail(wire.MessageTooBig, TooBigFault, wire.ErrTooBig)
	case err != nil:
		c.fail(wire.CorruptData, ProtocolFault, err)
	case !m.binary && !utf8.Valid(data[m.valid:]):
		c.fail(wire.NotUTF8, ProtocolFault, errNotUTF8)
	default:
		c.conn.received.messages.Add(1)
		c.conn.received.bytes.Add(uint64(len(data)))
		c.hand(data, m.binary, events)
	}
}

// checkText refuses text that is not UTF-8 before all of it has come.
func (c *Client) checkText() error {
	if c.conn.reader.message.isDoomed() {
		c.abandon(wire.NotUTF8, ProtocolFault, errNotUTF8)
		return errAbandoned
	}
	return nil
}

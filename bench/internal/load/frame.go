package load

import (
	"bytes"
	"encoding/binary"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// counter counts the messages in a stream of server frames. It looks at headers and skips what is between them, so
// that counting costs little beside the system calls; a counter that keeps messages does more, for samples. The reader of
// wstest would copy every payload, which would be measured as well.
type counter struct {
	header  [10]byte // of the frame in progress, as far as it has come
	have    int      // bytes of header
	skip    int64    // bytes of payload to come
	inside  bool     // the header is complete, the payload is not
	opcode  byte     // of the frame
	fin     bool     // the same
	deflate bool     // of the message in progress: RSV1 of its first frame

	lines bool // messages are lines: a frame has one more than it has newlines
	beats bool // a message of two bytes is a heartbeat, {}, which is not counted and not handed on
	keep  bool // hand messages to sink.message

	size int64 // of the payload of the frame in progress

	newlines int    // in the message in progress
	message  []byte // of the message in progress, when kept
	control  []byte // of the control frame in progress
}

// sink gets what a counter finds. Slices are only valid during the call.
type sink interface {
	count(messages int)
	message(data []byte, deflated bool)
	controlFrame(opcode byte, data []byte)
	broken(why string)
}

// feed takes the next bytes of the stream. It returns false when they are no frames; then it must not be called again.
func (c *counter) feed(b []byte, s sink) bool {
	for len(b) > 0 {
		if !c.inside {
			if b = c.whole(b, s); len(b) == 0 {
				break
			}
			n, ok := c.readHeader(b, s)
			if !ok {
				return false
			}
			b = b[n:]
			if !c.inside {
				return true // the header goes on in the next bytes
			}
		}
		// An empty frame begins and ends here, with part empty.
		part := b[:min(c.skip, int64(len(b)))]
		c.payload(part)
		b = b[len(part):]
		c.skip -= int64(len(part))
		if c.skip == 0 {
			c.inside = false
			c.frameEnds(s)
		}
	}
	return true
}

// whole takes the complete frames at the beginning of b that are ordinary messages nobody wants to see, which is nearly
// all there is, and returns the rest.
func (c *counter) whole(b []byte, s sink) []byte {
	if c.have > 0 || c.keep || c.lines {
		return b
	}
	messages := 0
	for len(b) >= 4 && (b[0] == wstest.Fin|wstest.Text || b[0] == wstest.Fin|wstest.Binary) {
		size := 2 + int(b[1])
		if b[1] == 126 {
			size = 4 + int(b[2])<<8 + int(b[3])
		} else if b[1] > 126 {
			break
		}
		if len(b) < size {
			break
		}
		if !c.beats || size != 2+beatSize {
			messages++
		}
		b = b[size:]
	}
	if messages > 0 {
		s.count(messages)
	}
	return b
}

// readHeader takes what it needs of b and returns how much that is.
func (c *counter) readHeader(b []byte, s sink) (taken int, ok bool) {
	h := b
	if c.have > 0 { // it began in the bytes before
		taken = copy(c.header[c.have:], b)
		h = c.header[:c.have+taken]
	}
	need := 2
	if len(h) >= 2 {
		need = headerSize(h[1])
	}
	if len(h) < need {
		if c.have == 0 {
			taken = copy(c.header[:], b)
		}
		c.have += taken
		return taken, true
	}
	taken = need - c.have
	c.have = 0
	return taken, c.begin(h, s)
}

func headerSize(second byte) int {
	switch second & 0x7F {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}

// begin understands a complete header.
func (c *counter) begin(h []byte, s sink) bool {
	size := int64(h[1] & 0x7F)
	switch {
	case h[1]&0x80 != 0:
		s.broken("masked frame")
		return false
	case size == 126:
		size = int64(binary.BigEndian.Uint16(h[2:]))
	case size == 127:
		size = int64(binary.BigEndian.Uint64(h[2:]))
	}
	c.opcode, c.fin, c.skip, c.inside = h[0]&0x0F, h[0]&0x80 != 0, size, true
	c.size = size
	switch c.opcode {
	case wstest.Text, wstest.Binary:
		c.deflate = h[0]&0x40 != 0
	case wstest.Continuation:
	case wstest.Close, wstest.Ping, wstest.Pong:
		c.control = c.control[:0]
	default:
		s.broken("unknown opcode")
		return false
	}
	return true
}

func (c *counter) payload(part []byte) {
	switch {
	case c.opcode >= wstest.Close:
		c.control = append(c.control, part...)
		return
	case c.keep:
		c.message = append(c.message, part...)
	}
	if c.lines {
		c.newlines += bytes.Count(part, newline)
	}
}

var newline = []byte{'\n'}

// beatSize is the size of the message {}.
const beatSize = 2

func (c *counter) frameEnds(s sink) {
	switch {
	case c.opcode >= wstest.Close:
		s.controlFrame(c.opcode, c.control)
	case c.beats && c.fin && c.opcode == wstest.Text && c.size == beatSize:
		c.message = c.message[:0]
	case c.fin:
		if c.keep {
			s.message(c.message, c.deflate)
			c.message = c.message[:0]
		}
		s.count(1 + c.newlines)
		c.newlines = 0
	}
}

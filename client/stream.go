package client

import (
	"math"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// maxHeader is the most bytes of a frame before its payload.
const maxHeader = 14

// stream follows the frames in a stream of bytes as the WebSocket library reads it. It tells where in a message the stream
// stands; and where compression was negotiated, it takes away the marks of compressed messages and remembers them for
// the reader, which is behind by the contents of the library's buffer. Owned by the reader edge.
//
// Every connection has one, so it is small.
type stream struct {
	payload uint64 // bytes left of the frame's payload
	size    uint64 // bytes of the message's payload, as far as its frames were announced
	marks   *marks // nil when compression was not negotiated
	ended   uint32 // messages that have ended, and control frames outside of them
	header  [maxHeader]byte
	inner   uint16 // frames that are not counted against the rate yet: all of a message but its first, and control frames among them; saturates
	have    uint8  // bytes of header so far
	fin     bool   // the frame is its message's last
	control bool   // the frame is a control frame, which may stand inside a message
	open    bool   // a message has begun, and has not ended
}

// marks tells which of the messages that have begun and were not asked for yet are compressed, oldest first.
type marks []bool

// pass looks at the next bytes of the stream and changes them where needed.
func (s *stream) pass(p []byte) {
	for len(p) > 0 {
		if s.payload > 0 {
			n := min(s.payload, uint64(len(p)))
			s.payload -= n
			p = p[n:]
			s.end()
			continue
		}
		if s.have == 0 {
			p[0] = s.begin(p[0])
		}
		s.header[s.have] = p[0]
		s.have++
		p = p[1:]
		if s.have >= 2 && int(s.have) == wire.HeaderLen(s.header[1]) {
			s.payload = wire.PayloadLen(s.header[:s.have])
			s.have = 0
			if !s.control {
				s.size += s.payload
			}
			s.end()
		}
	}
}

// begin sees the first byte of a frame. The mark of compression belongs on the first frame of a data message (RFC 7692,
// section 6); anywhere else it stays, for the library to refuse.
func (s *stream) begin(b byte) byte {
	op := b & wire.OpcodeMask
	s.fin, s.control = b&wire.FinBit != 0, op >= 8
	switch {
	case s.open:
		s.inner += min(1, math.MaxUint16-s.inner)
	case !s.control:
		s.open, s.size = true, 0
	}
	if s.marks == nil || op != 1 && op != 2 {
		return b
	}
	*s.marks = append(*s.marks, b&wire.RSV1 != 0)
	return b &^ wire.RSV1
}

// end takes note of the end of a frame, if the stream has come to it.
func (s *stream) end() {
	if s.payload > 0 {
		return
	}
	if !s.control && s.fin {
		s.open = false
	}
	if !s.open {
		s.ended++
	}
}

// inside reports whether the stream stands inside a message or a frame.
func (s *stream) inside() bool { return s.open || s.have > 0 || s.payload > 0 }

// next tells whether the next message, which has begun, is compressed.
func (m *marks) next() bool {
	first := (*m)[0]
	*m = (*m)[:copy(*m, (*m)[1:])]
	return first
}

package client

import (
	"errors"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// incoming is the message at hand, and its frame.
type incoming struct {
	left       uint64       // bytes of the frame's payload that were not looked at
	size       uint64       // bytes of the payloads of all frames, as far as they were announced
	parts      *scratch     // where it is put together; nil while that is not needed
	key        wire.MaskKey // of what is left
	valid      int          // bytes of parts that are known to be good UTF-8
	open       bool         // it has begun, and has not ended
	inFrame    bool         // a frame of it has begun, and has not ended
	fin        bool         // that is its last
	binary     bool
	compressed bool
}

// What is wrong with a frame in its place, RFC 6455 section 5.4.
var (
	errNothingToContinue = errors.New("a fragment continues no message (RFC 6455, section 5.4)")
	errNotContinued      = errors.New("a message begins inside of another (RFC 6455, section 5.4)")
)

// begin begins a data frame.
func (m *incoming) begin(h wire.ClientHeader) error {
	switch first := h.Op != wire.OpContinuation; {
	case first && m.open:
		return errNotContinued
	case !first && !m.open:
		return errNothingToContinue
	case first:
		*m = incoming{open: true, binary: h.Op == wire.OpBinary, compressed: h.Compressed}
	}
	m.inFrame, m.fin, m.left, m.key = true, h.Fin, h.Payload, h.Key
	m.size += m.left
	return nil
}

// isWhole reports whether the message consists of the frame that has just begun, and that has no more bytes than these.
func (m *incoming) isWhole(bytes int) bool {
	return m.fin && m.parts == nil && m.size == m.left && m.left <= uint64(bytes) // #nosec G115 -- a length is not negative
}

// unmask takes note that these are the next bytes of the payload, and takes the mask off them.
func (m *incoming) unmask(p []byte) {
	m.key = m.key.Unmask(p)
	m.left -= uint64(len(p))
}

// add appends the next bytes of the payload.
func (m *incoming) add(p []byte) {
	raw := &m.gather().raw
	*raw = append(*raw, p...)
	m.unmask((*raw)[len(*raw)-len(p):])
}

// room returns where bytes of the payload can be read to, of which at least so many are left. The room grows with what has come, not with
// what was announced.
func (m *incoming) room(least int) []byte {
	raw := &m.gather().raw
	if cap(*raw)-len(*raw) < least {
		*raw = slices.Grow(*raw, max(least, int(min(m.left, uint64(len(*raw)))))) // #nosec G115 -- it is a length
	}
	spare := (*raw)[len(*raw):cap(*raw)]
	return spare[:min(uint64(len(spare)), m.left)]
}

// extend takes note of bytes that were read to room.
func (m *incoming) extend(n int) {
	raw := &m.parts.raw
	*raw = (*raw)[:len(*raw)+n]
	m.unmask((*raw)[len(*raw)-n:])
}

// scratch is where a message is put together. An idle connection has none.
type scratch struct {
	raw, inflated []byte
	watch         stopwatch
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// keptMessage is the largest buffer in bytes that is used again.
const keptMessage = 64 << 10

func (s *scratch) giveBack() {
	if cap(s.raw) <= keptMessage && cap(s.inflated) <= keptMessage {
		scratches.Put(s)
	}
}

// gather returns where the message is put together.
func (m *incoming) gather() *scratch {
	if m.parts == nil {
		m.parts = scratches.Get().(*scratch)
		m.parts.raw = m.parts.raw[:0]
	}
	return m.parts
}

// forget gives up the message, and its memory.
func (m *incoming) forget() {
	if m.parts != nil {
		m.parts.giveBack()
	}
	*m = incoming{}
}

// isDoomed reports whether the message is text that will never be good UTF-8, whatever follows.
func (m *incoming) isDoomed() bool {
	if m.binary || m.compressed || m.parts == nil {
		return false
	}
	raw := m.parts.raw
	m.valid += validPrefix(raw[m.valid:])
	return utf8.FullRune(raw[m.valid:])
}

// validPrefix returns how many bytes of text are good UTF-8. What follows is a part of a character, or will never be good.
func validPrefix(text []byte) int {
	good := len(text)
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if tail := text[len(text)-n:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				good -= n
			}
			break
		}
	}
	if utf8.Valid(text[:good]) {
		return good
	}
	for good = 0; ; {
		r, size := utf8.DecodeRune(text[good:])
		if r == utf8.RuneError && size <= 1 {
			return good
		}
		good += size
	}
}

// Package wire turns messages into bytes and bytes into commands: server frames (RFC 6455, section 5), the JSON
// envelopes and the commands of both protocols; the files whose names end with 2 are those of tank.v2. Pure functions; nothing
// here knows of connections or goroutines.
package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// Opcode of a frame, RFC 6455 section 5.2.
type Opcode byte

// The opcodes a server sends.
const (
	OpText   Opcode = 0x1
	OpBinary Opcode = 0x2
	OpClose  Opcode = 0x8
	OpPing   Opcode = 0x9
	OpPong   Opcode = 0xA
)

// Bits of a frame's first two bytes, RFC 6455 section 5.2.
const (
	FinBit     = 0x80
	RSV1       = 0x40 // a compressed message, RFC 7692 section 6
	OpcodeMask = 0x0F
	MaskBit    = 0x80
	LengthMask = 0x7F
)

// MaxControlPayload is the most bytes a control frame may carry, RFC 6455 section 5.5.
const MaxControlPayload = 125

// MaxCloseReason is the most bytes a close reason may have: a control payload less the two bytes of the code.
const MaxCloseReason = MaxControlPayload - 2

// HeaderLen returns how long a frame's header is, by its second byte.
func HeaderLen(second byte) int {
	n := 2
	switch second & LengthMask {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if second&MaskBit != 0 {
		n += 4
	}
	return n
}

// PayloadLen returns how many bytes of payload the header that frame begins with announces.
func PayloadLen(frame []byte) uint64 {
	switch n := frame[1] & LengthMask; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(frame[2:]))
	case 127:
		return binary.BigEndian.Uint64(frame[2:])
	default:
		return uint64(n)
	}
}

// AppendHeader appends the header of a complete (FIN), unmasked frame with a payload of n bytes.
func AppendHeader(dst []byte, op Opcode, n int) []byte {
	switch {
	case n <= MaxControlPayload:
		return append(dst, FinBit|byte(op), byte(n)) // #nosec G115 -- it fits in this case
	case n <= 0xFFFF:
		return append(dst, FinBit|byte(op), 126, byte(n>>8), byte(n)) // #nosec G115 -- it fits in this case
	default:
		dst = append(dst, FinBit|byte(op), 127)
		return binary.BigEndian.AppendUint64(dst, uint64(n))
	}
}

// AppendFrame appends one complete frame.
func AppendFrame[B []byte | string](dst []byte, op Opcode, payload B) []byte {
	return append(AppendHeader(dst, op, len(payload)), payload...)
}

// AppendMessage appends payload as one message: text, or binary when it is not valid UTF-8.
func AppendMessage(dst []byte, payload string) []byte {
	if utf8.ValidString(payload) {
		return AppendFrame(dst, OpText, payload)
	}
	return AppendFrame(dst, OpBinary, payload)
}

// AppendClose appends a close frame, RFC 6455 section 5.5.1. Code 1005 stands for a frame without a code.
// A reason that is too long is cut between characters.
func AppendClose(dst []byte, code int, reason string) []byte {
	if code == CloseNoStatus {
		return AppendHeader(dst, OpClose, 0)
	}
	reason = cut(reason, MaxCloseReason)
	dst = AppendHeader(dst, OpClose, 2+len(reason))
	dst = append(dst, byte(code>>8), byte(code)) // #nosec G115 -- close codes have 16 bits
	return append(dst, reason...)
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

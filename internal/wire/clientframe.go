package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// OpContinuation is the opcode of all fragments of a message but its first, RFC 6455 section 5.4. Only clients send fragments.
const OpContinuation Opcode = 0x0

// IsControl reports whether the opcode is that of a control frame, which may stand inside a message.
func (o Opcode) IsControl() bool { return o >= OpClose }

// rsv2And3 are the bits of a frame's first byte that no extension here uses.
const rsv2And3 = 0x30

// MaxClientHeader is the most bytes of a client's frame before its payload.
const MaxClientHeader = 2 + 8 + keySize

// keySize is how many bytes a masking key has.
const keySize = 4

// ClientHeader is what stands before the payload of a client's frame, RFC 6455 section 5.2.
type ClientHeader struct {
	Op         Opcode
	Fin        bool
	Compressed bool    // the message is, of which this frame is the first; RFC 7692 section 6
	Key        MaskKey // of the payload
	Payload    uint64  // bytes, less than 2^63
}

// What is wrong with a header.
var (
	errReserved       = errors.New("a reserved bit is set, or the mark of compression where it does not belong (RFC 6455, section 5.2)")
	errUnmasked       = errors.New("a frame is not masked (RFC 6455, section 5.1)")
	errControlPart    = errors.New("a control frame is fragmented (RFC 6455, section 5.5)")
	errControlTooLong = fmt.Errorf("a control frame has more than %d bytes (RFC 6455, section 5.5)", MaxControlPayload)
	errLength         = errors.New("a frame announces 2^63 bytes or more (RFC 6455, section 5.2)")
)

// ParseClientHeader returns the header that p begins with, and how many bytes it has: 0 while p is only a part of one that is good so
// far. deflate says that compression was negotiated. A length in more bytes than it needs is accepted: section 5.2 of RFC 6455 forbids
// that to whoever sends it.
func ParseClientHeader(p []byte, deflate bool) (h ClientHeader, n int, err error) {
	if len(p) < 2 {
		return h, 0, nil
	}
	h = ClientHeader{Op: Opcode(p[0] & OpcodeMask), Fin: p[0]&FinBit != 0, Compressed: p[0]&RSV1 != 0}
	data := h.Op == OpText || h.Op == OpBinary
	switch {
	case p[0]&rsv2And3 != 0, h.Compressed && !(deflate && data):
		return h, 0, errReserved
	case !data && h.Op != OpContinuation && h.Op != OpClose && h.Op != OpPing && h.Op != OpPong:
		return h, 0, fmt.Errorf("opcode %d is unknown (RFC 6455, section 5.2)", h.Op)
	case p[1]&MaskBit == 0:
		return h, 0, errUnmasked
	case h.Op.IsControl() && !h.Fin:
		return h, 0, errControlPart
	}
	if n = HeaderLen(p[1]); len(p) < n {
		return h, 0, nil
	}
	h.Payload = PayloadLen(p)
	h.Key = MaskKey(binary.LittleEndian.Uint32(p[n-keySize:]))
	switch {
	case h.Op.IsControl() && h.Payload > MaxControlPayload:
		return h, 0, errControlTooLong
	case h.Payload >= 1<<63:
		return h, 0, errLength
	}
	return h, n, nil
}

// MaskKey is the key of the bytes of a payload that come next, RFC 6455 section 5.3, the first byte lowest.
type MaskKey uint32

// Unmask takes the mask off the next bytes of a payload, and returns the key of those behind them.
func (k MaskKey) Unmask(p []byte) MaskKey {
	long := uint64(k)<<32 | uint64(k)
	for len(p) >= 32 { // without a check for each eight bytes
		_ = p[31]
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^long)
		binary.LittleEndian.PutUint64(p[8:], binary.LittleEndian.Uint64(p[8:])^long)
		binary.LittleEndian.PutUint64(p[16:], binary.LittleEndian.Uint64(p[16:])^long)
		binary.LittleEndian.PutUint64(p[24:], binary.LittleEndian.Uint64(p[24:])^long)
		p = p[32:]
	}
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^long)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= byte(k) // #nosec G115 -- the lowest byte is the next one
		k = MaskKey(bits.RotateLeft32(uint32(k), -8))
	}
	return k
}

// ParseClose returns what the payload of a peer's close frame says, RFC 6455 sections 5.5.1 and 7.4: CloseNoStatus without a code. Whether
// the reason is valid UTF-8 is the caller's to check, because that has a close code of its own.
func ParseClose(payload []byte) (Close, error) {
	switch len(payload) {
	case 0:
		return Close{Code: CloseNoStatus}, nil
	case 1:
		return Close{}, errors.New("a close frame has half a code (RFC 6455, section 5.5.1)")
	}
	c := Close{Code: int(binary.BigEndian.Uint16(payload)), Reason: string(payload[2:])}
	if c.Code < 1000 || c.Code > 4999 || c.Code > 1014 && c.Code < 3000 || c.Code >= 1004 && c.Code <= 1006 {
		return Close{}, fmt.Errorf("a close frame has the code %d, which must not be sent (RFC 6455, section 7.4)", c.Code)
	}
	return c, nil
}

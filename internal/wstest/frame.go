package wstest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The opcodes, RFC 6455 section 5.2.
const (
	Continuation = 0x0
	Text         = 0x1
	Binary       = 0x2
	Close        = 0x8
	Ping         = 0x9
	Pong         = 0xA
)

// The other bits of a frame's first two bytes, RFC 6455 section 5.2.
const (
	Fin  = 0x80
	RSV1 = 0x40 // the message is compressed, RFC 7692 section 6
	RSV2 = 0x20
	RSV3 = 0x10

	rsv     = RSV1 | RSV2 | RSV3
	maskBit = 0x80 // of the second byte
)

const (
	// MaxControl is the most bytes of payload that a control frame may have, RFC 6455 section 5.5.
	MaxControl = 125

	// MaxPayload is more than any frame of a server in a test has.
	MaxPayload = 1 << 30

	// NoStatus is the code of a close frame without one, RFC 6455 section 7.4.1.
	NoStatus = 1005
)

// MaskKey is the key of every frame that does not choose its own, so that runs of a test do not differ in it.
var MaskKey = [4]byte{0x37, 0xFA, 0x21, 0x3D}

// AppendHeader appends a frame's header without the masking key: the first byte, which is Fin, the reserved bits and the
// opcode, whether a mask follows, and the length of the payload in the shortest form.
func AppendHeader(dst []byte, first byte, masked bool, length int) []byte {
	second := byte(0)
	if masked {
		second = maskBit
	}
	switch {
	case length <= MaxControl:
		return append(dst, first, second|byte(length)) // #nosec G115 -- it fits in this case
	case length <= 0xFFFF:
		return append(dst, first, second|126, byte(length>>8), byte(length)) // #nosec G115 -- it fits in this case
	default:
		return binary.BigEndian.AppendUint64(append(dst, first, second|127), uint64(length)) // #nosec G115 -- a length is not negative
	}
}

// AppendFrame appends a masked frame. The first byte is as in AppendHeader.
func AppendFrame(dst []byte, first byte, key [4]byte, payload string) []byte {
	dst = append(append(AppendHeader(dst, first, true, len(payload)), key[:]...), payload...)
	Mask(dst[len(dst)-len(payload):], key)
	return dst
}

// Masked returns a frame that is masked with MaskKey. The first byte is as in AppendHeader.
func Masked(first byte, payload string) []byte {
	return AppendFrame(make([]byte, 0, len(payload)+14), first, MaskKey, payload)
}

// Mask masks a payload in place, RFC 6455 section 5.3.
func Mask(payload []byte, key [4]byte) {
	for i := range payload {
		payload[i] ^= key[i&3]
	}
}

// ClosePayload returns the payload of a close frame with a code, be it one that must not be sent.
func ClosePayload(code int, reason string) string {
	return string([]byte{byte(code >> 8), byte(code)}) + reason // #nosec G115 -- codes have 16 bits
}

// Frame is a frame of the server's.
type Frame struct {
	First   byte // Fin, the reserved bits and the opcode
	Second  byte // the length of the payload, or 126 or 127 when further bytes have had it
	Payload []byte
}

// Opcode returns the frame's opcode.
func (f Frame) Opcode() byte { return f.First &^ (Fin | rsv) }

// Compressed reports whether the message is marked as compressed.
func (f Frame) Compressed() bool { return f.First&RSV1 != 0 }

// CloseCode returns the code of a close frame, which may be NoStatus.
func (f Frame) CloseCode() int {
	if len(f.Payload) < 2 {
		return NoStatus
	}
	return int(binary.BigEndian.Uint16(f.Payload))
}

// ErrProtocol says that the server sent what it must not.
var ErrProtocol = errors.New("the server broke the protocol")

// ReadFrame reads the next frame of the server's. It returns ErrProtocol for a frame that no server of this project sends, be
// it a fragment or one of more than MaxPayload bytes, io.EOF when there is none, and io.ErrUnexpectedEOF when there is a part of
// one. Whether a compressed one was agreed on is the caller's to check.
func ReadFrame(r *bufio.Reader) (Frame, error) {
	first, err := r.ReadByte()
	if err != nil {
		return Frame{}, err
	}
	second, err := r.ReadByte()
	if err != nil {
		return Frame{}, unexpected(err)
	}
	f := Frame{First: first, Second: second}
	if err := f.check(); err != nil {
		return f, err
	}
	length, err := f.readLength(r)
	if err != nil {
		return f, unexpected(err)
	}
	if length > MaxPayload {
		return f, fmt.Errorf("%w: a frame announces %d bytes", ErrProtocol, length)
	}
	f.Payload = make([]byte, length)
	_, err = io.ReadFull(r, f.Payload)
	return f, unexpected(err)
}

// ReadFrame reads the next frame; see the function of that name.
func (c *Conn) ReadFrame() (Frame, error) { return ReadFrame(c.R) }

// check checks the first two bytes.
func (f Frame) check() error {
	op := f.Opcode()
	known := op == Text || op == Binary || op >= Close && op <= Pong
	switch reserved, control := f.First&rsv, op >= Close; {
	case f.First&Fin == 0 || !known || reserved != 0 && (control || reserved != RSV1):
		return fmt.Errorf("%w: a frame begins with the byte %#02x", ErrProtocol, f.First)
	case f.Second&maskBit != 0:
		return fmt.Errorf("%w: a frame of the server's is masked", ErrProtocol)
	case control && f.Second > MaxControl:
		return fmt.Errorf("%w: a control frame has more than %d bytes", ErrProtocol, MaxControl)
	}
	return nil
}

// readLength returns the length of the payload, of which the second byte may say where it stands.
func (f Frame) readLength(r *bufio.Reader) (uint64, error) {
	size := 0
	switch f.Second {
	case 126:
		size = 2
	case 127:
		size = 8
	default:
		return uint64(f.Second), nil
	}
	var b [8]byte
	_, err := io.ReadFull(r, b[8-size:])
	return binary.BigEndian.Uint64(b[:]), err
}

// unexpected makes an end within a frame of the end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

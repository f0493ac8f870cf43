package tanktest

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// The frames of RFC 6455, section 5, as a browser writes and reads them. They are coded here once more, and not with what
// the server uses, so that a mistake there does not cancel itself out.

type opcode byte

const (
	opText   opcode = 0x1
	opBinary opcode = 0x2
	opClose  opcode = 0x8
	opPing   opcode = 0x9
	opPong   opcode = 0xA
)

const (
	finBit     = 0x80
	rsvBits    = 0x70
	deflateBit = 0x40 // RFC 7692, section 6
	maskBit    = 0x80

	// maxControl is the most bytes that a control frame may carry.
	maxControl = 125

	// maxPayload is the longest message that is believed in. A server that announces more has lost its way.
	maxPayload = 1 << 30
)

// maskKey is the same for all frames, so that runs of a test do not differ in it: no proxy has to be kept from being fooled.
var maskKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// encode returns a complete frame, masked as those of clients are.
func encode(op opcode, payload string) []byte {
	n := len(payload)
	b := make([]byte, 0, n+14)
	b = append(b, finBit|byte(op))
	switch {
	case n <= maxControl:
		b = append(b, maskBit|byte(n)) // #nosec G115 -- it fits in this case
	case n <= 0xFFFF:
		b = append(b, maskBit|126, byte(n>>8), byte(n)) // #nosec G115 -- it fits in this case
	default:
		b = binary.BigEndian.AppendUint64(append(b, maskBit|127), uint64(n))
	}
	b = append(b, maskKey[:]...)
	for i := range n {
		b = append(b, payload[i]^maskKey[i%4])
	}
	return b
}

// encodeClose returns a close frame; one without a code for 1005.
func encodeClose(code int, reason string) []byte {
	if code == noStatus {
		return encode(opClose, "")
	}
	return encode(opClose, string([]byte{byte(code >> 8), byte(code)})+reason) // #nosec G115 -- codes have 16 bits
}

// frame is a frame of the server's.
type frame struct {
	op       opcode
	deflated bool
	payload  []byte
}

// errProtocol is what a server may not do.
var errProtocol = errors.New("the server broke the protocol")

// readFrame reads one frame. It returns io.EOF when there is none, and io.ErrUnexpectedEOF when there is a part of one.
func readFrame(r *bufio.Reader) (frame, error) {
	first, err := r.ReadByte()
	if err != nil {
		return frame{}, err
	}
	second, err := r.ReadByte()
	if err != nil {
		return frame{}, unexpected(err)
	}
	f := frame{op: opcode(first &^ (finBit | rsvBits)), deflated: first&deflateBit != 0}
	n := uint64(second &^ maskBit)
	switch control := f.op >= opClose; {
	case first&finBit == 0 || f.op != opText && f.op != opBinary && (f.op < opClose || f.op > opPong):
		return f, fmt.Errorf("%w: a frame begins with the byte %#02x", errProtocol, first)
	case first&rsvBits != 0 && (control || first&rsvBits != deflateBit):
		return f, fmt.Errorf("%w: a frame begins with the byte %#02x", errProtocol, first)
	case second&maskBit != 0:
		return f, fmt.Errorf("%w: a frame of the server's is masked", errProtocol)
	case control && n > maxControl:
		return f, fmt.Errorf("%w: a control frame has more than %d bytes", errProtocol, maxControl)
	}
	if n > maxControl {
		size := 2
		if n == 127 {
			size = 8
		}
		var long [8]byte
		if _, err := io.ReadFull(r, long[8-size:]); err != nil {
			return f, unexpected(err)
		}
		n = binary.BigEndian.Uint64(long[:])
	}
	if n > maxPayload {
		return f, fmt.Errorf("%w: a frame announces %d bytes", errProtocol, n)
	}
	f.payload = make([]byte, n)
	_, err = io.ReadFull(r, f.payload)
	return f, unexpected(err)
}

// unexpected makes an end in mid frame of the end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// message returns the payload of a data frame, inflated if need be. deflate says whether the server may deflate.
func (f frame) message(deflate bool) (string, error) {
	data := f.payload
	if f.deflated {
		if !deflate {
			return "", fmt.Errorf("%w: a message is compressed, which was not agreed on", errProtocol)
		}
		var err error
		if data, err = inflate(data); err != nil {
			return "", fmt.Errorf("%w: a compressed message: %w", errProtocol, err)
		}
	}
	if f.op == opText && !utf8.Valid(data) {
		return "", fmt.Errorf("%w: a text message is not valid UTF-8: %s", errProtocol, quote(string(data)))
	}
	return string(data), nil
}

// inflate decompresses a message, RFC 7692 section 7.2.2. tank always compresses without context takeover.
func inflate(data []byte) ([]byte, error) {
	const tail = "\x00\x00\xff\xff" + "\x01\x00\x00\xff\xff" // what was left out, and an end
	r := flate.NewReader(io.MultiReader(bytes.NewReader(data), strings.NewReader(tail)))
	out, err := io.ReadAll(io.LimitReader(r, maxPayload))
	if err != nil {
		return nil, err
	}
	return out, r.Close()
}

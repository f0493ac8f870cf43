package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// patience is how long the server may take for anything.
const patience = 15 * time.Second

// The first byte of a frame, RFC 6455 section 5.2: FIN, the reserved bits, and the opcode.
const (
	fin  = 0x80
	rsv1 = 0x40
	rsv2 = 0x20
	rsv3 = 0x10

	opCont   = 0x0
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xA
)

// frame is a masked frame.
func frame(first byte, payload string) string {
	n := len(payload)
	switch {
	case n < 126:
		return masked(payload, first, byte(n))
	case n <= 0xFFFF:
		return masked(payload, first, 126, byte(n>>8), byte(n))
	default:
		return masked(payload, first, 127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

// masked is a frame with this header, in which only the bit that says that there is a mask is missing.
func masked(payload string, header ...byte) string {
	key := [4]byte{0x37, 0xFA, 0x21, 0x3D}
	header[1] |= 0x80
	b := append(append(header, key[:]...), payload...)
	masked := b[len(b)-len(payload):]
	subtle.XORBytes(masked, masked, bytes.Repeat(key[:], len(payload)/len(key)+1))
	return string(b)
}

// fragmented is a message in frames of n bytes at most, with something between them.
func fragmented(first byte, payload string, n int, between string) string {
	var b strings.Builder
	for first &^= fin; len(payload) > n; first = opCont {
		b.WriteString(frame(first, payload[:n]))
		b.WriteString(between)
		payload = payload[n:]
	}
	b.WriteString(frame(first|fin, payload))
	return b.String()
}

// closing is the payload of a close frame.
func closing(code int, reason string) string {
	return string([]byte{byte(code >> 8), byte(code)}) + reason
}

// deflated compresses a message, RFC 7692 section 7.2.1.
func deflated(message string, level int) string {
	var b strings.Builder
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		panic(err) // no such level
	}
	io.WriteString(w, message)
	w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// inflated is the opposite, section 7.2.2.
func inflated(payload []byte) ([]byte, error) {
	return io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
}

// message is a frame from the server, or a message: it does not fragment.
type message struct {
	op      byte
	payload string
}

func (m message) String() string {
	if len(m.payload) > 80 {
		return fmt.Sprintf("[%X %.80q... %d bytes]", m.op, m.payload, len(m.payload))
	}
	return fmt.Sprintf("[%X %q]", m.op, m.payload)
}

// peer is the client's end of a connection, in control of every byte.
type peer struct {
	t        *testing.T
	conn     net.Conn
	r        *bufio.Reader
	deflates bool // compression was negotiated
}

// request sends a request as it is, in pieces of n bytes, and returns the answer.
func request(t *testing.T, server *httptest.Server, text string, n int) (*peer, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := &peer{t: t, conn: conn, r: bufio.NewReader(conn)}
	p.write(text, n)
	method, _, _ := strings.Cut(text, " ")
	answer, err := http.ReadResponse(p.r, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return p, answer
}

// handshake is a request to open a connection, with more headers, each of them with its line's end.
func handshake(more string) string {
	return "GET / HTTP/1.1\r\nHost: example.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + more + "\r\n"
}

// dial opens a connection, and asks for compression with an offer unless that is empty.
func dial(t *testing.T, server *httptest.Server, offer string) *peer {
	t.Helper()
	more := ""
	if offer != "" {
		more = "Sec-WebSocket-Extensions: " + offer + "\r\n"
	}
	p, answer := request(t, server, handshake(more), 1<<10)
	if answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the handshake was answered with %s", answer.Status)
	}
	p.deflates = answer.Header.Get("Sec-WebSocket-Extensions") != ""
	if p.deflates != (offer != "") {
		t.Fatalf("%q was answered with %q", offer, answer.Header.Get("Sec-WebSocket-Extensions"))
	}
	return p
}

// write sends bytes, n at a time. It fails silently: the server may have hung up, and what it said before tells why.
func (p *peer) write(b string, n int) {
	p.conn.SetWriteDeadline(time.Now().Add(patience))
	for len(b) > 0 {
		k := min(n, len(b))
		if _, err := io.WriteString(p.conn, b[:k]); err != nil {
			return
		}
		b = b[k:]
	}
}

// next returns the next frame. The error is io.EOF when the server has hung up.
func (p *peer) next() (message, error) {
	p.conn.SetReadDeadline(time.Now().Add(patience))
	first, err := p.r.ReadByte()
	if err != nil {
		return message{}, err
	}
	length, err := p.r.ReadByte()
	if err != nil {
		return message{}, noEOF(err)
	}
	n, least := uint64(length), uint64(0)
	extended := map[byte]int{126: 2, 127: 8}[length]
	if extended > 0 {
		var b [8]byte
		if _, err := io.ReadFull(p.r, b[8-extended:]); err != nil {
			return message{}, noEOF(err)
		}
		n, least = binary.BigEndian.Uint64(b[:]), map[byte]uint64{126: 126, 127: 1 << 16}[length]
	}
	allowed := byte(0x8F)
	if p.deflates && first&8 == 0 {
		allowed |= rsv1
	}
	if first&fin == 0 || first&^allowed != 0 || length&0x80 != 0 || n < least || first&8 != 0 && n > 125 {
		return message{}, fmt.Errorf("a frame begins with %x %x and has %d bytes", first, length, n)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(p.r, payload); err != nil {
		return message{}, noEOF(err)
	}
	if first&rsv1 != 0 {
		if payload, err = inflated(payload); err != nil {
			return message{}, fmt.Errorf("inflating: %w", err)
		}
	}
	return message{first & 0xF, string(payload)}, nil
}

// noEOF makes an error of an end in the middle of a frame.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// rest returns all frames until the server hangs up, and how it does that: io.EOF is how it should. A close frame is
// answered if it is not an answer itself.
func (p *peer) rest(answer bool) (got []message, err error) {
	for {
		m, err := p.next()
		if err != nil {
			return got, err
		}
		got = append(got, m)
		if m.op == opClose && answer {
			p.write(frame(fin|opClose, m.payload), 1<<10)
		}
	}
}

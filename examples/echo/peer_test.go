package main

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// patience is how long the server may take for anything.
const patience = 15 * time.Second

// The first byte of a frame, RFC 6455 section 5.2: FIN, the reserved bits, and the opcode.
const (
	fin  = wstest.Fin
	rsv1 = wstest.RSV1
	rsv2 = wstest.RSV2
	rsv3 = wstest.RSV3

	opCont   = wstest.Continuation
	opText   = wstest.Text
	opBinary = wstest.Binary
	opClose  = wstest.Close
	opPing   = wstest.Ping
	opPong   = wstest.Pong
)

// frame is a masked frame.
func frame(first byte, payload string) string { return string(wstest.Masked(first, payload)) }

// masked is a frame with this header, in which only the bit that says that there is a mask is missing.
func masked(payload string, header ...byte) string {
	header[1] |= 0x80
	b := append(append(header, wstest.MaskKey[:]...), payload...)
	wstest.Mask(b[len(b)-len(payload):], wstest.MaskKey)
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
	conn     *wstest.Conn
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
	p := &peer{t: t, conn: wstest.NewConn(conn, 4<<10)}
	p.write(text, n)
	answer, err := p.conn.ReadResponse(text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return p, answer
}

// handshake is a request to open a connection, with more headers, each of them with its line's end.
func handshake(more string) string { return wstest.Handshake{Header: more}.String() }

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
	f, err := p.conn.ReadFrame()
	if err != nil {
		return message{}, err
	}
	least := map[byte]int{126: 126, 127: 1 << 16}[f.Second]
	if f.Compressed() && !p.deflates || len(f.Payload) < least {
		return message{}, fmt.Errorf("a frame begins with %x %x and has %d bytes", f.First, f.Second, len(f.Payload))
	}
	if f.Compressed() {
		if f.Payload, err = inflated(f.Payload); err != nil {
			return message{}, fmt.Errorf("inflating: %w", err)
		}
	}
	return message{f.Opcode(), string(f.Payload)}, nil
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

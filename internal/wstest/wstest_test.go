package wstest_test

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHandshakeIsARequest(t *testing.T) {
	h := wstest.Handshake{Target: "/ws?user_id=ann", Host: "a.test:80", Header: "Origin: http://a.test\r\n"}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(h.String())))
	if err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Origin": {"http://a.test"}}
	wstest.SetHeader(want)
	if r.Method != "GET" || r.RequestURI != h.Target || r.Host != h.Host || len(r.Header) != len(want) {
		t.Errorf("got %+v", r)
	}
	for key := range want {
		if got := r.Header.Get(key); got != want.Get(key) {
			t.Errorf("%s is %q, want %q", key, got, want.Get(key))
		}
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // RFC 6455, section 4.2.2
	if got := base64.StdEncoding.EncodeToString(sum[:]); got != wstest.Accept {
		t.Errorf("the answer to the key is %q", got)
	}
}

func TestUpgrade(t *testing.T) {
	const (
		welcome = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + wstest.Accept + "\r\n\r\n"
		forged  = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n"
		refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
	)
	upgrade := func(answer string) (*wstest.Conn, error) {
		near, far := net.Pipe()
		t.Cleanup(func() { near.Close() })
		go func() {
			defer far.Close()
			if _, err := http.ReadRequest(bufio.NewReader(far)); err == nil {
				io.WriteString(far, answer)
			}
		}()
		return wstest.Upgrade(near, wstest.Handshake{})
	}
	c, err := upgrade(welcome + "\x81\x02hi")
	if err != nil {
		t.Fatal(err)
	}
	if f, err := c.ReadFrame(); f.Opcode() != wstest.Text || string(f.Payload) != "hi" || err != nil {
		t.Errorf("behind the answer comes %+v (%v)", f, err)
	}
	if _, err := upgrade(refused); !errors.Is(err, wstest.StatusError(403)) {
		t.Errorf("got %v", err)
	}
	for _, answer := range []string{forged, ""} {
		if c, err := upgrade(answer); err == nil || c != nil {
			t.Errorf("%q is taken for an upgrade", answer)
		}
	}
}

func TestMaskedFrames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{string(wstest.Masked(wstest.Fin|wstest.Text, "Hello")), "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"}, // RFC 6455, section 5.7
		{string(wstest.AppendFrame([]byte("x"), wstest.RSV1|wstest.Binary, [4]byte{}, "y")), "x\x42\x81\x00\x00\x00\x00y"},
		{wstest.ClosePayload(1000, "bye"), "\x03\xe8bye"},
		{wstest.ClosePayload(wstest.NoStatus, ""), "\x03\xed"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestFramesOfEachLength(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 0xFFFF, 0x10000} {
		payload := strings.Repeat("x", n)
		b := append(wstest.AppendHeader(nil, wstest.Fin|wstest.Text, false, n), payload...)
		f, err := wstest.ReadFrame(bufio.NewReader(bytes.NewReader(b)))
		if err != nil || f.First != wstest.Fin|wstest.Text || string(f.Payload) != payload {
			t.Errorf("%d bytes come as %d (%v)", n, len(f.Payload), err)
		}
		masked := wstest.Masked(wstest.Fin|wstest.Text, payload)
		unmasked := masked[len(masked)-n:]
		wstest.Mask(unmasked, wstest.MaskKey)
		if len(masked) != len(b)+4 || string(unmasked) != payload {
			t.Errorf("%d bytes are masked to %d", n, len(masked))
		}
	}
}

func TestCloseCode(t *testing.T) {
	for payload, want := range map[string]int{"": wstest.NoStatus, "\x03\xe8": 1000, "\x0f\xa0x": 4000} {
		if got := (wstest.Frame{Payload: []byte(payload)}).CloseCode(); got != want {
			t.Errorf("%q has code %d", payload, got)
		}
	}
}

func TestReadFrameRefuses(t *testing.T) {
	for b, want := range map[string]error{
		"":             io.EOF,
		"\x81":         io.ErrUnexpectedEOF,
		"\x81\x01":     io.ErrUnexpectedEOF,
		"\x81\x7e\x00": io.ErrUnexpectedEOF,
		"\x01\x00":     wstest.ErrProtocol, // a fragment
		"\x80\x00":     wstest.ErrProtocol, // a fragment
		"\x83\x00":     wstest.ErrProtocol, // an unknown opcode
		"\x8b\x00":     wstest.ErrProtocol,
		"\xa1\x00":     wstest.ErrProtocol, // reserved bits
		"\xc9\x00":     wstest.ErrProtocol,
		"\x81\x80":     wstest.ErrProtocol, // a mask
		"\x89\x7e":     wstest.ErrProtocol, // a long control frame
		"\x81\x7f\x00\x00\x00\x00\x80\x00\x00\x00": wstest.ErrProtocol,
	} {
		if f, err := wstest.ReadFrame(bufio.NewReader(strings.NewReader(b))); !errors.Is(err, want) {
			t.Errorf("%q is read as %+v (%v), want %v", b, f, err, want)
		}
	}
}

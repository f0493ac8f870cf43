package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// The tables in this file and its neighbours are RFC 6455, and in deflate_test.go RFC 7692, section by section: bytes that
// go over a socket, and all that has to come back.

// exchange is one connection: what a client sends, and what it gets.
type exchange struct {
	rfc  string // section
	name string
	sent string
	want []message // all of them; a close frame at the end is the answer to the client's
	code int       // of the close frame with which the server ends it, for a reason of its own; 0: it does not
}

// run has the exchange on connections of its own: in one write, and byte by byte.
func (x exchange) run(t *testing.T, server *httptest.Server, offer string) {
	t.Run(x.rfc+" "+x.name, func(t *testing.T) {
		t.Parallel()
		x.over(t, dial(t, server, offer), len(x.sent))
		if len(x.sent) < 2000 {
			x.over(t, dial(t, server, offer), 1)
		}
	})
}

// over has the exchange on a connection, in writes of n bytes. Where nothing ends it, it has to go on as if nothing had
// happened.
func (x exchange) over(t *testing.T, p *peer, n int) {
	t.Helper()
	p.write(x.sent, n)
	want := slices.Clone(x.want)
	switch {
	case x.code != 0:
		want = append(want, message{opClose, wstest.ClosePayload(x.code, "")})
	case len(want) == 0 || want[len(want)-1].op != opClose:
		p.write(frame(fin|opText, "still here")+frame(fin|opClose, wstest.ClosePayload(1000, "the end")), 1<<10)
		want = append(want, message{opText, "still here"}, message{opClose, wstest.ClosePayload(1000, "the end")})
	}
	// Behind a close frame of the client's own, an answer would meet a closed socket.
	got, err := p.rest(x.code != 0 && x.sent[0] != fin|opClose)
	if last := len(got) - 1; x.code != 0 && last >= 0 && got[last].op == opClose && len(got[last].payload) > 2 {
		got[last].payload = got[last].payload[:2] // the reason is for people
	}
	if errors.Is(err, syscall.ECONNRESET) && x.trails() {
		err = io.EOF
	}
	if !slices.Equal(got, want) || err != io.EOF {
		t.Fatalf("in writes of %d bytes: got %v, and then %v; want %v", n, got, err, want)
	}
}

// trails reports whether something is sent behind a close frame. It may meet a closed socket, which answers with a reset.
func (x exchange) trails() bool {
	last := len(x.want) - 1
	return last >= 0 && x.want[last].op == opClose && !strings.HasSuffix(x.sent, frame(fin|opClose, x.want[last].payload))
}

// texts are messages that come back, or pongs.
func texts(payloads ...string) []message { return messages(opText, payloads...) }
func pongs(payloads ...string) []message { return messages(opPong, payloads...) }

func messages(op byte, payloads ...string) (list []message) {
	for _, p := range payloads {
		list = append(list, message{op, p})
	}
	return list
}

func TestOpeningHandshake(t *testing.T) {
	t.Parallel()
	_, server := start(t, 1<<20)
	good := handshake("")
	with := func(old, new string) string {
		if !strings.Contains(good, old) {
			panic(old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, c := range []struct {
		rfc, name, sent string
		status          int
	}{
		{"1.3", "the example", good, 101},
		{"4.1", "a path and a query", with("GET / ", "GET /chat/room?a=b "), 101},
		{"4.1", "an absolute address", with("GET / ", "GET http://example.test/chat "), 101},
		{"4.1", "names and tokens in other cases", with("Upgrade: websocket", "uPGRADE: WebSocket"), 101},
		{"4.1", "Connection with other tokens", with("Connection: Upgrade", "Connection: keep-alive, upgrade"), 101},
		{"4.1", "two Connection headers", with("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade"), 101},
		{"4.2.1", "Upgrade with other tokens", with("Upgrade: websocket", "Upgrade: h2c, websocket"), 101},
		{"4.1", "an origin from elsewhere", handshake("Origin: https://elsewhere.example\r\n"), 101},
		{"4.1", "subprotocols, and none is spoken", handshake("Sec-WebSocket-Protocol: chat, superchat\r\n"), 101},
		{"4.1", "extensions that nobody knows", handshake("Sec-WebSocket-Extensions: foo, bar; baz=2\r\n"), 101},
		{"4.1", "headers that nobody knows", handshake("X-Unknown: 1\r\nCookie: a=b\r\n"), 101},
		{"4.1", "spaces around the key", with("dGhlIHNhbXBsZSBub25jZQ==", "  dGhlIHNhbXBsZSBub25jZQ==  "), 101},
		{"4.2.1", "POST", with("GET", "POST"), 405},
		{"4.2.1", "HEAD", with("GET", "HEAD"), 405},
		{"4.2.1", "HTTP/1.0", with("HTTP/1.1", "HTTP/1.0"), 426},
		{"4.2.1", "no Host", with("Host: example.test\r\n", ""), 400},
		{"4.2.1", "no Upgrade", with("Upgrade: websocket\r\n", ""), 426},
		{"4.2.1", "another Upgrade", with("Upgrade: websocket", "Upgrade: websockets"), 426},
		{"4.2.1", "no Connection", with("Connection: Upgrade\r\n", ""), 426},
		{"4.2.1", "another Connection", with("Connection: Upgrade", "Connection: close"), 426},
		{"4.2.1", "no key", with("Sec-WebSocket-Key: "+wstest.Key+"\r\n", ""), 400},
		{"4.2.1", "an empty key", with("dGhlIHNhbXBsZSBub25jZQ==", ""), 400},
		{"4.2.1", "a key of 15 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"), 400},
		{"4.2.1", "a key of 17 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZWU="), 400},
		{"4.2.1", "a key that is not base64", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ!=="), 400},
		{"4.2.1", "two keys", handshake("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"), 400},
		{"4.2.1", "no version", with("Sec-WebSocket-Version: 13\r\n", ""), 400},
		{"4.4", "version 8", with("Version: 13", "Version: 8"), 426},
		{"4.4", "version 12", with("Version: 13", "Version: 12"), 426},
		{"4.4", "version 14", with("Version: 13", "Version: 14"), 426},
		{"4.4", "version 013", with("Version: 13", "Version: 013"), 426},
		{"4.4", "versions 13 and 8", handshake("Sec-WebSocket-Version: 8\r\n"), 400},
		{"4.4", "versions 13, 8 in one header", with("Version: 13", "Version: 13, 8"), 400},
		{"4.1", "a body", handshake("Content-Length: 2\r\n") + "hi", 400},
		{"4.2.1", "no handshake at all", "GET / HTTP/1.1\r\nHost: example.test\r\n\r\n", 200},
	} {
		t.Run(c.rfc+" "+c.name, func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{len(c.sent), 1} {
				p, answer := request(t, server, c.sent, n)
				h := answer.Header
				if answer.StatusCode != c.status {
					t.Fatalf("got %s, want %d", answer.Status, c.status)
				}
				if c.rfc == "4.4" && h.Get("Sec-WebSocket-Version") != "13" {
					t.Errorf("the answer does not say which version would be right: %v", h)
				}
				if c.status != http.StatusSwitchingProtocols {
					continue
				}
				if !strings.EqualFold(h.Get("Upgrade"), "websocket") || !strings.EqualFold(h.Get("Connection"), "Upgrade") ||
					h.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
					t.Errorf("the answer has %v", h)
				}
				if h.Values("Sec-WebSocket-Protocol") != nil || h.Values("Sec-WebSocket-Extensions") != nil {
					t.Errorf("the answer has something that was not agreed on: %v", h)
				}
				exchange{sent: frame(fin|opText, "hello"), want: texts("hello")}.over(t, p, n)
			}
		})
	}
	t.Run("4.1 a message right behind it", func(t *testing.T) {
		t.Parallel()
		p, _ := request(t, server, good+frame(fin|opText, "early")+frame(opText, "in "), 1<<20)
		exchange{sent: frame(fin|opCont, "parts"), want: texts("early", "in parts")}.over(t, p, 1)
	})
}

func TestFraming(t *testing.T) {
	t.Parallel()
	_, server := start(t, 1<<20)
	// A length that is written in more bytes than it needs is accepted: section 5.2 forbids that to whoever sends, and does
	// not tell receivers to refuse it. Some implementations do, most do not, and what is meant is plain.
	for _, x := range []exchange{
		{"5.1", "unmasked text", "\x81\x05hello", nil, 1002},
		{"5.1", "unmasked empty text", "\x81\x00", nil, 1002},
		{"5.1", "unmasked binary", "\x82\x05hello", nil, 1002},
		{"5.1", "unmasked ping", "\x89\x00", nil, 1002},
		{"5.1", "unmasked pong", "\x8A\x00", nil, 1002},
		{"5.1", "unmasked close", "\x88\x02\x03\xE8", nil, 1002},
		{"5.1", "unmasked behind masked", frame(fin|opText, "first") + "\x81\x05hello", texts("first"), 1002},
		{"5.1", "unmasked continuation", frame(opText, "first") + "\x80\x05hello", nil, 1002},
		{"5.3", "a mask of zero", "\x81\x85\x00\x00\x00\x00hello", texts("hello"), 0},
		{"5.3", "each frame with a mask of its own", "\x01\x82\x01\x02\x03\x04ig\x80\x83\xFF\x00\xFF\x00\x93l\x90", texts("hello"), 0},
		{"5.7", "the example", "\x81\x85\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58", texts("Hello"), 0},
		{"5.2", "two messages", frame(fin|opText, "one") + frame(fin|opBinary, "two"), []message{{opText, "one"}, {opBinary, "two"}}, 0},
		{"5.2", "a thousand messages", strings.Repeat(frame(fin|opText, "hello"), 1000), slices.Repeat(texts("hello"), 1000), 0},
		{"5.2", "16 bits for a short length", masked("hello", fin|opText, 126, 0, 5), texts("hello"), 0},
		{"5.2", "64 bits for a short length", masked("hello", fin|opText, 127, 0, 0, 0, 0, 0, 0, 0, 5), texts("hello"), 0},
		{"5.2", "64 bits for a length of 16 bits", masked(strings.Repeat("x", 300), fin|opText, 127, 0, 0, 0, 0, 0, 0, 1, 44), texts(strings.Repeat("x", 300)), 0},
		{"5.2", "16 bits for nothing", masked("", fin|opText, 126, 0, 0), texts(""), 0},
		{"5.2", "16 bits for a ping", masked("hello", fin|opPing, 126, 0, 5), pongs("hello"), 0},
		{"5.2", "16 bits for a pong", masked("hello", fin|opPong, 126, 0, 5), nil, 0},
		{"5.2", "a length of 2^63", masked("", fin|opText, 127, 0x80, 0, 0, 0, 0, 0, 0, 0), nil, 1002},
		{"5.2", "a length of 2^64-1", masked("", fin|opBinary, 127, 255, 255, 255, 255, 255, 255, 255, 255), nil, 1002},
		{"5.2", "a length of 2^63-1, payload to come", masked("", fin|opText, 127, 0x7F, 255, 255, 255, 255, 255, 255, 255), nil, 1009},
		{"10.4", "a message over the limit", frame(fin|opBinary, strings.Repeat("x", 1<<20+1)), nil, 1009},
		{"10.4", "a message over the limit, payload to come", frame(fin|opBinary, strings.Repeat("x", 1<<20+1))[:14], nil, 1009},
		{"10.4", "fragments over the limit", fragmented(opBinary, strings.Repeat("x", 1<<20+1), 1<<20, ""), nil, 1009},
	} {
		x.run(t, server, "")
	}
	for _, n := range []int{0, 1, 125, 126, 127, 128, 65535, 65536, 65537} {
		s := strings.Repeat("*", n)
		exchange{"5.2", fmt.Sprint(n, " bytes of text"), frame(fin|opText, s), texts(s), 0}.run(t, server, "")
		s = strings.Repeat("\xFE", n)
		exchange{"5.2", fmt.Sprint(n, " binary bytes"), frame(fin|opBinary, s), messages(opBinary, s), 0}.run(t, server, "")
	}
	// What a header shows is refused without waiting for the payload.
	for _, bits := range []byte{rsv1, rsv2, rsv3, rsv1 | rsv2, rsv1 | rsv3, rsv2 | rsv3, rsv1 | rsv2 | rsv3} {
		for op, what := range map[byte]string{opText: "text", opBinary: "binary", opPing: "ping", opPong: "pong", opClose: "close"} {
			name := fmt.Sprintf("reserved bits %x of %s", bits, what)
			exchange{"5.2", name, frame(fin|bits|op, ""), nil, 1002}.run(t, server, "")
			exchange{"5.2", name + ", payload to come", frame(fin|bits|op, "hello")[:6], nil, 1002}.run(t, server, "")
		}
		exchange{"5.2", fmt.Sprintf("reserved bits %x of a continuation", bits),
			frame(opText, "hel") + frame(fin|bits|opCont, "lo"), nil, 1002}.run(t, server, "")
		exchange{"5.2", fmt.Sprintf("reserved bits %x behind a message", bits),
			frame(fin|opText, "first") + frame(fin|bits|opText, "second") + frame(fin|opPing, ""), texts("first"), 1002}.run(t, server, "")
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		exchange{"5.2", fmt.Sprint("opcode ", op), frame(fin|op, ""), nil, 1002}.run(t, server, "")
		exchange{"5.2", fmt.Sprint("opcode ", op, ", payload to come"), frame(fin|op, "hello")[:6], nil, 1002}.run(t, server, "")
		exchange{"5.2", fmt.Sprint("opcode ", op, " between messages"),
			frame(fin|opText, "first") + frame(fin|op, "hello") + frame(fin|opPing, ""), texts("first"), 1002}.run(t, server, "")
		exchange{"5.2", fmt.Sprint("opcode ", op, " between fragments"), frame(opText, "first") + frame(fin|op, ""), nil, 1002}.run(t, server, "")
	}
}

func TestFragmentation(t *testing.T) {
	t.Parallel()
	_, server := start(t, 1<<20)
	ping, pong := frame(fin|opPing, "ping"), frame(fin|opPong, "pong")
	long := strings.Repeat("Hello, 世界! ", 100)
	longer := strings.Repeat(long, 100)
	for _, x := range []exchange{
		{"5.4", "two fragments", fragmented(opText, "hello", 3, ""), texts("hello"), 0},
		{"5.4", "binary", fragmented(opBinary, "\xFF\x00\xFF", 1, ""), messages(opBinary, "\xFF\x00\xFF"), 0},
		{"5.4", "many fragments", fragmented(opText, long, 1, ""), texts(long), 0},
		{"5.4", "fragments of each length", fragmented(opText, long, 127, "") + fragmented(opText, long, 125, ""), texts(long, long), 0},
		{"5.4", "thousands of fragments", fragmented(opText, longer, 64, ""), texts(longer), 0},
		{"5.4", "nothing in two fragments", frame(opText, "") + frame(fin|opCont, ""), texts(""), 0},
		{"5.4", "nothing in three fragments", frame(opBinary, "") + frame(opCont, "") + frame(fin|opCont, ""), messages(opBinary, ""), 0},
		{"5.4", "an empty first fragment", frame(opText, "") + frame(fin|opCont, "hello"), texts("hello"), 0},
		{"5.4", "an empty last fragment", frame(opText, "hello") + frame(fin|opCont, ""), texts("hello"), 0},
		{"5.4", "empty fragments between", frame(opText, "he") + strings.Repeat(frame(opCont, ""), 20) + frame(fin|opCont, "llo"), texts("hello"), 0},
		{"5.4", "a ping between", fragmented(opText, "hello", 3, ping), append(pongs("ping"), texts("hello")...), 0},
		{"5.4", "a pong between", fragmented(opText, "hello", 1, pong), texts("hello"), 0},
		{"5.4", "pings and pongs between", fragmented(opText, "hello", 2, ping+pong), append(pongs("ping", "ping"), texts("hello")...), 0},
		{"5.4", "a close frame between", frame(opText, "hel") + frame(fin|opClose, wstest.ClosePayload(1000, "")), messages(opClose, wstest.ClosePayload(1000, "")), 0},
		{"5.4", "two messages in fragments", fragmented(opText, "hello", 3, "") + fragmented(opBinary, "world", 2, ""), []message{{opText, "hello"}, {opBinary, "world"}}, 0},
		{"5.4", "a continuation of nothing", frame(fin|opCont, "hello"), nil, 1002},
		{"5.4", "a continuation of nothing, not the last", frame(opCont, "hello"), nil, 1002},
		{"5.4", "an empty continuation of nothing", frame(fin|opCont, ""), nil, 1002},
		{"5.4", "a continuation of a whole message", frame(fin|opText, "hello") + frame(fin|opCont, "more"), texts("hello"), 1002},
		{"5.4", "a continuation of nothing, before a message", frame(opCont, "non-") + fragmented(opText, "hello", 3, ""), nil, 1002},
		{"5.4", "a continuation behind the last fragment", fragmented(opText, "hello", 3, "") + frame(fin|opCont, "more"), texts("hello"), 1002},
		{"5.4", "text inside text", frame(opText, "hello") + frame(fin|opText, "other"), nil, 1002},
		{"5.4", "text inside text, not the last", frame(opText, "hello") + frame(opText, "other"), nil, 1002},
		{"5.4", "binary inside text", frame(opText, "hello") + frame(fin|opBinary, "other"), nil, 1002},
		{"5.4", "text inside binary", frame(opBinary, "hello") + frame(opCont, "") + frame(fin|opText, "other"), nil, 1002},
		{"5.4", "text inside empty fragments", frame(opText, "") + frame(opText, ""), nil, 1002},
	} {
		x.run(t, server, "")
	}
}

func TestControlFrames(t *testing.T) {
	t.Parallel()
	_, server := start(t, 1<<20)
	most := strings.Repeat("\xFE", 125)
	var ten string
	var tenPongs []message
	for i := range 10 {
		ten += frame(fin|opPing, fmt.Sprint("payload ", i))
		tenPongs = append(tenPongs, pongs(fmt.Sprint("payload ", i))...)
	}
	for _, x := range []exchange{
		{"5.5.2", "a ping", frame(fin|opPing, ""), pongs(""), 0},
		{"5.5.2", "a ping with text", frame(fin|opPing, "hello"), pongs("hello"), 0},
		{"5.5.2", "a ping with bytes", frame(fin|opPing, "\x00\xFF\xFE\xFD\xFC\xFB\x00\xFF"), pongs("\x00\xFF\xFE\xFD\xFC\xFB\x00\xFF"), 0},
		{"5.5.2", "a ping of 125 bytes", frame(fin|opPing, most), pongs(most), 0},
		{"5.5.2", "ten pings", ten, tenPongs, 0},
		{"5.5.2", "ten pings between fragments", frame(opText, "hel") + ten + frame(fin|opCont, "lo"), append(slices.Clone(tenPongs), texts("hello")...), 0},
		{"5.5", "a ping of 126 bytes", frame(fin|opPing, most+"x"), nil, 1002},
		{"5.5", "a ping of 126 bytes, payload to come", frame(fin|opPing, most+"x")[:8], nil, 1002},
		{"5.5", "a ping of 65536 bytes, payload to come", frame(fin|opPing, strings.Repeat("x", 65536))[:14], nil, 1002},
		{"5.5", "a fragmented ping", frame(opPing, "hel") + frame(fin|opCont, "lo"), nil, 1002},
		{"5.5", "a fragmented ping, payload to come", frame(opPing, "hello")[:6], nil, 1002},
		{"5.5", "a fragmented ping between fragments", frame(opText, "hel") + frame(opPing, ""), nil, 1002},
		{"5.5.3", "a pong", frame(fin|opPong, ""), nil, 0},
		{"5.5.3", "a pong with bytes", frame(fin|opPong, "\x00\xFF"), nil, 0},
		{"5.5.3", "a pong of 125 bytes", frame(fin|opPong, most), nil, 0},
		{"5.5.3", "ten pongs and a ping", strings.Repeat(frame(fin|opPong, "x"), 10) + frame(fin|opPing, "hello"), pongs("hello"), 0},
		{"5.5", "a pong of 126 bytes", frame(fin|opPong, most+"x"), nil, 1002},
		{"5.5", "a fragmented pong", frame(opPong, "hel") + frame(fin|opCont, "lo"), nil, 1002},
		{"5.5", "a close frame of 126 bytes", frame(fin|opClose, wstest.ClosePayload(1000, most[1:])), nil, 1002},
		{"5.5", "a fragmented close frame", frame(opClose, wstest.ClosePayload(1000, "")), nil, 1002},
	} {
		x.run(t, server, "")
	}
}

func TestClosing(t *testing.T) {
	t.Parallel()
	_, server := start(t, 1<<20)
	answered := func(payload string) []message { return messages(opClose, payload) }
	end := frame(fin|opClose, wstest.ClosePayload(1000, "the end"))
	for _, x := range []exchange{
		{"5.5.1", "nothing", frame(fin|opClose, ""), answered(""), 0},
		{"5.5.1", "a code", frame(fin|opClose, wstest.ClosePayload(1000, "")), answered(wstest.ClosePayload(1000, "")), 0},
		{"5.5.1", "a code and a reason", end, answered(wstest.ClosePayload(1000, "the end")), 0},
		{"5.5.1", "a reason in many alphabets", frame(fin|opClose, wstest.ClosePayload(1000, "κόσμε 世界 🎈")), answered(wstest.ClosePayload(1000, "κόσμε 世界 🎈")), 0},
		{"5.5.1", "a reason of 123 bytes", frame(fin|opClose, wstest.ClosePayload(1000, strings.Repeat("*", 123))), answered(wstest.ClosePayload(1000, strings.Repeat("*", 123))), 0},
		{"5.5.1", "one byte", frame(fin|opClose, "\x03"), nil, 1002},
		{"5.5.1", "behind a message", frame(fin|opText, "hello") + end, append(texts("hello"), answered(wstest.ClosePayload(1000, "the end"))...), 0},
		{"5.5.1", "behind a ping", frame(fin|opPing, "hello") + end, append(pongs("hello"), answered(wstest.ClosePayload(1000, "the end"))...), 0},
		{"5.5.1", "twice", end + frame(fin|opClose, wstest.ClosePayload(1001, "again")), answered(wstest.ClosePayload(1000, "the end")), 0},
		{"5.5.1", "a message behind it", end + frame(fin|opText, "hello"), answered(wstest.ClosePayload(1000, "the end")), 0},
		{"5.5.1", "half a message behind it", end + frame(opText, "hello"), answered(wstest.ClosePayload(1000, "the end")), 0},
		{"5.5.1", "a ping behind it", end + frame(fin|opPing, "hello"), answered(wstest.ClosePayload(1000, "the end")), 0},
		{"5.5.1", "nonsense behind it", end + strings.Repeat("\xFF", 1000), answered(wstest.ClosePayload(1000, "the end")), 0},
		{"5.5.1", "in the middle of a message, the rest behind it", frame(opText, "hel") + end + frame(fin|opCont, "lo"), answered(wstest.ClosePayload(1000, "the end")), 0},
		{"5.5.1", "behind 256 KiB, a ping behind it", frame(fin|opText, strings.Repeat("*", 256<<10)) + end + frame(fin|opPing, ""),
			append(texts(strings.Repeat("*", 256<<10)), answered(wstest.ClosePayload(1000, "the end"))...), 0},
		{"5.5.1", "256 KiB behind it", end + frame(fin|opText, strings.Repeat("*", 256<<10)), answered(wstest.ClosePayload(1000, "the end")), 0},
		{"8.1", "a reason that is not UTF-8", frame(fin|opClose, wstest.ClosePayload(1000, "\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xED\xA0\x80edited")), nil, 1007},
		{"8.1", "a reason that is cut in a character", frame(fin|opClose, wstest.ClosePayload(1000, "\xE4\xB8")), nil, 1007},
		{"7.4.2", "an invalid code, a reason that is not UTF-8", frame(fin|opClose, wstest.ClosePayload(999, "\xFF")), nil, 1002},
	} {
		x.run(t, server, "")
	}
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		for _, reason := range []string{"", "why"} {
			exchange{"7.4", fmt.Sprintf("code %d %s", code, reason), frame(fin|opClose, wstest.ClosePayload(code, reason)), answered(wstest.ClosePayload(code, reason)), 0}.run(t, server, "")
		}
	}
	for _, code := range []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 65535} {
		for _, reason := range []string{"", "why"} {
			exchange{"7.4", fmt.Sprintf("code %d %s", code, reason), frame(fin|opClose, wstest.ClosePayload(code, reason)), nil, 1002}.run(t, server, "")
		}
	}
}

// TestLargeMessages sends as much as a message may have, one connection at a time.
func TestLargeMessages(t *testing.T) {
	size := limits.MessageBytes
	_, server := start(t, size)
	text := strings.Repeat("水𐍈x", size/8)
	binary := string(bytes.Repeat([]byte{0, 0xFF, 0xFE, 0x80, 0xC0}, size/5+1)[:size])
	for _, c := range []struct {
		name    string
		payload message
		frame   int // bytes in each
		write   int // bytes in each
	}{
		{"text in small writes", message{opText, text}, size, 1999},
		{"text in fragments in small writes", message{opText, text}, 64<<10 - 1, 4 << 10},
		{"binary", message{opBinary, binary}, size, size},
	} {
		t.Run(c.name, func(t *testing.T) {
			sent := fragmented(c.payload.op, c.payload.payload, c.frame, "")
			exchange{sent: sent, want: []message{c.payload}}.over(t, dial(t, server, ""), c.write)
		})
	}
}

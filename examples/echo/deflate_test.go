package main

import (
	"compress/flate"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

const (
	offered = "permessage-deflate"
	agreed  = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"
)

func TestCompressionIsNegotiated(t *testing.T) {
	t.Parallel()
	_, server := start(t, 1<<20)
	for _, c := range []struct{ rfc, offers, answer string }{ // offers: of one header each, a line each
		{"7.1", "permessage-deflate", agreed},
		{"7.1.1.1", "permessage-deflate; server_no_context_takeover", agreed},
		{"7.1.1.1", "permessage-deflate; server_no_context_takeover=1", ""},
		{"7.1.1.1", `permessage-deflate; server_no_context_takeover=""`, ""},
		{"7.1.1.1", "permessage-deflate; server_no_context_takeover; server_no_context_takeover", ""},
		{"7.1.1.2", "permessage-deflate; client_no_context_takeover", agreed},
		{"7.1.1.2", "permessage-deflate; client_no_context_takeover=true", ""},
		{"7.1.1.2", "permessage-deflate; client_no_context_takeover; client_no_context_takeover", ""},
		{"7.1.1.2", "permessage-deflate; client_no_context_takeover; server_no_context_takeover", agreed},
		{"7.1.2.1", "permessage-deflate; server_max_window_bits=15", agreed + "; server_max_window_bits=15"},
		{"7.1.2.1", `permessage-deflate; server_max_window_bits="15"`, agreed + "; server_max_window_bits=15"},
		{"7.1.2.1", "permessage-deflate; server_max_window_bits=14", ""}, // compress/flate knows no smaller window
		{"7.1.2.1", "permessage-deflate; server_max_window_bits=8", ""},
		{"7.1.2.1", "permessage-deflate; server_max_window_bits", ""},
		{"7.1.2.1", "permessage-deflate; server_max_window_bits=", ""},
		{"7.1.2.1", "permessage-deflate; server_max_window_bits=7", ""},
		{"7.1.2.1", "permessage-deflate; server_max_window_bits=16", ""},
		{"7.1.2.1", "permessage-deflate; server_max_window_bits=015", ""},
		{"7.1.2.1", "permessage-deflate; server_max_window_bits=+15", ""},
		{"7.1.2.1", "permessage-deflate; server_max_window_bits=15; server_max_window_bits=15", ""},
		{"7.1.2.2", "permessage-deflate; client_max_window_bits", agreed},
		{"7.1.2.2", "permessage-deflate; client_max_window_bits=8", agreed},
		{"7.1.2.2", "permessage-deflate; client_max_window_bits=10", agreed},
		{"7.1.2.2", `permessage-deflate; client_max_window_bits="10"`, agreed},
		{"7.1.2.2", "permessage-deflate; client_max_window_bits=15", agreed},
		{"7.1.2.2", "permessage-deflate; client_max_window_bits=7", ""},
		{"7.1.2.2", "permessage-deflate; client_max_window_bits=16", ""},
		{"7.1.2.2", "permessage-deflate; client_max_window_bits=08", ""},
		{"7.1.2.2", "permessage-deflate; client_max_window_bits=", ""},
		{"7.1.2.2", `permessage-deflate; client_max_window_bits=""`, ""},
		{"7.1.2.2", `permessage-deflate; client_max_window_bits="10`, ""},
		{"7.1.2.2", `permessage-deflate; client_max_window_bits=10"`, ""},
		{"7.1.2.2", `permessage-deflate; client_max_window_bits=""10""`, ""},
		{"7.1.2.2", "permessage-deflate; client_max_window_bits=ten", ""},
		{"7.1.2.2", "permessage-deflate; client_max_window_bits; client_max_window_bits=10", ""},
		{"7.1", "permessage-deflate; unknown", ""},
		{"7.1", "permessage-deflate; unknown=1; client_max_window_bits", ""},
		{"7.1", "permessage-deflate;", ""},
		{"7.1", "permessage-deflate; ; client_max_window_bits", ""},
		{"7.1", "permessage-deflate-more", ""},
		{"7.1", "x-webkit-deflate-frame", ""},
		{"7.1", `foo; bar="a, permessage-deflate, b"`, ""},
		{"7", "permessage-deflate;client_max_window_bits=9;server_no_context_takeover", agreed},
		{"7", "  permessage-deflate ;\tclient_max_window_bits  ", agreed},
		{"7", "permessage-deflate; server_max_window_bits=10, permessage-deflate", agreed}, // the first offer that can be accepted
		{"7", "permessage-deflate; unknown, permessage-deflate; server_max_window_bits=15", agreed + "; server_max_window_bits=15"},
		{"7", "permessage-deflate, permessage-deflate; server_max_window_bits=15", agreed},
		{"7", "foo; bar=1, permessage-deflate; client_max_window_bits, baz", agreed},
		{"7", "foo\npermessage-deflate", agreed},
		{"7", "permessage-deflate; server_max_window_bits=9\nbar, permessage-deflate; client_max_window_bits", agreed},
	} {
		t.Run(c.rfc+" "+c.offers, func(t *testing.T) {
			t.Parallel()
			const header = "Sec-WebSocket-Extensions: "
			sent := handshake(header + strings.ReplaceAll(c.offers, "\n", "\r\n"+header) + "\r\n")
			p, answer := request(t, server, sent, len(sent))
			got := answer.Header.Values("Sec-WebSocket-Extensions")
			if len(got) > 1 || answer.Header.Get("Sec-WebSocket-Extensions") != c.answer {
				t.Fatalf("answered with %q, want %q", got, c.answer)
			}
			p.deflates = c.answer != ""
			x := exchange{sent: frame(fin|rsv1|opText, "\xF2\x48\xCD\xC9\xC9\x07\x00"), want: texts("Hello")}
			if !p.deflates {
				x.want, x.code = nil, 1002
			}
			x.over(t, p, len(x.sent))
		})
	}
}

func TestCompressedMessages(t *testing.T) {
	t.Parallel()
	_, server := start(t, 1<<20)
	const hello = "\xF2\x48\xCD\xC9\xC9\x07\x00"
	const compressed = fin | rsv1
	ping := frame(fin|opPing, "ping")
	long := strings.Repeat("Hello, 世界! ", 100)
	noise := make([]byte, 100<<10)
	rand.NewChaCha8([32]byte{}).Read(noise)
	far := string(noise[:30<<10]) + string(noise[:30<<10]) // a distance that takes most of the window
	stored, dynamic := deflated(long, flate.NoCompression), deflated(long+string(noise[:2000]), flate.BestCompression)
	if stored[0]>>1&3 != 0 || hello[0]>>1&3 != 1 || dynamic[0]>>1&3 != 2 {
		panic("not the blocks that were meant")
	}
	for _, x := range []exchange{
		{"7.2.3.1", "one block", frame(compressed|opText, hello), texts("Hello"), 0},
		{"7.2.3.1", "one block, binary", frame(compressed|opBinary, hello), messages(opBinary, "Hello"), 0},
		{"7.2.3.1", "two fragments", fragmented(rsv1|opText, hello, 3, ""), texts("Hello"), 0},
		{"7.2.3.1", "many fragments", fragmented(rsv1|opText, hello, 1, ""), texts("Hello"), 0},
		{"7.2.3.1", "fragments, pings between", fragmented(rsv1|opText, hello, 6, ping), append(pongs("ping"), texts("Hello")...), 0},
		{"7.2.3.1", "fragments, empty ones between", frame(rsv1|opText, "") + fragmented(opCont, hello, 2, frame(opCont, "")), texts("Hello"), 0},
		{"7.2.3.2", "two messages", strings.Repeat(frame(compressed|opText, hello), 2), texts("Hello", "Hello"), 0},
		{"7.2.3.2", "one that refers to the one before", frame(compressed|opText, hello) + frame(compressed|opText, "\xF2\x00\x11\x00\x00"), texts("Hello"), 1007},
		{"7.2.3.3", "a stored block", frame(compressed|opText, "\x00\x05\x00\xFA\xFFHello\x00"), texts("Hello"), 0},
		{"7.2.3.3", "a long stored block", frame(compressed|opText, stored), texts(long), 0},
		{"7.2.3.4", "a final block", frame(compressed|opText, "\xF3\x48\xCD\xC9\xC9\x07\x00\x00"), texts("Hello"), 0},
		{"7.2.3.4", "a final block inside", frame(compressed|opText, "\xF3\x48\xCD\xC9\xC9\x07\x00"+hello), texts("HelloHello"), 0},
		{"7.2.3.5", "two blocks", frame(compressed|opText, "\xF2\x48\x05\x00\x00\x00\xFF\xFF\xCA\xC9\xC9\x07\x00"), texts("Hello"), 0},
		{"7.2.3.6", "nothing", frame(compressed|opText, "\x00"), texts(""), 0},
		{"7.2.3.6", "nothing, as a fixed block", frame(compressed|opText, "\x02\x00"), texts(""), 0},
		{"7.2.3.6", "nothing, binary, in fragments", frame(rsv1|opBinary, "") + frame(opCont, "\x00") + frame(fin|opCont, ""), messages(opBinary, ""), 0},
		{"7.2.3.6", "not even a block", frame(compressed|opText, ""), nil, 1007}, // 00 00 FF FF is the end of one
		{"7.2", "all that is repeated", frame(compressed|opText, deflated(long, flate.BestCompression)), texts(long), 0},
		{"7.2", "dynamic codes", frame(compressed|opBinary, dynamic), messages(opBinary, long+string(noise[:2000])), 0},
		{"7.2", "a far distance", frame(compressed|opBinary, deflated(far, flate.BestCompression)), messages(opBinary, far), 0},
		{"7.2", "noise", frame(compressed|opBinary, deflated(string(noise), flate.BestCompression)), messages(opBinary, string(noise)), 0},
		{"7.2", "stored noise", frame(compressed|opBinary, deflated(string(noise), flate.NoCompression)), messages(opBinary, string(noise)), 0},
		{"7.2", "no compression at all", frame(fin|opText, "Hello"), texts("Hello"), 0},
		{"7.2", "with and without", strings.Repeat(frame(compressed|opText, hello)+frame(fin|opText, "plain")+fragmented(opText, "parts", 2, "")+
			fragmented(rsv1|opText, hello, 4, ""), 3), texts(strings.Fields(strings.Repeat("Hello plain parts Hello ", 3))...), 0},
		{"6.1", "marked continuation", frame(rsv1|opText, hello[:3]) + frame(fin|rsv1|opCont, hello[3:]), nil, 1002},
		{"6.1", "marked continuation of a plain message", frame(opText, "plain") + frame(fin|rsv1|opCont, hello), nil, 1002},
		{"6.1", "marked continuation of nothing", frame(fin|rsv1|opCont, hello), nil, 1002},
		{"6.1", "marked message in a message", frame(opText, "plain") + frame(compressed|opText, hello), nil, 1002},
		{"6.1", "marked ping", frame(compressed|opPing, hello), nil, 1002},
		{"6.1", "marked pong", frame(compressed|opPong, hello), nil, 1002},
		{"6.1", "marked close", frame(compressed|opClose, ""), nil, 1002},
		{"6.1", "marked ping between fragments", frame(rsv1|opText, hello[:3]) + frame(compressed|opPing, ""), nil, 1002},
		{"6", "the second reserved bit, too", frame(compressed|rsv2|opText, hello), nil, 1002},
		{"6", "the third reserved bit, too", frame(compressed|rsv3|opText, hello), nil, 1002},
		{"6", "an unknown opcode", frame(compressed|3, hello), nil, 1002},
		{"7.2.2", "no such block", frame(compressed|opText, "\x07"), nil, 1007},
		{"7.2.2", "no such block, later", frame(compressed|opText, "\xF2\x48\x05\x00\x00\x00\xFF\xFF\x06"), nil, 1007},
		{"7.2.2", "a stored block with a wrong length", frame(compressed|opText, "\x00\x05\x00\xFA\xFEHello\x00"), nil, 1007},
		{"7.2.2", "a distance to before the beginning", frame(compressed|opBinary, "\xF2\x00\x11\x00\x00"), nil, 1007},
		{"7.2.2", "codes that cannot be", frame(compressed|opText, "\xFC\xFF\xFF\xFF"), nil, 1007},
		{"7.2.2", "cut short", frame(compressed|opText, deflated(long, flate.BestCompression)[:15]), nil, 1007},
		{"7.2.2", "text that was never compressed", frame(compressed|opText, "Hello"), nil, 1007},
		{"7.2.2", "corrupt behind a good one", frame(compressed|opText, hello) + frame(compressed|opText, "\x07"), texts("Hello"), 1007},
		{"8.1", "in many alphabets, in fragments", fragmented(rsv1|opText, deflated(strings.Join(validUTF8, " "), flate.BestCompression), 1, ""), texts(strings.Join(validUTF8, " ")), 0},
		{"8.1", "bytes that are not UTF-8, as binary", frame(compressed|opBinary, deflated("\xFF\xFE", flate.BestSpeed)), messages(opBinary, "\xFF\xFE"), 0},
		{"5.5.1", "a close frame in the middle", frame(rsv1|opText, hello[:3]) + frame(fin|opClose, wstest.ClosePayload(1000, "")), messages(opClose, wstest.ClosePayload(1000, "")), 0},
	} {
		x.run(t, server, offered)
	}
	for _, s := range invalidUTF8 {
		exchange{"8.1", "invalid " + strings.ToValidUTF8(s, "?"), frame(compressed|opText, deflated(s, flate.BestSpeed)), nil, 1007}.run(t, server, offered)
	}
	plain := frame(compressed|opText, hello)
	exchange{"6", "compressed, but that was not agreed on", plain, nil, 1002}.run(t, server, "")
	exchange{"6", "compressed behind a message, but that was not agreed on", frame(fin|opText, "first") + plain, texts("first"), 1002}.run(t, server, "")
}

func TestLargeCompressedMessages(t *testing.T) {
	size := limits.MessageBytes
	_, server := start(t, size)
	text := strings.Repeat("水𐍈x", size/8)
	small := deflated(text, flate.BestSpeed)
	for _, x := range []exchange{
		{"7.2", "text in fragments", fragmented(rsv1|opText, small, 1000, ""), texts(text), 0},
		{"10.4", "more than the limit when it is inflated", frame(fin|rsv1|opText, deflated(text+"x", flate.BestSpeed)), nil, 1009},
	} {
		t.Run(x.name, func(t *testing.T) { x.over(t, dial(t, server, offered), 1<<20) })
	}
}

// TestCompressionMayMakeLonger sends as much as a message may have, in blocks that are longer than that.
func TestCompressionMayMakeLonger(t *testing.T) {
	t.Parallel()
	const size = 256 << 10
	_, server := start(t, size)
	noise := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(noise)
	for _, level := range []int{flate.NoCompression, flate.HuffmanOnly, flate.BestSpeed} {
		sent := deflated(string(noise), level)
		if len(sent) <= size {
			t.Fatalf("level %d makes noise shorter", level)
		}
		exchange{sent: fragmented(rsv1|opBinary, sent, 64<<10, ""), want: messages(opBinary, string(noise))}.over(t, dial(t, server, offered), 1<<20)
	}
}

// TestServerCompresses checks that what comes back is compressed, each message by itself.
func TestServerCompresses(t *testing.T) {
	t.Parallel()
	_, server := start(t, 1<<20)
	p := dial(t, server, offered)
	long := strings.Repeat("compress me ", 100)
	for range 2 {
		p.write(frame(fin|opText, long), 1<<20)
		if head, err := p.conn.R.Peek(2); err != nil || head[0] != fin|rsv1|opText || int(head[1]) > 100 {
			t.Fatalf("a frame begins with %x (%v), want a short compressed one", head, err)
		}
		if got, err := p.next(); err != nil || got != (message{opText, long}) {
			t.Fatalf("got %v, %v", got, err)
		}
	}
}

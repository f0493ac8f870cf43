package client

import (
	"bytes"
	"net/http"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// TestStreamFollowsTheFrames passes random frames in random pieces, and compares with what was put together.
func TestStreamFollowsTheFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sent, want []byte
		var compressed []bool
		for range rapid.IntRange(1, 20).Draw(t, "frames") {
			op := rapid.SampledFrom([]byte{0, 1, 2, 8, 9, 10}).Draw(t, "opcode")
			first := op | rapid.SampledFrom([]byte{0, 0x80}).Draw(t, "fin") | rapid.SampledFrom([]byte{0, wire.RSV1}).Draw(t, "rsv1")
			payload := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "payload")
			if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
				payload = bytes.Repeat([]byte{0xC1}, 70_000)
			}
			frame := clientFrame(first, payload)
			sent = append(sent, frame...)
			if op == 1 || op == 2 {
				compressed = append(compressed, first&wire.RSV1 != 0)
				frame[0] &^= wire.RSV1
			}
			want = append(want, frame...)
		}
		m := &stream{marks: &marks{}}
		for rest := sent; len(rest) > 0; {
			n := rapid.IntRange(1, min(len(rest), 1000)).Draw(t, "piece")
			m.pass(rest[:n])
			rest = rest[n:]
		}
		if !bytes.Equal(sent, want) {
			t.Fatal("something else than the marks of messages was changed, or a mark was not taken away")
		}
		for _, c := range compressed {
			if got := m.marks.next(); got != c {
				t.Fatalf("a message is taken for compressed: %v, want %v", got, c)
			}
		}
		if len(*m.marks) != 0 {
			t.Fatalf("%d messages too many", len(*m.marks))
		}
	})
}

func clientFrame(first byte, payload []byte) []byte {
	return append(append(wstest.AppendHeader(nil, first, true, len(payload)), 0xC1, 0x41, 0xC2, 0x42), payload...) // a masking key that looks like frames
}

func TestOffersOfCompression(t *testing.T) {
	const plain = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"
	for offer, want := range map[string]string{
		"":                   "",
		"permessage-deflate": plain,
		"permessage-deflate; client_max_window_bits":                                  plain,
		"permessage-deflate;client_max_window_bits=10":                                plain,
		`permessage-deflate; client_max_window_bits="15"; server_no_context_takeover`: plain,
		"permessage-deflate; client_no_context_takeover":                              plain,
		"permessage-deflate; server_max_window_bits=15":                               plain + "; server_max_window_bits=15",
		"permessage-deflate; server_max_window_bits=10":                               "",
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":           plain,
		"permessage-deflate; server_max_window_bits":                                  "",
		"permessage-deflate; client_max_window_bits=7":                                "",
		"permessage-deflate; client_max_window_bits=08":                               "",
		"permessage-deflate; client_no_context_takeover=1":                            "",
		"permessage-deflate; client_no_context_takeover; client_no_context_takeover":  "",
		"permessage-deflate; unknown":                                                 "",
		"permessage-deflate;":                                                         "",
		"x-webkit-deflate-frame":                                                      "",
		"permessage-bzip2, permessage-deflate; client_max_window_bits":                plain,
	} {
		r := &http.Request{Header: http.Header{"Sec-Websocket-Extensions": {offer}}}
		if got := negotiateDeflate(r); got != want {
			t.Errorf("%q is answered with %q, want %q", offer, got, want)
		}
	}
	several := http.Header{"Sec-Websocket-Extensions": slices.Repeat([]string{"other"}, 3)}
	several.Add("Sec-WebSocket-Extensions", "permessage-deflate")
	if got := negotiateDeflate(&http.Request{Header: several}); got != plain {
		t.Errorf("an offer in a header of its own is answered with %q", got)
	}
}

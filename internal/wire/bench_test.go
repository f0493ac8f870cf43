package wire_test

import (
	"strings"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

func BenchmarkEnvelope(b *testing.B) {
	for _, bb := range []struct{ name, data string }{
		{"small", "hello, world"},
		{"1KiB", strings.Repeat("x", 1<<10)},
		{"1KiB of Chinese", strings.Repeat("世", 1<<10/3)},
		{"1KiB of JSON to escape", strings.Repeat(`{"key":"value"},`, 1<<10/16)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			e, dst := wire.NewEnvelope("news"), make([]byte, 0, 4<<10)
			b.ReportAllocs()
			b.SetBytes(int64(len(bb.data)))
			for b.Loop() {
				e.Append(dst, bb.data)
			}
		})
	}
}

// BenchmarkPublication compares the envelopes of both protocols: what a topic does once for each message and encoding.
func BenchmarkPublication(b *testing.B) {
	for _, bb := range []struct{ name, data string }{
		{"16 bytes", strings.Repeat("x", 16)},
		{"128 bytes", strings.Repeat("x", 128)},
	} {
		dst := make([]byte, 0, 4<<10)
		b.Run("v1, text of "+bb.name, func(b *testing.B) {
			e := wire.NewEnvelope("chat:42")
			b.ReportAllocs()
			for b.Loop() {
				e.Append(dst, bb.data)
			}
		})
		quoted := `"` + bb.data[2:] + `"`
		for _, p := range []wire.Publication{{Data: bb.data}, {Data: quoted, JSON: true}, {Data: bb.data, From: "alice"}} {
			name := map[bool]string{true: "JSON", false: "text"}[p.JSON] + " of " + bb.name
			if p.From != "" {
				name += " with from and prev"
			}
			b.Run("v2, "+name, func(b *testing.B) {
				e, seq, prev := wire.NewEnvelope2("chat:42"), uint64(123_456), uint64(123_455)
				if p.From != "" {
					prev--
				}
				b.ReportAllocs()
				for b.Loop() {
					e.Append(dst, seq, prev, &p)
				}
			})
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, bb := range []struct{ name, text string }{
		{"subscribe", "sub:news"},
		{"unsubscribe", "unsub:news"},
		{"publish", `{"topic":"news","data":"hello, world"}`},
		{"publish of 1KiB", `{"topic":"news","data":"` + strings.Repeat("x", 1<<10) + `"}`},
		{"other", "hello, world"},
		{"other JSON", `{"type":"ping","id":1}`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			text := []byte(bb.text)
			b.ReportAllocs()
			for b.Loop() {
				wire.Parse(text)
			}
		})
	}
}

func BenchmarkParseCommand2(b *testing.B) {
	for _, bb := range []struct{ name, text string }{
		{"subscribe", `{"id":1,"sub":"news"}`},
		{"subscribe with since", `{"id":1,"sub":"news","since":["a1b2c3d4",1234]}`},
		{"publish", `{"id":1,"pub":"news","data":"hello, world"}`},
		{"publish of 1KiB", `{"id":1,"pub":"news","data":"` + strings.Repeat("x", 1<<10) + `"}`},
		{"message", `{"id":1,"msg":{"type":"ping"}}`},
		{"refused", `{"id":1,"Sub":"news"}`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			text := []byte(bb.text)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = wire.ParseCommand2(text)
			}
		})
	}
}

// document is n bytes of JSON, which compress as JSON does.
func document(n int) string {
	return strings.Repeat(`{"symbol":"ABCX","bid":101.25,"ask":101.37,"venue":"east-3"},`, n/60+1)[:n]
}

func BenchmarkInflate(b *testing.B) {
	frame := wire.NewDeflater(1, 0).Append(nil, wire.AppendFrame(nil, wire.OpText, document(1<<10)))
	payload := frame[2:]
	if frame[1] == 126 {
		payload = frame[4:]
	}
	dst := make([]byte, 0, 4<<10)
	b.ReportAllocs()
	b.SetBytes(1 << 10)
	for b.Loop() {
		if got, err := wire.Inflate(dst, payload, 4<<10, nil); err != nil || len(got) != 1<<10 {
			b.Fatal(len(got), err)
		}
	}
}

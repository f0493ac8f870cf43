package wire_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// TestBatchWithoutItsFirstMessages shortens batches, in either form, and compares with the messages they were made of.
func TestBatchWithoutItsFirstMessages(t *testing.T) {
	deflater := wire.NewDeflater(1, 100)
	rapid.Check(t, func(t *rapid.T) {
		b := &wire.Batch{Lost: new(atomic.Uint64)}
		var plain, deflated []string
		for range rapid.IntRange(1, 8).Draw(t, "messages") {
			size := rapid.SampledFrom([]int{0, 1, 125, 126, 1000, 65535, 65536}).Draw(t, "size")
			frame := wire.AppendFrame(nil, wire.OpText, strings.Repeat("x", size))
			compressed := deflater.Append(nil, frame)
			plain, deflated = append(plain, string(frame)), append(deflated, string(compressed))
			b.Frames, b.Deflated = append(b.Frames, frame...), append(b.Deflated, compressed...)
			b.Messages++
		}
		deflate, excess := rapid.Bool().Draw(t, "deflate"), rapid.IntRange(0, len(b.Frames)).Draw(t, "excess")
		messages := plain
		if deflate {
			messages = deflated
		}
		first := 0
		for gone := 0; gone < excess && first < len(messages); first++ {
			gone += len(messages[first])
		}
		rest := b.Without(deflate, excess)
		if want := strings.Join(messages[first:], ""); string(rest.For(deflate)) != want || rest.Messages != len(messages)-first || rest.Lost != b.Lost {
			t.Fatalf("got %d messages in %d bytes, want %d in %d", rest.Messages, len(rest.For(deflate)), len(messages)-first, len(want))
		}
		last := b.Last(deflate)
		if want := messages[len(messages)-1]; string(last.For(deflate)) != want || last.Messages != 1 || last.Lost != b.Lost {
			t.Fatalf("got %d messages in %d bytes for the last", last.Messages, len(last.For(deflate)))
		}
	})
}

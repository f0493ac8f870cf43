package wire_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// TestBatchWithoutItsFirstMessages shortens batches, in each encoding, and compares with the messages they were made of.
func TestBatchWithoutItsFirstMessages(t *testing.T) {
	deflater := wire.NewDeflater(1, 100)
	rapid.Check(t, func(t *rapid.T) {
		b := &wire.Batch{Lost: new(atomic.Uint64)}
		var messages [wire.FrameEncodings][]string
		for range rapid.IntRange(1, 8).Draw(t, "messages") {
			size := rapid.SampledFrom([]int{0, 1, 125, 126, 1000, 65535, 65536}).Draw(t, "size")
			frame := wire.AppendFrame(nil, wire.OpText, strings.Repeat("x", size))
			for e, frame := range [wire.FrameEncodings][]byte{frame, deflater.Append(nil, frame)} {
				messages[e] = append(messages[e], string(frame))
				b.Frames[e] = append(b.Frames[e], frame...)
			}
			b.Messages++
		}
		e := rapid.SampledFrom([]wire.Encoding{wire.V1, wire.V1Deflated}).Draw(t, "encoding")
		all, excess := messages[e], rapid.IntRange(0, len(b.Frames[wire.V1])).Draw(t, "excess")
		first := 0
		for gone := 0; gone < excess && first < len(all); first++ {
			gone += len(all[first])
		}
		rest := b.Without(e, excess)
		if want := strings.Join(all[first:], ""); string(rest.For(e)) != want || rest.Messages != len(all)-first || rest.Lost != b.Lost {
			t.Fatalf("got %d messages in %d bytes, want %d in %d", rest.Messages, len(rest.For(e)), len(all)-first, len(want))
		}
		last := b.Last(e)
		if want := all[len(all)-1]; string(last.For(e)) != want || last.Messages != 1 || last.Lost != b.Lost {
			t.Fatalf("got %d messages in %d bytes for the last", last.Messages, len(last.For(e)))
		}
	})
}

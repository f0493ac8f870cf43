package wire_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// inflate undoes RFC 7692 section 7.2.1 for a frame that is marked as compressed.
func inflate(t rapid.TB, frame []byte) string {
	t.Helper()
	if frame[0]&0x40 == 0 {
		t.Fatalf("frame % x... is not marked as compressed", frame[:2])
	}
	header := map[byte]int{126: 4, 127: 10}[frame[1]]
	if header == 0 {
		header = 2
	}
	data, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(frame[header:]), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestDeflaterIsUndoneByInflating(t *testing.T) {
	d := wire.NewDeflater(flate.BestSpeed, 10)
	for _, size := range []int{10, 200, 70_000, 3_000_000} {
		payload := strings.Repeat("0123456789", size/10)
		plain := wire.AppendFrame(nil, wire.OpText, payload)
		frame := d.Append([]byte("before"), plain)
		if !bytes.HasPrefix(frame, []byte("before")) {
			t.Fatal("Append does not append")
		}
		frame = frame[len("before"):]
		if size == 10 { // does not get smaller
			if !bytes.Equal(frame, plain) {
				t.Fatalf("incompressible message became % x", frame)
			}
			continue
		}
		if got := inflate(t, frame); got != payload || len(frame) >= len(plain)/2 {
			t.Fatalf("%d bytes became a frame of %d and then %d bytes", size, len(frame), len(got))
		}
	}
}

func TestDeflaterLeavesShortMessagesAlone(t *testing.T) {
	d := wire.NewDeflater(flate.BestCompression, 100)
	plain := wire.AppendFrame(nil, wire.OpBinary, strings.Repeat("x", 99))
	if got := d.Append(nil, plain); !bytes.Equal(got, plain) {
		t.Fatalf("got % x", got)
	}
	plain = wire.AppendFrame(nil, wire.OpBinary, strings.Repeat("x", 100))
	if got := d.Append(nil, plain); got[0] != 0x80|0x40|byte(wire.OpBinary) || len(got) >= len(plain) {
		t.Fatalf("got % x", got)
	}
}

func TestDeflaterRoundTripsAnything(t *testing.T) {
	d := wire.NewDeflater(flate.BestSpeed, 0)
	rapid.Check(t, func(t *rapid.T) {
		payload := rapid.SliceOf(rapid.ByteRange('a', 'd')).Draw(t, "payload")
		plain := wire.AppendFrame(nil, wire.OpBinary, payload)
		frame := d.Append(nil, plain)
		if len(frame) > len(plain) {
			t.Fatalf("%d bytes grew to %d", len(plain), len(frame))
		}
		if frame[0]&0x40 != 0 && inflate(t, frame) != string(payload) {
			t.Fatal("inflates to something else")
		}
	})
}

func BenchmarkDeflate(b *testing.B) {
	d := wire.NewDeflater(flate.BestSpeed, 0)
	var json strings.Builder
	for i := 0; json.Len() < 1024; i++ {
		fmt.Fprintf(&json, `{"id":%d,"symbol":"S%03d","price":%d.%02d},`, i*7919, i, i*31%900, i*17%100)
	}
	plain := wire.AppendFrame(nil, wire.OpText, json.String())
	dst := d.Append(nil, plain)
	b.ReportMetric(float64(len(plain))/float64(len(dst)), "ratio")
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		dst = d.Append(dst[:0], plain)
	}
}

package wire_test

import (
	"bytes"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

func TestClientHeaderInParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		op := rapid.SampledFrom([]byte{wstest.Continuation, wstest.Text, wstest.Binary, wstest.Close, wstest.Ping, wstest.Pong}).Draw(t, "opcode")
		fin, control := rapid.Bool().Draw(t, "fin"), op >= wstest.Close
		most := math.MaxInt
		if control {
			fin, most = true, wire.MaxControlPayload
		}
		payload := rapid.IntRange(0, most).Draw(t, "payload")
		first := op
		if fin {
			first |= wstest.Fin
		}
		key := [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "key"))
		header := append(wstest.AppendHeader(nil, first, true, payload), key[:]...)
		for n := range len(header) {
			if _, size, err := wire.ParseClientHeader(header[:n], false); size != 0 || err != nil {
				t.Fatalf("of %d bytes, %d are a header (%v)", n, size, err)
			}
		}
		h, n, err := wire.ParseClientHeader(append(header, "behind it"...), false)
		if n != len(header) || err != nil {
			t.Fatalf("%d bytes are a header (%v), want %d", n, err, len(header))
		}
		if h.Op != wire.Opcode(op) || h.Fin != fin || h.Compressed || h.Payload != uint64(payload) {
			t.Fatalf("got %+v", h)
		}
		got := make([]byte, 4)
		h.Key.Unmask(got)
		if !bytes.Equal(got, key[:]) {
			t.Fatalf("the key is %x, want %x", got, key)
		}
	})
}

func TestUnmaskingInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "payload")
		got := bytes.Clone(want)
		key := [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "key"))
		wstest.Mask(got, key)
		h, _, _ := wire.ParseClientHeader(append(wstest.AppendHeader(nil, wstest.Binary, true, len(want)), key[:]...), false)
		for rest := got; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			h.Key = h.Key.Unmask(rest[:n])
			rest = rest[n:]
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("got %x, want %x", got, want)
		}
	})
}

func TestMarkOfCompression(t *testing.T) {
	for op, may := range map[byte]bool{wstest.Text: true, wstest.Binary: true, wstest.Continuation: false, wstest.Ping: false, wstest.Pong: false, wstest.Close: false} {
		header := wstest.Masked(wstest.Fin|wstest.RSV1|op, "")
		if h, _, err := wire.ParseClientHeader(header, true); h.Compressed != may && err == nil || (err == nil) != may {
			t.Errorf("opcode %d: got %+v (%v)", op, h, err)
		}
		if _, _, err := wire.ParseClientHeader(header, false); err == nil {
			t.Errorf("opcode %d: the mark is accepted although nothing was negotiated", op)
		}
	}
}

func BenchmarkUnmask(b *testing.B) {
	p := make([]byte, 16<<10)
	key := wire.MaskKey(0x3D21FA37)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		key = key.Unmask(p)
	}
}

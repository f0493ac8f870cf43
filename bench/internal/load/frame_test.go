package load

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// found is a sink that remembers.
type found struct {
	messages int
	kept     []string
	controls []byte
	why      string
}

func (f *found) count(n int)                    { f.messages += n }
func (f *found) message(data []byte, _ bool)    { f.kept = append(f.kept, string(data)) }
func (f *found) controlFrame(op byte, _ []byte) { f.controls = append(f.controls, op) }
func (f *found) broken(why string)              { f.why = why }

func frame(first byte, payload []byte) []byte {
	return append(wstest.AppendHeader(nil, first, false, len(payload)), payload...)
}

// stream is messages of all sizes, an empty one, a fragmented one with a ping inside, and a close.
func stream() (b []byte, messages []string) {
	for _, size := range []int{0, 1, 125, 126, 127, 1000, 65535, 65536, 70000} {
		m := bytes.Repeat([]byte{'a'}, size)
		b = append(b, frame(0x81, m)...)
		messages = append(messages, string(m))
	}
	b = append(b, frame(0x01, []byte("one "))...)
	b = append(b, frame(0x89, []byte("ping"))...)
	b = append(b, frame(0x00, nil)...)
	b = append(b, frame(0x80, []byte("two"))...)
	messages = append(messages, "one two")
	return append(b, frame(0x88, []byte{3, 232})...), messages
}

func TestCounterInPieces(t *testing.T) {
	all, messages := stream()
	for _, most := range []int{1, 2, 3, 7, 100, 1000, len(all)} {
		for _, keep := range []bool{false, true} {
			c, f := counter{keep: keep}, &found{}
			for rest := all; len(rest) > 0; {
				n := min(1+rand.IntN(most), len(rest))
				if !c.feed(rest[:n], f) {
					t.Fatal(f.why)
				}
				rest = rest[n:]
			}
			if f.messages != len(messages) {
				t.Errorf("pieces of up to %d: %d messages, want %d", most, f.messages, len(messages))
			}
			if keep && !slices.Equal(f.kept, messages) {
				t.Errorf("pieces of up to %d: messages differ", most)
			}
			if !bytes.Equal(f.controls, []byte{wstest.Ping, wstest.Close}) {
				t.Errorf("control frames %v", f.controls)
			}
		}
	}
}

func TestCounterOfLines(t *testing.T) {
	c, f := counter{lines: true}, &found{}
	c.feed(append(frame(0x81, []byte("a\nb\nc")), frame(0x81, []byte("d"))...), f)
	if f.messages != 4 {
		t.Errorf("%d lines, want 4", f.messages)
	}
}

func TestCounterIgnoresHeartbeats(t *testing.T) {
	stream := slices.Concat(frame(0x81, []byte("{}")), frame(0x81, []byte("one")), frame(0x81, []byte("{}")),
		frame(0x01, []byte("t")), frame(0x80, []byte("wo")), frame(0x81, []byte("{}")))
	for _, keep := range []bool{false, true} {
		for _, size := range []int{1, 3, len(stream)} {
			c, f := counter{beats: true, keep: keep}, &found{}
			for piece := range slices.Chunk(stream, size) {
				c.feed(piece, f)
			}
			if f.messages != 2 || keep && !slices.Equal(f.kept, []string{"one", "two"}) {
				t.Errorf("pieces of %d bytes: %d messages, kept %q", size, f.messages, f.kept)
			}
		}
	}
}

func TestCounterRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"masked":  {0x81, 0x81, 0, 0, 0, 0, 'x'},
		"unknown": {0x83, 0},
	} {
		c, f := counter{}, &found{}
		if c.feed(b, f) || f.why == "" {
			t.Errorf("%s frame is fine", name)
		}
	}
}

func BenchmarkCounter(b *testing.B) {
	one := frame(0x81, make([]byte, 160))
	all := bytes.Repeat(one, 1000)
	c, f := counter{}, &found{}
	b.SetBytes(int64(len(all)))
	for b.Loop() {
		c.feed(all, f)
	}
}

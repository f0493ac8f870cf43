package wire_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// tables is a block that holds nothing but two Huffman tables (RFC 1951, section 3.2.7): 38 bytes that become 9,000 entries
// of tables and no output.
const tables = "\xec\xe0\x03\xa0-\xd8\xb6-X\x86m\xdb\xb6m\xdb\xb6m\xdb\xb6m\xdb\xb6m\xdb\xb6m\x00\x88\xb8\xefgU\xebc\xae}\xdaw"

// attack is a compressed message of so many of them. It ends as every message does, inside a stored block.
func attack(blocks int) []byte { return append(bytes.Repeat([]byte(tables), blocks), 0) }

// quotes is n bytes of JSON that repeat little.
func quotes(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `{"id":%d,"symbol":"S%03d","price":%d.%02d},`, i*7919, i, i*31%900, i*17%100)
	}
	return b.String()[:n]
}

// compress returns the payload of a compressed message (RFC 7692, section 7.2.1), with a flush behind each so many bytes.
func compress(t testing.TB, data string, flush int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		t.Fatal(err)
	}
	for len(data) > 0 {
		n := min(flush, len(data))
		if _, err := w.Write([]byte(data[:n])); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		data = data[n:]
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff"))
}

// watch writes down what it is asked, and fails at the look with a number.
type watch struct {
	in, out []int
	failAt  int
}

var errWatch = errors.New("enough")

func (w *watch) Look(in, out int) error {
	w.in, w.out = append(w.in, in), append(w.out, out)
	if len(w.in) == w.failAt {
		return errWatch
	}
	return nil
}

func TestInflatingIsWatched(t *testing.T) {
	noise := make([]byte, 100<<10) // becomes stored blocks
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for name, payload := range map[string][]byte{
		"text":          compress(t, quotes(200<<10), 200<<10),
		"stored blocks": compress(t, string(noise), 64<<10),
		"tables":        attack(300),
		"short":         attack(1),
	} {
		t.Run(name, func(t *testing.T) {
			size := len(payload)
			w := &watch{}
			plain, err := wire.Inflate([]byte("before"), payload, 1<<20, w)
			if err != nil {
				t.Fatal(err)
			}
			if want := (size + 9 - 1) / wire.WatchBytes; len(w.in) != want { // 9 bytes end every message
				t.Fatalf("%d looks at %d bytes, want %d", len(w.in), size, want)
			}
			for i := range w.in {
				if w.in[i] != (i+1)*wire.WatchBytes || w.out[i] > len(plain) || len(plain) > 100<<10 && i > 0 && w.out[i] < w.out[i-1] {
					t.Fatalf("look %d after %d bytes in and %d out", i, w.in[i], w.out[i])
				}
			}
			if n := len(w.in); len(plain) > 100<<10 && w.out[n-1] < len(plain)-64<<10 {
				t.Fatalf("the last look tells of %d bytes out of %d", w.out[n-1], len(plain))
			}
			for at := range len(w.in) {
				if _, err := wire.Inflate(nil, payload, 1<<20, &watch{failAt: at + 1}); !errors.Is(err, errWatch) {
					t.Fatalf("look %d ends it with %v", at, err)
				}
			}
			again, err := wire.Inflate([]byte("before"), payload, 1<<20, nil) // behind those that were ended
			if err != nil || !bytes.Equal(again, plain) {
				t.Fatalf("%d bytes (%v), %d before", len(again), err, len(plain))
			}
		})
	}
}

func TestTablesInflateToNothing(t *testing.T) {
	got, err := wire.Inflate(nil, attack(100), 0, nil)
	if err != nil || len(got) != 0 {
		t.Fatalf("got %q (%v)", got, err)
	}
}

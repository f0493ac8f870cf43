package contender

import (
	"bytes"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

func TestUnmask(t *testing.T) {
	key := [4]byte{1, 2, 3, 4}
	for size := range 40 {
		want := bytes.Repeat([]byte("x"), size)
		got := bytes.Clone(want)
		wstest.Mask(got, key)
		unmask(got, key[:])
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %q", size, got)
		}
	}
}

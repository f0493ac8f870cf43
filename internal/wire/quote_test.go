package wire_test

import (
	"strings"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

func TestQuoteIsShort(t *testing.T) {
	units := []string{
		"x", `"`, "\n", "\x00", "\x7f", "\u0080", "\u00ad", "\u200f", "\u2028", "世", "😀", "\U000e0001", "\U0010ffff",
		"\xff", "\x80", "\xe4\xb8", "\xed\xa0\x80", "世\u202e", "\x00\xff",
	}
	for _, unit := range units {
		for n := range 200 {
			text := strings.Repeat(unit, n)
			if !isShort(t, text, wire.Quote(text)) || !isShort(t, text, wire.Clean(text)) {
				break
			}
		}
	}
}

// isShort checks that a quote has at most 128 bytes, and "..." when something was left out.
func isShort(t *testing.T, text, quote string) bool {
	t.Helper()
	n := len(strings.TrimSuffix(quote, "..."))
	if n > 128 {
		t.Errorf("%d bytes come out with %d, want at most 128: %s", len(text), n, quote)
	}
	return n <= 128
}

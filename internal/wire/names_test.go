package wire_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// names is what can be a name of at most 128 bytes, and what cannot.
var names = []struct {
	name string
	ok   bool
}{
	{"", false},
	{"x", true},
	{" ", true},
	{"a b", true},
	{"sub:x", true},
	{"a/b.c:d#e?f*", true},
	{`"quotes" and \ backslashes`, true},
	{"新闻", true},
	{"😀", true},
	{"\u00a0", true},
	{"\ufffd", true},
	{"\U0010ffff", true},
	{"a\x00b", false},
	{"\t", false},
	{"a\n", false},
	{"\r", false},
	{"\x1b[31m", false},
	{"\x1f", false},
	{"\x7f", false},
	{"\u0080", false},
	{"a\u0085b", false},
	{"\u009f", false},
	{"\xff", false},
	{"a\x80", false},
	{"\xe4\xb8", false},
	{"\xc0\x80", false},
	{"\xed\xa0\x80", false},
}

func TestNamesAreTextWithoutControlCharacters(t *testing.T) {
	for _, tt := range names {
		for what, check := range map[string]func(string) error{"CheckTopic": wire.CheckTopic, "CheckUserID": wire.CheckUserID} {
			err := check(tt.name)
			if (err == nil) != tt.ok {
				t.Errorf("%s(%+q) returned %v, want an error: %t", what, tt.name, err, !tt.ok)
			}
			if err != nil {
				checkLogSafe(t, "error", err.Error())
			}
		}
	}
}

func TestNamesAreLimitedInBytes(t *testing.T) {
	if wire.MaxTopic != 255 || wire.MaxUserID != 128 {
		t.Fatalf("limits are %d and %d bytes, want 255 and 128", wire.MaxTopic, wire.MaxUserID)
	}
	for _, tt := range []struct {
		what  string
		check func(string) error
		most  int
	}{{"CheckTopic", wire.CheckTopic, 255}, {"CheckUserID", wire.CheckUserID, 128}} {
		for _, unit := range []string{"x", "é", "世", "😀"} {
			for n := tt.most - 5; n <= tt.most+5; n++ {
				name := strings.Repeat(unit, n/len(unit)) + strings.Repeat("x", n%len(unit))
				if err := tt.check(name); (err == nil) != (n <= tt.most) {
					t.Errorf("%s of %d bytes of %q returned %v", tt.what, n, unit, err)
				}
			}
		}
		err := tt.check(strings.Repeat("x", 1<<20))
		if err == nil || len(err.Error()) > 300 {
			t.Errorf("%s of a megabyte returned %.400v, want a short error", tt.what, err)
		}
	}
}

func TestControlCharactersAreRefusedOneAndAll(t *testing.T) {
	for r := rune(0); r <= 0x3000; r++ {
		control := r < 0x20 || r >= 0x7F && r < 0xA0
		if err := wire.CheckTopic("a" + string(r) + "b"); (err != nil) != control {
			t.Errorf("CheckTopic with %U returned %v", r, err)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", `""`},
		{"news", `"news"`},
		{"新闻 😀", `"新闻 😀"`},
		{`a"b\c`, `"a\"b\\c"`},
		{"a\nb\x1b[31m", `"a\nb\x1b[31m"`},
		{"\xff", `"\xff"`},
		{"\u0085\u2028", `"\u0085\u2028"`},
		{"\u202eabc\u202c", `"\u202eabc\u202c"`},
		{strings.Repeat("x", 64), `"` + strings.Repeat("x", 64) + `"`},
		{strings.Repeat("x", 65), `"` + strings.Repeat("x", 64) + `"...`},
		{strings.Repeat("世", 22), `"` + strings.Repeat("世", 21) + `"...`},
	} {
		if got := wire.Quote(tt.text); got != tt.want {
			t.Errorf("Quote(%+q) is %s, want %s", tt.text, got, tt.want)
		}
	}
}

func TestWhatDisturbsALogIsEscaped(t *testing.T) {
	for _, class := range []*unicode.RangeTable{unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp} {
		for _, r := range class.R16 {
			checkRangeLogSafe(t, rune(r.Lo), rune(r.Hi))
		}
		for _, r := range class.R32 {
			checkRangeLogSafe(t, rune(r.Lo), rune(r.Hi))
		}
	}
	for _, s := range append(notUTF8, awkward...) {
		checkLogSafe(t, "Quote", wire.Quote(s))
		checkLogSafe(t, "Clean", wire.Clean(s))
	}
}

func checkRangeLogSafe(t *testing.T, from, to rune) {
	t.Helper()
	for r := from; r <= to; r++ {
		checkLogSafe(t, "Quote", wire.Quote("世"+string(r)+"x"))
		checkLogSafe(t, "Clean", wire.Clean("世"+string(r)+"x"))
	}
}

func TestCleanLeavesShortPrintableTextAlone(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{"news", "news"},
		{"新闻 😀", "新闻 😀"},
		{`a"b\c`, `a"b\c`},
		{strings.Repeat("x", 128), strings.Repeat("x", 128)},
		{strings.Repeat("x", 129), `"` + strings.Repeat("x", 64) + `"...`},
		{"a\nb", `"a\nb"`},
		{"\xff", `"\xff"`},
		{"\u202eabc", `"\u202eabc"`},
		{"\u2028", `"\u2028"`},
	} {
		if got := wire.Clean(tt.text); got != tt.want {
			t.Errorf("Clean(%+q) is %s, want %s", tt.text, got, tt.want)
		}
	}
}

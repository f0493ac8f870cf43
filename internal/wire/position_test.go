package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// anyPosition draws valid positions.
func anyPosition() *rapid.Generator[wire.Position] {
	return rapid.Custom(func(t *rapid.T) wire.Position {
		return wire.Position{
			Epoch: rapid.StringMatching(`[A-Za-z0-9._~-]{1,64}`).Draw(t, "epoch"),
			Seq:   rapid.Uint64Range(0, maxNumber).Draw(t, "seq"),
		}
	})
}

func TestPositionIsJSONBothWays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPosition().Draw(t, "position")
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if want, _ := json.Marshal([]any{p.Epoch, p.Seq}); string(text) != string(want) {
			t.Fatalf("%+v is written as %s, want %s", p, text, want)
		}
		var got wire.Position
		if err := json.Unmarshal(text, &got); err != nil || got != p {
			t.Fatalf("%s is read as %+v (%v), want %+v", text, got, err, p)
		}
	})
}

func TestPositionIsReadAsJSONAllows(t *testing.T) {
	want := wire.Position{Epoch: "E", Seq: 12}
	for _, text := range []string{`["E",12]`, " [ \"E\" ,\n12 ]\t", `["\u0045",12]`, `["E",12,"more",[1,"]"],{"x":"}"}]`} {
		var got wire.Position
		if err := got.UnmarshalJSON([]byte(text)); err != nil || got != want {
			t.Errorf("%s is read as %+v (%v), want %+v", text, got, err, want)
		}
	}
}

func TestPositionRefusesWhatIsNone(t *testing.T) {
	for text, want := range map[string]string{
		`x`:                           `position is not JSON`,
		``:                            `position is not JSON`,
		`["E",1`:                      `position is not JSON`,
		`{}`:                          `position is an object, expected ["EPOCH",SEQ]; got "{}"`,
		`null`:                        `position is null, expected ["EPOCH",SEQ]; got "null"`,
		`[]`:                          `position has too few elements, expected ["EPOCH",SEQ]; got "[]"`,
		`["E"]`:                       `position has too few elements, expected ["EPOCH",SEQ]; got "[\"E\"]"`,
		`[1,"E"]`:                     `position: epoch is a number, not a string; got "1"`,
		`["",1]`:                      `position: epoch is empty`,
		`["\ud800",1]`:                `position: epoch is not valid: it has half of a surrogate pair, which is no character (RFC 8259, section 8.2); got "\"\\ud800\""`,
		`["a b",1]`:                   `position: epoch "a b" has other characters than letters, digits and -._~`,
		`["世",1]`:                     `position: epoch "世" has other characters than letters, digits and -._~`,
		`["E","1"]`:                   `position: number is not a whole number from 0 to 9007199254740991, in digits only; got "\"1\""`,
		`["E",-1]`:                    `position: number is not a whole number from 0 to 9007199254740991, in digits only; got "-1"`,
		`["E",1.0]`:                   `position: number is not a whole number from 0 to 9007199254740991, in digits only; got "1.0"`,
		`["E",9007199254740992]`:      `position: number is not a whole number from 0 to 9007199254740991, in digits only; got "9007199254740992"`,
		`["` + long("e", 65) + `",1]`: `position: epoch "` + long("e", 64) + `"... has 65 bytes, at most 64 are allowed`,
	} {
		p := wire.Position{Epoch: "before", Seq: 7}
		err := p.UnmarshalJSON([]byte(text))
		if err == nil || err.Error() != want {
			t.Errorf("%s gives the error\n%v, want\n%s", text, err, want)
		}
		if p != (wire.Position{Epoch: "before", Seq: 7}) {
			t.Errorf("%s has changed the position to %+v", text, p)
		}
	}
}

func TestPositionIsCheckedBeforeItIsWritten(t *testing.T) {
	for _, p := range []wire.Position{{}, {Epoch: "a/b"}, {Epoch: `"`}, {Epoch: "\xff"}, {Epoch: long("e", 65)}, {Epoch: "E", Seq: maxNumber + 1}} {
		if text, err := p.MarshalJSON(); err == nil {
			t.Errorf("%+v is written as %s, want an error", p, text)
		}
	}
	for _, p := range []wire.Position{{Epoch: "-"}, {Epoch: "AZaz09-._~"}, {Epoch: long("e", 64), Seq: maxNumber}} {
		if err := p.Check(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

func long(s string, n int) string { return strings.Repeat(s, n) }

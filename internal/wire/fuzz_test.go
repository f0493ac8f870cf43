package wire_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// FuzzParse compares Parse with its reference, and sends what it finds there and back.
func FuzzParse(f *testing.F) {
	for _, c := range commands {
		if len(c.text) < 1000 {
			f.Add([]byte(c.text))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := string(text)
		got := wire.Parse(text)
		if string(text) != before {
			t.Fatalf("Parse has changed its input to %q", text)
		}
		if utf8.ValidString(before) { // of others, nobody asks for an explanation
			checkProblem(t, before, got)
		}
		if want := reference(text); withoutProblem(got) != want {
			t.Fatalf("Parse(%q) is %+v, the reference takes it for %+v", text, got, want)
		}
		if got.Kind == wire.Publish {
			checkParsesBack(t, got.Topic, got.Data)
		}
		s := strings.ToValidUTF8(before, "?")
		checkParsesBack(t, s, s)
	})
}

// FuzzEnvelope checks what is sent to browsers with encoding/json.
func FuzzEnvelope(f *testing.F) {
	for i, s := range awkward {
		f.Add(s, awkward[len(awkward)-1-i])
	}
	for _, s := range notUTF8 {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, topic, data string) {
		frame := wire.AppendError(nil, "c", "m", topic)
		checkEcho(t, checkRefusal(t, frame, "c", "m"), topic)
		_, payload := decode(t, frame)
		checkLogSafe(t, "refusal", string(payload))
		if !utf8.ValidString(topic) || !utf8.ValidString(data) {
			return
		}
		checkEnvelope(t, encode(t, topic, data), topic, data)
		checkRefusal(t, wire.AppendError(nil, topic, data, ""), topic, data)
	})
}

// FuzzNames compares the name checks with a second opinion, and looks at what becomes of names in logs.
func FuzzNames(f *testing.F) {
	for _, n := range names {
		f.Add(n.name)
	}
	for _, n := range []int{127, 128, 129, 254, 255, 256} {
		f.Add(strings.Repeat("x", n))
		f.Add(strings.Repeat("世", n/3) + strings.Repeat("\u202e", n%3))
	}
	f.Fuzz(func(t *testing.T, name string) {
		checkName(t, "CheckTopic", wire.CheckTopic(name), nameProblem(name, 255))
		checkName(t, "CheckUserID", wire.CheckUserID(name), nameProblem(name, 128))
		checkLogSafe(t, "Quote", wire.Quote(name))
		checkLogSafe(t, "Clean", wire.Clean(name))
		checkQuote(t, name, wire.Quote(name))
		if clean := wire.Clean(name); clean == name {
			if len(name) > 128 || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("Clean leaves %+q alone", name)
			}
		} else {
			checkQuote(t, name, clean)
		}
		_, payload := decode(t, wire.AppendClose(nil, 1000, name))
		if reason := string(payload[2:]); !strings.HasPrefix(name, reason) || utf8.ValidString(name) && !utf8.ValidString(reason) {
			t.Errorf("close reason %q is cut to %q", name, reason)
		}
	})
}

// checkQuote checks that a quote is short, and says what it quotes: all of it, or its beginning and that there is more.
func checkQuote(t *testing.T, text, quote string) {
	t.Helper()
	isShort(t, text, quote)
	said, err := strconv.Unquote(strings.TrimSuffix(quote, "..."))
	if isCut := strings.HasSuffix(quote, `"...`); err != nil || !strings.HasPrefix(text, said) || isCut == (said == text) {
		t.Errorf("%+q is quoted as %s (%v)", text, quote, err)
	}
}

func checkName(t tester, what string, err error, problem string) {
	t.Helper()
	if (err != nil) != (problem != "") {
		t.Errorf("%s returned %v for a name that is %q", what, err, problem)
	}
	if err != nil {
		checkLogSafe(t, what, err.Error())
	}
}

// FuzzCommand2 compares ParseCommand2 with its reference.
func FuzzCommand2(f *testing.F) {
	for _, c := range commands2 {
		f.Add(c.text)
	}
	for _, r := range refusals2 {
		f.Add(r.text)
	}
	f.Fuzz(func(t *testing.T, text string) { checkCommand2(t, text) })
}

// FuzzPublication2 checks with encoding/json what is sent to peers that use tank.v2.
func FuzzPublication2(f *testing.F) {
	for i, s := range awkward {
		f.Add(s, awkward[len(awkward)-1-i], s, uint64(i), uint64(i/2), i%2 == 0)
	}
	f.Add("t", `{"a":[1,"]"]}`, "alice", uint64(1235), uint64(1200), true)
	f.Fuzz(func(t *testing.T, topic, data, from string, seq, prev uint64, isJSON bool) {
		if !utf8.ValidString(topic) || !utf8.ValidString(data) || !utf8.ValidString(from) || isJSON && !json.Valid([]byte(data)) {
			return
		}
		p := wire.Publication{Topic: topic, Data: data, From: from, JSON: isJSON}
		checkPublication2(t, encode2(t, seq, prev, &p), seq, prev, &p)
		if isJSON && len(data) < 1000 {
			text := `{"pub":"t","data":` + data + `}`
			if got, refusal := wire.ParseCommand2([]byte(text)); refusal != nil || got.Data != strings.Trim(data, " \t\r\n") {
				t.Fatalf("%q is %+v (%+v)", text, got, refusal)
			}
		}
	})
}

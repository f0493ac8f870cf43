package wire_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tester is what the checks below need of a test.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// decode takes a single unmasked frame apart and fails the test unless b is exactly that, with a header that is as
// short as it can be, RFC 6455 section 5.2.
func decode(t tester, b []byte) (first byte, payload []byte) {
	t.Helper()
	if len(b) < 2 {
		t.Fatalf("frame %x has no header", b)
	}
	header, n := 2, uint64(b[1])
	switch {
	case n == 126 && len(b) >= 4:
		header, n = 4, uint64(binary.BigEndian.Uint16(b[2:]))
	case n == 127 && len(b) >= 10:
		header, n = 10, binary.BigEndian.Uint64(b[2:])
	}
	if want := headerLen(n); header != want {
		t.Fatalf("header of a payload of %d bytes has %d bytes, want %d", n, header, want)
	}
	if uint64(len(b)-header) != n {
		t.Fatalf("header says %d bytes, %d follow", n, len(b)-header)
	}
	return b[0], b[header:]
}

func headerLen(payload uint64) int {
	switch {
	case payload <= 125:
		return 2
	case payload <= 65535:
		return 4
	default:
		return 10
	}
}

// members decodes a JSON object, and fails the test when a name in it is repeated.
func members(t tester, object []byte) map[string]json.RawMessage {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(object, &m); err != nil {
		t.Fatalf("payload is not a JSON object: %v\n%q", err, object)
	}
	if n := countMembers(object); n != len(m) {
		t.Fatalf("payload has %d members of %d names: %q", n, len(m), object)
	}
	return m
}

// countMembers returns how many members a valid JSON object has, repeated names included.
func countMembers(object []byte) (n int) {
	depth, inString := 0, false
	for i := 0; i < len(object); i++ {
		switch b := object[i]; {
		case inString && b == '\\':
			i++
		case b == '"':
			inString = !inString
		case inString:
		case b == '{', b == '[':
			depth++
		case b == '}', b == ']':
			depth--
		case b == ':' && depth == 1:
			n++
		}
	}
	return n
}

// text decodes a JSON string.
func text(t tester, raw json.RawMessage) (s string) {
	t.Helper()
	if len(raw) == 0 || raw[0] != '"' {
		t.Fatalf("%q is not a JSON string", raw)
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatalf("%q is not a JSON string: %v", raw, err)
	}
	return s
}

// checkEnvelope checks that a frame carries exactly this message.
func checkEnvelope(t tester, frame []byte, topic, data string) {
	t.Helper()
	first, payload := decode(t, frame)
	if first != 0x81 {
		t.Errorf("frame starts with %#x, want a complete text frame", first)
	}
	if !utf8.Valid(payload) {
		t.Errorf("text frame is not UTF-8: %q", payload)
	}
	m := members(t, payload)
	if len(m) != 2 || text(t, m["topic"]) != topic || text(t, m["data"]) != data {
		t.Errorf("payload %q, want topic %q and data %q", payload, topic, data)
	}
}

// checkRefusal checks that a frame is a refusal with these strings in it, and returns the topic.
func checkRefusal(t tester, frame []byte, code, message string) (topic string) {
	t.Helper()
	first, payload := decode(t, frame)
	if first != 0x81 || !utf8.Valid(payload) {
		t.Fatalf("frame %q is not a complete text frame of UTF-8", frame)
	}
	m := members(t, payload)
	if len(m) != 1 {
		t.Fatalf("payload %q, want the one member error", payload)
	}
	e := members(t, m["error"])
	if len(e) != 3 || text(t, e["code"]) != code || text(t, e["message"]) != message {
		t.Fatalf("error %q, want code %q, message %q and a topic", m["error"], code, message)
	}
	return text(t, e["topic"])
}

// checkLogSafe checks that nothing in s can disturb a log line or a terminal.
func checkLogSafe(t tester, what, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("%s %q is not UTF-8", what, s)
	}
	for _, r := range s {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			t.Errorf("%s %+q has the control or format character %U", what, s, r)
		}
	}
}

// nameProblem is a second opinion on names: what is wrong with one, or "".
func nameProblem(s string, most int) string {
	switch {
	case len(s) == 0:
		return "empty"
	case len(s) > most:
		return fmt.Sprintf("longer than %d bytes", most)
	case strings.ToValidUTF8(s, "") != s:
		return "not UTF-8"
	case strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r >= 0x7F && r < 0xA0 }):
		return "with a control character"
	}
	return ""
}

// appended returns what was appended to dst, and fails the test unless the rest is as it was.
func appended(t tester, appendTo func(dst []byte) []byte) []byte {
	t.Helper()
	const before = "before"
	got := appendTo([]byte(before))
	if !bytes.HasPrefix(got, []byte(before)) {
		t.Fatalf("what was there before is lost: %q", got)
	}
	return got[len(before):]
}

package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Problem says why a text message is neither a subscription nor a publication. It takes no memory of its own, because most such
// messages are none: they are for the application. See Explain.
type Problem struct {
	kind problemKind
	name string // of the member that is wrong
	at   int64  // where its value, or what is wrong, stands in the text
}

type problemKind uint8

const (
	_                problemKind = iota
	notACommand                  // no prefix, and no object
	malformed                    // no JSON
	notAString                   // a member's value
	unexpectedMember             // neither topic nor data
	repeatedMember
	missingMember
	textBehind // the object
)

// expected is what a text message can be.
const expected = `expected sub:TOPIC, unsub:TOPIC or {"topic":"TOPIC","data":"TEXT"}`

// ExplainBinary says what was expected instead of a binary message.
const ExplainBinary = "the message is binary: send text; " + expected

// Explain says what is wrong with a text message of which Parse has returned the problem, and what was expected. What it repeats
// of the text is short and quoted.
func (p Problem) Explain(text []byte) string {
	switch p.kind {
	case malformed:
		return fmt.Sprintf("malformed JSON (RFC 8259) after byte %d: %s; got %s", p.at, expected, Quote(string(text)))
	case notAString:
		what, value := p.value(text)
		return fmt.Sprintf("%s is %s, not a string: send text, for example JSON.stringify(value); got %s", p.name, what, Quote(value))
	case unexpectedMember:
		if lower := strings.ToLower(p.name); lower == "topic" || lower == "data" {
			return fmt.Sprintf("unexpected member %s: did you mean %s?", Quote(p.name), Quote(lower))
		}
		return fmt.Sprintf("unexpected member %s: there are topic and data, and no others", Quote(p.name))
	case repeatedMember:
		return fmt.Sprintf("repeated member %s: send it once", Quote(p.name))
	case missingMember:
		return fmt.Sprintf("member %s is missing: %s; got %s", Quote(p.name), expected, Quote(string(text)))
	case textBehind:
		return fmt.Sprintf("text behind the object: send one object a message; got %s", Quote(string(bytes.TrimLeft(text[p.at:], jsonSpace))))
	}
	if command := meant(text); command != "" {
		return fmt.Sprintf("did you mean %sTOPIC? The prefix is in lower case and ends with a colon; got %s", command, Quote(string(text)))
	}
	return fmt.Sprintf("%s; got %s", expected, Quote(string(text)))
}

// value returns of which type the value is that is wrong, and how it is written. The rest of the text may be no JSON; then an
// object or array extends to the end of the text.
func (p Problem) value(text []byte) (what, value string) {
	rest := bytes.TrimLeft(text[p.at:], jsonSpace+":")
	switch rest[0] {
	case '{':
		what = "an object"
	case '[':
		what = "an array"
	case 't', 'f':
		what = "a boolean"
	case 'n':
		what = "null"
	default:
		what = "a number"
	}
	var whole json.RawMessage
	if err := json.NewDecoder(bytes.NewReader(rest)).Decode(&whole); err != nil {
		return what, string(rest)
	}
	return what, string(whole)
}

// meant returns the prefix of the command that a text was probably meant to be, or "".
func meant(text []byte) string {
	start := bytes.ToLower(bytes.TrimLeft(text[:min(len(text), 64)], jsonSpace+"\ufeff"))
	word := start[:len(start)-len(bytes.TrimLeft(start, "abcdefghijklmnopqrstuvwxyz"))]
	switch string(word) {
	case "sub", "subscribe":
		return "sub:"
	case "unsub", "unsubscribe":
		return "unsub:"
	}
	return ""
}

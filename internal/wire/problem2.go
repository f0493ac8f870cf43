package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// expectedVerb is what every command of tank.v2 has one of.
const expectedVerb = "expected one of sub, unsub, pub, msg and auth"

// expected2 is what a text message of tank.v2 can be.
const expected2 = `expected one JSON object with sub, unsub, pub, msg or auth, such as {"id":1,"sub":"TOPIC"}`

// checkObject says what is wrong with a text message that is not one object of JSON. Its time is linear; nesting of more than
// 10,000 levels is an error of encoding/json.
func checkObject(text []byte) error {
	start := bytes.TrimLeft(text, jsonSpace)
	switch {
	case !utf8.Valid(text):
		return errors.New("the text is not valid UTF-8")
	case len(start) == 0 || start[0] != '{':
		return notAnObject(text)
	case !json.Valid(text):
		return malformedObject(text)
	}
	return nil
}

// notAnObject explains a text that begins with no brace. It may be a command of v1.
func notAnObject(text []byte) error {
	switch meant(text) {
	case "sub:":
		return fmt.Errorf(`did you mean {"sub":"TOPIC"}? This connection uses tank.v2; got %s`, quoteUnlessSecret(text))
	case "unsub:":
		return fmt.Errorf(`did you mean {"unsub":"TOPIC"}? This connection uses tank.v2; got %s`, quoteUnlessSecret(text))
	}
	return fmt.Errorf("%s; got %s", expected2, quoteUnlessSecret(text))
}

// malformedObject explains a text that begins with a brace and is not one object.
func malformedObject(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	var object json.RawMessage
	err := d.Decode(&object)
	if err == nil {
		rest := bytes.TrimLeft(text[d.InputOffset():], jsonSpace)
		return fmt.Errorf("text behind the object: send one object a message; got %s", quoteUnlessSecret(rest))
	}
	at := int64(len(text)) // of a text that is cut off
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		at = syntax.Offset
	}
	return fmt.Errorf("malformed JSON (RFC 8259) after byte %d: %s; got %s", at, expected2, quoteUnlessSecret(text))
}

// quoteUnlessSecret quotes a text that could not be understood. One that may be credentials is not repeated: errors reach logs.
func quoteUnlessSecret(text []byte) string {
	if bytes.Contains(bytes.ToLower(text), []byte("auth")) {
		return fmt.Sprintf("%d bytes", len(text))
	}
	return Quote(string(text))
}

// noVerb explains an object without a verb, by the first member that is not known. It may be a publication of v1.
func noVerb(unknown []byte, hasData bool) error {
	switch {
	case hasData:
		return fmt.Errorf(`no verb: %s; did you mean {"pub":"TOPIC","data":JSON}?`, expectedVerb)
	case unknown != nil:
		return fmt.Errorf("no verb: %s; got the member %s", expectedVerb, Quote(string(unknown)))
	}
	return fmt.Errorf("no verb: %s", expectedVerb)
}

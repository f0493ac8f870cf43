package wire_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// members2 holds the members that tank.v2 knows, and verbs2 those of which a command has one.
var (
	members2 = []string{"id", "sub", "unsub", "pub", "msg", "auth", "since", "last", "presence", "data", "key"}
	verbs2   = map[string]wire.Kind{
		"sub": wire.Subscribe, "unsub": wire.Unsubscribe, "pub": wire.Publish, "msg": wire.Tell, "auth": wire.Authenticate,
	}
)

// object is a message of which something may be wrong.
type object struct {
	values map[string]json.RawMessage
	wrong  bool
}

// reference2 is ParseCommand2 as one would write it with encoding/json, and without explanations.
func reference2(text []byte) (c command2, accepted bool) {
	o := object{}
	if !utf8.Valid(text) || json.Unmarshal(text, &o.values) != nil || o.values == nil || hasRepeated(text) {
		return c, false
	}
	if o.has("id") {
		c.ID = o.number(o.values["id"], 1)
	}
	var found []string
	for verb := range verbs2 {
		if o.has(verb) {
			found = append(found, verb)
		}
	}
	if len(found) != 1 {
		return command2{}, false
	}
	c.Kind = verbs2[found[0]]
	o.read(&c, found[0])
	if o.wrong {
		return command2{}, false
	}
	return c, true
}

// read reads the members that belong to a verb.
func (o *object) read(c *command2, verb string) {
	switch verb {
	case "msg":
		c.Data = string(o.values[verb])
	case "auth":
		c.Token = o.text(o.values[verb])
		o.wrong = o.wrong || c.Token == ""
	default:
		c.Topic = o.text(o.values[verb])
	}
	if verb == "pub" {
		c.Data = string(o.values["data"])
		o.wrong = o.wrong || c.Data == ""
		if o.has("key") {
			c.Key = o.text(o.values["key"])
			o.wrong = o.wrong || nameProblem(c.Key, 128) != ""
		}
	}
	if verb == "sub" {
		o.readReplay(c)
	}
}

func (o *object) readReplay(c *command2) {
	if o.has("since") && string(o.values["since"]) != "null" {
		c.Since = o.position(o.values["since"])
	}
	if o.has("last") {
		c.Last = o.number(o.values["last"], 1)
	}
	if o.has("presence") {
		raw := string(o.values["presence"])
		c.Presence = raw == "true"
		o.wrong = o.wrong || raw != "true" && raw != "false"
	}
}

func (o *object) has(name string) bool {
	_, has := o.values[name]
	return has
}

func (o *object) text(raw json.RawMessage) (s string) {
	o.wrong = o.wrong || raw[0] != '"' || json.Unmarshal(raw, &s) != nil || !isWhole(raw, s)
	return s
}

func (o *object) number(raw json.RawMessage, least uint64) uint64 {
	n, err := strconv.ParseUint(string(raw), 10, 64)
	o.wrong = o.wrong || err != nil || n < least || n > maxNumber
	return n
}

func (o *object) position(raw json.RawMessage) (p wire.Position) {
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil || len(elements) < 2 {
		o.wrong = true
		return p
	}
	p = wire.Position{Epoch: o.text(elements[0]), Seq: o.number(elements[1], 0)}
	o.wrong = o.wrong || p.Check() != nil
	return p
}

// isWhole reports whether no escaped surrogate of a JSON string is alone: those come out as U+FFFD, and so do written ones.
func isWhole(raw json.RawMessage, s string) bool {
	written := strings.Count(string(raw), "\ufffd")
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' {
			if i++; strings.HasPrefix(strings.ToLower(string(raw[i:])), "ufffd") {
				written++
			}
		}
	}
	return strings.Count(s, "\ufffd") == written
}

// hasRepeated reports whether an object has a known member twice.
func hasRepeated(object []byte) bool {
	d := json.NewDecoder(strings.NewReader(string(object)))
	_, _ = d.Token()
	var seen []string
	for d.More() {
		name, _ := d.Token()
		var value json.RawMessage
		_ = d.Decode(&value)
		if slices.Contains(seen, name.(string)) {
			return true
		}
		if slices.Contains(members2, name.(string)) {
			seen = append(seen, name.(string))
		}
	}
	return false
}

// checkCommand2 compares ParseCommand2 with its reference.
func checkCommand2(t tester, text string) {
	t.Helper()
	input := []byte(text)
	got, refusal := wire.ParseCommand2(input)
	if string(input) != text {
		t.Fatalf("ParseCommand2 has changed its input to %q", input)
	}
	want, accepted := reference2(input)
	if got != want || (refusal == nil) != accepted {
		t.Fatalf("%q is %+v (%+v), the reference takes it for %+v, %v", text, got, refusal, want, accepted)
	}
	if refusal != nil {
		if refusal.Code != "bad_message" || got != (command2{}) {
			t.Fatalf("%q is %+v, with %+v", text, got, refusal)
		}
		if !strings.Contains(text, "SECRET") {
			checkRefused2(t, text, *refusal)
		}
		return
	}
	if got.Data != "" && !json.Valid([]byte(got.Data)) {
		t.Fatalf("%q has the data %q, which is not JSON", text, got.Data)
	}
}

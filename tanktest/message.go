package tanktest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// Message is what a client has received.
type Message struct {
	Topic   string    // of a message of a topic; otherwise empty
	Data    string    // what was published to the topic; otherwise the whole message, as it came
	Binary  bool      // it is a binary message
	Refusal *Refusal  // what an error frame says; nil if it is none
	At      time.Time // when it came
}

// Refusal is what an error frame says: the server did not do what the client asked for.
type Refusal struct {
	Code    string `json:"code"` // such as "forbidden", see docs/protocol.md
	Message string `json:"message"`
	Topic   string `json:"topic"`
}

// String describes the message for people, long ones shortened.
func (m Message) String() string {
	switch {
	case m.Refusal != nil:
		return m.Refusal.String()
	case m.Topic != "":
		return fmt.Sprintf("%s of topic %s", quote(m.Data), quote(m.Topic))
	case m.Binary:
		return "binary " + quote(m.Data)
	default:
		return "text " + quote(m.Data)
	}
}

// String describes the refusal for people.
func (r Refusal) String() string {
	return fmt.Sprintf("refusal %s of topic %s (%s)", r.Code, quote(r.Topic), quote(r.Message))
}

// decode makes a Message of one that came. It takes for the protocol's only what the server writes as such: exactly the
// members that docs/protocol.md lists.
func decode(data string, binary bool, at time.Time) Message {
	m := Message{Data: data, Binary: binary, At: at}
	var object map[string]json.RawMessage
	if binary || len(data) == 0 || data[0] != '{' || json.Unmarshal([]byte(data), &object) != nil {
		return m
	}
	var topic, published *string
	if has(object, "topic", &topic) && has(object, "data", &published) && len(object) == 2 {
		m.Topic, m.Data = *topic, *published
		return m
	}
	var refusal *Refusal
	if has(object, "error", &refusal) && len(object) == 1 && refusal.Code != "" {
		m.Refusal = refusal
	}
	return m
}

// has reports whether a member is there and fits.
func has[T any](object map[string]json.RawMessage, name string, value **T) bool {
	return json.Unmarshal(object[name], value) == nil && *value != nil
}

// quote returns text for a failure message: quoted, and not too long.
func quote(text string) string {
	const most = 200
	if len(text) <= most {
		return strconv.Quote(text)
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return fmt.Sprintf("%s... (%d bytes)", strconv.Quote(text[:cut]), len(text))
}

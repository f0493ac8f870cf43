package tanktest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Message is what a client has received.
type Message struct {
	Topic   string    // of a message of a topic; otherwise empty
	Data    string    // what was published or sent; of what the server says itself, the whole message, as it came
	Binary  bool      // it is a binary message
	Refusal *Refusal  // what an error frame says; nil if it is none
	At      time.Time // when it came

	// Of tank.v2 alone, see ClientV2.
	JSON   bool   // Data is JSON; it is false for the JSON of a string, of which Data is the text
	Seq    uint64 // number of a message of a topic; 0: it was sent to this client alone
	From   string // who has published it, if the server says so
	Notice string // what the server says, by name: "reset", "end", "lost", "gap", "here", "interrupted", "expires", or "unknown"

	flight *flight // nil: it has arrived, and Lose cannot take it back
}

// Refusal is what an error frame says: the server did not do what the client asked for.
type Refusal struct {
	Code    string `json:"code"` // such as "forbidden", see docs/protocol.md
	Message string `json:"message"`
	Topic   string `json:"topic"`
	Retry   bool   `json:"retry"` // the same may succeed later; of tank.v2 alone
}

// String describes the message for people, long ones shortened.
func (m Message) String() string {
	switch {
	case m.Refusal != nil:
		return m.Refusal.String()
	case m.Notice != "":
		return "notice " + bare(m.Data)
	case m.Topic != "":
		return m.published()
	case m.Binary:
		return "binary " + quote(m.Data)
	case m.JSON:
		return "JSON " + bare(m.Data)
	default:
		return "text " + quote(m.Data)
	}
}

// published describes a message of a topic.
func (m Message) published() string {
	data := quote(m.Data)
	if m.JSON {
		data = "JSON " + bare(m.Data)
	}
	text := fmt.Sprintf("%s of topic %s", data, quote(m.Topic))
	if m.Seq != 0 {
		text += fmt.Sprintf(", number %d", m.Seq)
	}
	if m.From != "" {
		text += ", from " + quote(m.From)
	}
	return text
}

// String describes the refusal for people.
func (r Refusal) String() string {
	about := ""
	if r.Topic != "" {
		about = " of topic " + quote(r.Topic)
	}
	return fmt.Sprintf("refusal %s%s (%s)", r.Code, about, quote(r.Message))
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
	return shorten(text, strconv.Quote)
}

// bare is quote for JSON, which needs no quotes unless it has line breaks and the like.
func bare(text string) string {
	if !strconv.CanBackquote(strings.ReplaceAll(text, "`", "")) {
		return quote(text)
	}
	return shorten(text, func(s string) string { return s })
}

func shorten(text string, show func(string) string) string {
	const most = 200
	if len(text) <= most {
		return show(text)
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return fmt.Sprintf("%s... (%d bytes)", show(text[:cut]), len(text))
}

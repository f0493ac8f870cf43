package wire

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
)

// Kind says what a client wants with a text message.
type Kind int

// The kinds of text messages.
const (
	Other       Kind = iota // none of the library's business
	Subscribe               // sub:TOPIC
	Unsubscribe             // unsub:TOPIC
	Publish                 // {"topic":"T","data":"D"}
)

// Command is a text message, understood. The topic is as the client sent it: not checked.
type Command struct {
	Kind    Kind
	Topic   string
	Data    string  // of Publish
	Problem Problem // of Other: why it is that
}

var (
	subPrefix   = []byte("sub:")
	unsubPrefix = []byte("unsub:")
)

// Parse understands a text message. It keeps no reference to text.
// Only an object of exactly the members topic and data, both strings, is a publish.
func Parse(text []byte) Command {
	if topic, ok := bytes.CutPrefix(text, subPrefix); ok {
		return Command{Kind: Subscribe, Topic: string(topic)}
	}
	if topic, ok := bytes.CutPrefix(text, unsubPrefix); ok {
		return Command{Kind: Unsubscribe, Topic: string(topic)}
	}
	if !beginsObject(text) {
		return Command{Problem: Problem{kind: notACommand}}
	}
	return parsePublish(json.NewDecoder(bytes.NewReader(text)))
}

// jsonSpace is white space, RFC 8259 section 2.
const jsonSpace = " \t\r\n"

// beginsObject reports whether a text, white space before it aside, may be an object of JSON.
func beginsObject(text []byte) bool {
	for _, b := range text {
		if strings.IndexByte(jsonSpace, b) < 0 {
			return b == '{'
		}
	}
	return false
}

// parsePublish reads token by token, because encoding/json's decoding into a struct accepts names in any case,
// repeated names and null.
func parsePublish(d *json.Decoder) Command {
	d.UseNumber() // one that is too large is still a number
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return malformedHere(d)
	}
	c := Command{Kind: Publish}
	var haveTopic, haveData bool
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return malformedHere(d)
		}
		p := Problem{at: d.InputOffset()}
		value, err := d.Token()
		if err != nil {
			return malformedHere(d)
		}
		s, isString := value.(string)
		switch {
		case name == "topic" && isString && !haveTopic:
			c.Topic, haveTopic = s, true
		case name == "data" && isString && !haveData:
			c.Data, haveData = s, true
		default:
			p.name, _ = name.(string)
			p.kind = memberProblem(p.name, haveTopic, haveData)
			return Command{Problem: p}
		}
	}
	return ended(d, c, haveTopic, haveData)
}

// memberProblem says what is wrong with a member of which something is.
func memberProblem(name string, haveTopic, haveData bool) problemKind {
	switch {
	case name != "topic" && name != "data":
		return unexpectedMember
	case name == "topic" && haveTopic, name == "data" && haveData:
		return repeatedMember
	}
	return notAString
}

// ended looks at what comes behind the last member.
func ended(d *json.Decoder, c Command, haveTopic, haveData bool) Command {
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return malformedHere(d)
	}
	end := d.InputOffset()
	switch _, err := d.Token(); {
	case err != io.EOF:
		return Command{Problem: Problem{kind: textBehind, at: end}}
	case !haveTopic:
		return Command{Problem: Problem{kind: missingMember, name: "topic"}}
	case !haveData:
		return Command{Problem: Problem{kind: missingMember, name: "data"}}
	}
	return c
}

// malformedHere is the problem of what the decoder has just refused.
func malformedHere(d *json.Decoder) Command {
	return Command{Problem: Problem{kind: malformed, at: d.InputOffset()}}
}

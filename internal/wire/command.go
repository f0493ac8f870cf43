package wire

import (
	"bytes"
	"encoding/json"
	"io"
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
	Kind  Kind
	Topic string
	Data  string // of Publish
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
	if topic, data, ok := parsePublish(text); ok {
		return Command{Kind: Publish, Topic: topic, Data: data}
	}
	return Command{}
}

// parsePublish reads token by token, because encoding/json's decoding into a struct accepts names in any case,
// repeated names and null.
func parsePublish(text []byte) (topic, data string, ok bool) {
	if start := bytes.TrimLeft(text, " \t\r\n"); len(start) == 0 || start[0] != '{' {
		return "", "", false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return "", "", false
	}
	var haveTopic, haveData bool
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return "", "", false
		}
		value, err := d.Token()
		s, isString := value.(string)
		if err != nil || !isString {
			return "", "", false
		}
		switch {
		case name == "topic" && !haveTopic:
			topic, haveTopic = s, true
		case name == "data" && !haveData:
			data, haveData = s, true
		default:
			return "", "", false
		}
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return "", "", false
	}
	if _, err := d.Token(); err != io.EOF {
		return "", "", false
	}
	return topic, data, haveTopic && haveData
}

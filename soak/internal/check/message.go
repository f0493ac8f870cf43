// Package check decides whether what subscribers receive is what was published: each message once, none skipped, in the
// same order for everybody. Publishers number their messages, for each topic from 1 on.
package check

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Message is what identifies a publication.
type Message struct {
	Topic     string // empty: a broadcast to everyone
	Publisher string
	Seq       uint64 // of this publisher's messages to this topic
}

// Data is a message as it is published to its topic, filled up to a size.
func (m Message) Data(size int) string {
	head := fmt.Sprintf("%s %d ", m.Publisher, m.Seq)
	return head + strings.Repeat("x", max(0, size-len(head)))
}

// Envelope is the same as clients send it.
func (m Message) Envelope(size int) string {
	return fmt.Sprintf(`{"topic":%q,"data":%q}`, m.Topic, m.Data(size))
}

func (m Message) String() string {
	return fmt.Sprintf("message %d of %s to topic %q", m.Seq, m.Publisher, m.Topic)
}

// The one publisher of broadcasts, who has no topic.
const (
	Broadcaster     = "broadcaster"
	broadcastPrefix = Broadcaster + " "
)

// Frame is a text message from the server: one of a topic, a broadcast or a refusal.
type Frame struct {
	Message
	Refusal string // the error frame's code; the message is empty but for the topic
}

// Parse understands a text message from the server.
func Parse(text []byte) (Frame, error) {
	if strings.HasPrefix(string(text), broadcastPrefix) {
		m, err := parseData("", string(text))
		return Frame{Message: m}, err
	}
	var f struct {
		Topic *string
		Data  string
		Error *struct{ Code, Topic string }
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return Frame{}, fmt.Errorf("not a frame of the protocol: %.60q: %w", text, err)
	}
	switch {
	case f.Topic != nil:
		m, err := parseData(*f.Topic, f.Data)
		return Frame{Message: m}, err
	case f.Error != nil:
		return Frame{Message: Message{Topic: f.Error.Topic}, Refusal: f.Error.Code}, nil
	}
	return Frame{}, fmt.Errorf("neither a message nor a refusal: %.60q", text)
}

func parseData(topic, data string) (Message, error) {
	publisher, rest, _ := strings.Cut(data, " ")
	number, _, _ := strings.Cut(rest, " ")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || publisher == "" || seq == 0 {
		return Message{}, fmt.Errorf("not what anybody publishes: %.60q", data)
	}
	return Message{topic, publisher, seq}, nil
}

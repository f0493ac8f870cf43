package tanktest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// How a client of tank.v2 sends commands and waits for the answers.

func (c *ClientV2) sendFrame(what string, members map[string]any) {
	c.t.Helper()
	frame, err := encodeJSON(members)
	if err != nil {
		c.fail("%s: %v", what, err)
	}
	c.send(what, wstest.Text, frame)
}

// call sends a command and waits for its answer. accepted is that of command.
func (c *ClientV2) call(what string, members map[string]any, topic string, accepted func(*notes, json.RawMessage) error) answer {
	c.t.Helper()
	if c.frozen && !c.hasEnded() {
		c.fail("%s: the client is frozen, so it would not notice the answer; see Thaw", what)
	}
	cmd := &command{topic: topic, accepted: accepted, answer: make(chan answer, 1)}
	n, giveBack := c.talk.take()
	n.id++
	n.pending[n.id] = cmd
	members["id"] = n.id
	giveBack()
	c.sendFrame(what, members)
	select {
	case a := <-cmd.answer:
		return a
	case <-c.ended:
	case <-time.After(c.s.Patience):
	}
	select {
	case a := <-cmd.answer: // it was the last word
		return a
	default:
	}
	if c.hasEnded() {
		c.fail("%s: %s", what, c.ending())
	}
	c.fail("%s: no answer within %v; maybe a callback has not returned", what, c.s.Patience)
	return answer{}
}

func (c *ClientV2) mustAccept(what string, a answer) json.RawMessage {
	c.t.Helper()
	if a.refusal != nil {
		c.fail("%s: the server refused: %s (%s)", what, a.refusal.Code, quote(a.refusal.Message))
	}
	return a.ok
}

func (c *ClientV2) mustRefuse(what, code string, a answer) Refusal {
	c.t.Helper()
	switch {
	case a.refusal == nil:
		c.fail("%s: the server did not refuse, but answered %s", what, bare(string(a.ok)))
	case a.refusal.Code != code:
		c.fail("%s: the server refused otherwise: %s (%s)", what, a.refusal.Code, quote(a.refusal.Message))
	}
	return *a.refusal
}

// encodeJSON encodes as encoding/json does, but leaves <, > and & as they are, and text that is not UTF-8 is an error.
func encodeJSON(value any) (string, error) {
	if !isText(value) {
		return "", errors.New("a client can send valid UTF-8 only")
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// isText reports whether a string, or every string in a map, is valid UTF-8. encoding/json would replace what is not.
func isText(value any) bool {
	switch value := value.(type) {
	case string:
		return utf8.ValidString(value)
	case map[string]any:
		for _, v := range value {
			if !isText(v) {
				return false
			}
		}
	}
	return true
}

// show returns a value for a failure message, as it is sent.
func show(value any) string {
	text, err := encodeJSON(value)
	if err != nil {
		return quote(fmt.Sprint(value))
	}
	return bare(text)
}

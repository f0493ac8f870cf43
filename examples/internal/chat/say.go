package chat

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// request is what a client may send, beside the library's own "sub:" and "unsub:".
type request struct {
	Say *say `json:"say"`
}

// say asks to say something in a topic. Ref comes back in the message or in the refusal, so that a page knows its own.
type say struct {
	Topic string `json:"topic"`
	Text  string `json:"text"`
	Ref   string `json:"ref"`
}

// said is what the subscribers of a topic get. Who and when are the server's word, not the client's.
type said struct {
	From string    `json:"from"`
	Text string    `json:"text"`
	Time time.Time `json:"time"`
	Ref  string    `json:"ref,omitempty"`
}

// refusal says why something was not said. It looks like the library's refusals, with a ref.
type refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Topic   string `json:"topic"`
	Ref     string `json:"ref,omitempty"`
}

func (r *refusal) Error() string { return r.Code + ": " + r.Message }

const maxRef = 64 // bytes

// receive is the message handler. It runs in the connection's own goroutine, so it may wait for a busy topic.
func (c *Chat) receive(client *tank.Client, m tank.Message) {
	var req request
	if m.Binary || json.Unmarshal(m.Data, &req) != nil || req.Say == nil || len(req.Say.Ref) > maxRef {
		c.refuse(client, &refusal{Code: "bad_message", Message: `want {"say":{"topic":"...","text":"..."}}`})
		return
	}
	if err := c.say(client, req.Say); err != nil {
		err.Topic, err.Ref = req.Say.Topic, req.Say.Ref
		c.refuse(client, err)
	}
}

// say publishes what a client says, in its name. Only who listens to a topic may talk in it: a topic is a room, and
// nobody shouts into a room from outside, unseen.
func (c *Chat) say(client *tank.Client, s *say) *refusal {
	text := strings.TrimSpace(s.Text)
	switch {
	case strings.HasPrefix(s.Topic, reservedPrefix):
		return &refusal{Code: "reserved_topic", Message: "only the server publishes on topics that start with " + reservedPrefix}
	case text == "":
		return &refusal{Code: "empty_text", Message: "there is no text"}
	case utf8.RuneCountInString(text) > maxText:
		return &refusal{Code: "text_too_long", Message: fmt.Sprintf("the text has more than %d characters", maxText)}
	case !slices.Contains(client.Topics(), s.Topic):
		return &refusal{Code: "not_subscribed", Message: "subscribe to the topic before talking in it"}
	}
	data, err := json.Marshal(said{From: client.UserID(), Text: text, Time: time.Now().UTC(), Ref: s.Ref})
	if err == nil {
		err = c.Manager.BroadcastTopicMessage(s.Topic, string(data))
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tank.ErrBusy):
		return &refusal{Code: "busy", Message: "the topic is too busy, try again"}
	case errors.Is(err, tank.ErrClosed):
		return &refusal{Code: "shutting_down", Message: "the server is shutting down"}
	}
	return &refusal{Code: "bad_message", Message: err.Error()}
}

// refuse tells this client alone.
func (c *Chat) refuse(client *tank.Client, r *refusal) {
	data, err := json.Marshal(map[string]*refusal{"error": r})
	if err == nil {
		err = client.Send(tank.Message{Data: data})
	}
	c.log.Debug("refused", "client", client.ID(), "user", client.UserID(), "code", r.Code, "send_error", err)
}

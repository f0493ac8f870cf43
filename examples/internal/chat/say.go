package chat

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// draft is what a client puts into the data of a publication. Ref comes back in the message or in the refusal, so that a page knows
// its own.
type draft struct {
	Text string `json:"text"`
	Ref  string `json:"ref"`
}

// said is what the subscribers of a topic get in its place. Who and when are the server's word, not the client's.
type said struct {
	From string    `json:"from"`
	Text string    `json:"text"`
	Time time.Time `json:"time"`
	Ref  string    `json:"ref,omitempty"`
}

// refusal says why something is not published. It looks like the library's refusals, with a ref.
type refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Topic   string `json:"topic"`
	Ref     string `json:"ref,omitempty"`
}

func (r *refusal) Error() string { return r.Code + ": " + r.Message }

const maxRef = 64 // bytes

// stamp is the publish authorizer. It makes a message of a draft, in the name of the connection that it came from. Of a draft that it
// refuses, the library tells the client that it is forbidden, and nothing else; the message before that says why.
func (c *Chat) stamp(client *tank.Client, p *tank.Publication) error {
	d, err := readDraft(client, p)
	if err != nil {
		c.explain(client, &refusal{err.Code, err.Message, p.Topic, d.Ref})
		return err
	}
	data, failed := json.Marshal(said{From: client.UserID(), Text: d.Text, Time: time.Now().UTC(), Ref: d.Ref})
	p.Data, p.JSON, p.From = string(data), true, client.UserID()
	return failed
}

// readDraft refuses what is no message for the topic. Only who listens to a topic may talk in it: a topic is a room, and nobody shouts
// into a room from outside, unseen.
func readDraft(client *tank.Client, p *tank.Publication) (d draft, refused *refusal) {
	if json.Unmarshal([]byte(p.Data), &d) != nil || len(d.Ref) > maxRef {
		return draft{}, &refusal{Code: "bad_message", Message: `want {"text":"...","ref":"..."} as the data`}
	}
	d.Text = strings.TrimSpace(d.Text)
	switch {
	case strings.HasPrefix(p.Topic, reservedPrefix):
		refused = &refusal{Code: "reserved_topic", Message: "only the server publishes on topics that start with " + reservedPrefix}
	case d.Text == "":
		refused = &refusal{Code: "empty_text", Message: "there is no text"}
	case utf8.RuneCountInString(d.Text) > maxText:
		refused = &refusal{Code: "text_too_long", Message: fmt.Sprintf("the text has more than %d characters", maxText)}
	case !client.IsSubscribed(p.Topic):
		refused = &refusal{Code: "not_subscribed", Message: "subscribe to the topic before talking in it"}
	}
	return d, refused
}

// explain tells this client alone.
func (c *Chat) explain(client *tank.Client, r *refusal) {
	data, err := json.Marshal(map[string]*refusal{"error": r})
	if err == nil {
		err = client.Send(tank.Message{Data: data, JSON: true})
	}
	c.log.Debug("refused", "client", client.ID(), "user", client.UserID(), "code", r.Code, "send_error", err)
}

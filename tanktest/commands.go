package tanktest

import (
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// What a client that speaks what plain sockets do sends.

// Send sends a text message. It does not wait for the server to handle it; see Sync. Like everything below, it fails the test
// when the connection has ended.
func (c *Client) Send(text string) {
	c.t.Helper()
	c.sendText("Send", text)
}

// Publish sends {"topic":topic,"data":data}, like Send. What the server thinks of it, it says in an error frame or not at
// all; see ExpectRefusal.
func (c *Client) Publish(topic, data string) {
	c.t.Helper()
	if !utf8.ValidString(topic) || !utf8.ValidString(data) {
		c.fail("Publish(%s, %s): a client can send valid UTF-8 only", quote(topic), quote(data))
	}
	envelope, err := json.Marshal(struct {
		Topic string `json:"topic"`
		Data  string `json:"data"`
	}{topic, data})
	if err != nil {
		c.fail("Publish: %v", err)
	}
	c.sendText("Publish", string(envelope))
}

func (c *Client) sendText(verb, text string) {
	c.t.Helper()
	if !utf8.ValidString(text) {
		c.fail("%s(%s): a client can send text only that is valid UTF-8", verb, quote(text))
	}
	c.send(fmt.Sprintf("%s(%s)", verb, quote(text)), wstest.Text, text)
}

// Subscribe subscribes to topics and returns when the subscriptions are in effect: what is published from then on comes. It
// fails the test when the server refuses, or has not handled the requests within Server.Patience.
func (c *Client) Subscribe(topics ...string) {
	c.t.Helper()
	c.change("Subscribe", "sub:", topics, true)
}

// Unsubscribe ends subscriptions, like Subscribe: what is published from then on does not come.
func (c *Client) Unsubscribe(topics ...string) {
	c.t.Helper()
	c.change("Unsubscribe", "unsub:", topics, false)
}

// change asks for a change of subscriptions, of which the protocol knows no acknowledgement. The server handles the messages
// of a connection one by one and reads the next when it is done, so once it waits for more, all requests are with the
// instance, and the answer to any question comes behind them.
func (c *Client) change(verb, prefix string, topics []string, want bool) {
	c.t.Helper()
	for _, topic := range topics {
		c.sendText(verb, prefix+topic)
	}
	c.sync(verb)
	if c.handle == nil {
		c.fail("%s: none of the managers knew the client when Dial returned", verb)
	}
	have := c.handle.Topics()
	for _, topic := range topics {
		if slices.Contains(have, topic) != want {
			c.refused(fmt.Sprintf("%s(%s)", verb, quote(topic)), topic)
		}
	}
}

// refused fails the test, with what the server says about a request that had no effect.
func (c *Client) refused(what, topic string) {
	c.t.Helper()
	for !c.frozen {
		m, ok := c.inbox.take(c.ended, c.s.Patience)
		if !ok {
			break
		}
		c.last = &m
		if m.Refusal != nil && (m.Refusal.Topic == topic || len(topic) > maxTopic) {
			c.fail("%s: the server refused: %s (%s)", what, m.Refusal.Code, quote(m.Refusal.Message))
		}
	}
	if c.hasEnded() {
		c.fail("%s: %s", what, c.ending())
	}
	c.fail("%s: it had no effect", what)
}

// maxTopic is how long a topic's name can be. Longer ones are shortened in error frames.
const maxTopic = 255

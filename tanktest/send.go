package tanktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// Send sends a text message. It does not wait for the server to handle it; see Sync. Like everything below, it fails the test
// when the connection has ended.
func (c *Client) Send(text string) {
	c.t.Helper()
	c.sendText("Send", text)
}

// SendBinary sends a binary message, like Send.
func (c *Client) SendBinary(data []byte) {
	c.t.Helper()
	c.send("SendBinary", wstest.Binary, string(data))
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
	c.send(verb, wstest.Text, text)
}

func (c *Client) send(verb string, op byte, payload string) {
	c.t.Helper()
	if c.hasEnded() {
		c.fail("%s(%s): the connection has ended", verb, quote(payload))
	}
	err := c.write(encode(op, payload))
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		_ = c.conn.Close() // a part of a frame cannot be taken back
		c.fail("%s(%s): the server has read nothing for %v", verb, quote(payload), defaultPatience)
	default:
		c.fail("%s(%s): the server has hung up", verb, quote(payload))
	}
}

// Sync waits until the server has handled everything that the client has sent, callbacks and pauses because of rate limits
// included, or the connection has ended. It fails the test when that has not happened within Server.Patience. It works for
// a frozen client, too.
func (c *Client) Sync() {
	c.t.Helper()
	c.sync("Sync")
}

func (c *Client) sync(verb string) {
	c.t.Helper()
	if err := c.conn.AwaitPeer(c.s.Patience); errors.Is(err, os.ErrDeadlineExceeded) {
		c.fail("%s: the server has not handled what was sent within %v; maybe a callback has not returned", verb, c.s.Patience)
	}
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
		c.fail("%s: the connection has ended", what)
	}
	c.fail("%s: it had no effect", what)
}

// maxTopic is how long a topic's name can be. Longer ones are shortened in error frames.
const maxTopic = 255

// Close says goodbye as a browser does, and returns when the server has answered and hung up. It fails the test when that has
// not happened within Server.Patience. code is 1000 to 1003, 1007 to 1014 or 3000 to 4999, or 1005 for a close frame
// without a code; reason has at most 123 bytes of UTF-8.
func (c *Client) Close(code int, reason string) {
	c.t.Helper()
	bye := closing{code, reason}
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999, code == wstest.NoStatus && reason == "":
	default:
		c.fail("Close(%v): this cannot be sent (RFC 6455, section 7.4)", bye)
	}
	switch {
	case len(reason) > wstest.MaxControl-2 || !utf8.ValidString(reason):
		c.fail("Close(%v): a reason is at most %d bytes of valid UTF-8", bye, wstest.MaxControl-2)
	case c.hasEnded():
		c.fail("Close(%v): the connection has ended", bye)
	case c.frozen:
		c.fail("Close(%v): the client is frozen, so it would not notice the answer; see Thaw", bye)
	}
	c.leaving.Store(true)
	if err := c.write(encodeClose(code, reason)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		_ = c.conn.Close()
	}
	c.awaitEnd(fmt.Sprintf("Close(%v)", bye))
	if c.end.code != code {
		c.fail("Close(%v): the connection has ended otherwise", bye)
	}
}

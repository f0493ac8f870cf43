package tanktest

import "fmt"

// What a test expects of a client that speaks what plain sockets do.

// Expect fails the test unless the next message is this one of a topic. It waits like Next.
func (c *Client) Expect(topic, data string) {
	c.t.Helper()
	c.expect(Message{Topic: topic, Data: data})
}

// ExpectTopic passes over messages that are not of this topic: of other topics, texts, binary messages, and error frames about other
// topics. It fails the test unless the first of this topic has this data, and no error frame about the topic comes before it. It waits
// no longer than Server.Patience for that.
func (c *Client) ExpectTopic(topic, data string) {
	c.t.Helper()
	want := Message{Topic: topic, Data: data}
	got := c.nextAbout(want.String(), func(m Message) bool {
		return m.Topic == topic || m.Refusal != nil && m.Refusal.Topic == topic
	})
	if got.Refusal != nil || got.Data != data {
		c.fail("got %v, want %v", got, want)
	}
}

// ExpectText fails the test unless the next message is this text, and neither a topic's nor an error frame: what the server
// sends with BroadcastMessage and Client.Send. It waits like Next.
func (c *Client) ExpectText(text string) {
	c.t.Helper()
	c.expect(Message{Data: text})
}

func (c *Client) expect(want Message) {
	c.t.Helper()
	got := c.next(want.String())
	if got.Topic != want.Topic || got.Data != want.Data || got.Binary || got.Refusal != nil {
		c.fail("got %v, want %v", got, want)
	}
}

// ExpectRefusal fails the test unless the next message is an error frame with this code, such as "forbidden", and topic. It
// waits like Next.
func (c *Client) ExpectRefusal(code, topic string) Refusal {
	c.t.Helper()
	want := fmt.Sprintf("a refusal %s of topic %s", code, quote(topic))
	got := c.next(want)
	if got.Refusal == nil || got.Refusal.Code != code || got.Refusal.Topic != topic {
		c.fail("got %v, want %s", got, want)
	}
	return *got.Refusal
}

package tanktest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// What a test expects of a client that speaks tank.v2.

// Expect fails the test unless the next message is this one of a topic, and returns it, with its number and whom it is from. A value
// that is a string is text, and any other is JSON: it is encoded as encoding/json does, and white space and the order of members do
// not matter. It waits like Next.
func (c *ClientV2) Expect(topic string, value any) Message {
	c.t.Helper()
	want := c.wanted("Expect", topic, value)
	return c.same(c.next(want.String()), want, want.String())
}

// ExpectTopic passes over messages that are not of this topic and not about it. It fails the test unless the first that is has this
// value, as in Expect, and returns it. It waits no longer than Server.Patience for that.
func (c *ClientV2) ExpectTopic(topic string, value any) Message {
	c.t.Helper()
	want := c.wanted("ExpectTopic", topic, value)
	return c.same(c.nextOf(topic, want.String()), want, want.String())
}

// ExpectSeq is ExpectTopic for a message that has to have this number; 0 is for one that Client.SendTopic sends to this client alone.
func (c *ClientV2) ExpectSeq(topic string, seq uint64, value any) Message {
	c.t.Helper()
	want := c.wanted("ExpectSeq", topic, value)
	what := fmt.Sprintf("%v, number %d", want, seq)
	got := c.same(c.nextOf(topic, what), want, what)
	if got.Seq != seq {
		c.fail("got %v, want %s", got, what)
	}
	return got
}

// ExpectMessage fails the test unless the next message is this one, and not of a topic: what the server sends with BroadcastMessage,
// Client.Send and SendToUser. The value is that of Expect. It waits like Next.
func (c *ClientV2) ExpectMessage(value any) Message {
	c.t.Helper()
	want := c.wanted("ExpectMessage", "", value)
	return c.same(c.next(want.String()), want, want.String())
}

// wanted returns the message that has a value.
func (c *ClientV2) wanted(verb, topic string, v any) Message {
	c.t.Helper()
	text, err := encodeJSON(v)
	if err != nil {
		c.fail("%s: %v", verb, err)
	}
	m := Message{Topic: topic}
	m.Data, m.JSON = value(json.RawMessage(text))
	return m
}

// nextOf returns the next message of or about a topic.
func (c *ClientV2) nextOf(topic, what string) Message {
	c.t.Helper()
	return c.nextAbout(what, func(m Message) bool { return m.Topic == topic })
}

// same fails the test unless a message is as wanted.
func (c *ClientV2) same(got, want Message, what string) Message {
	c.t.Helper()
	if got.Topic != want.Topic || got.Binary || got.Refusal != nil || got.Notice != "" || !got.hasDataOf(want) {
		c.fail("got %v, want %s", got, what)
	}
	return got
}

// hasDataOf reports whether two messages have the same text, or JSON that means the same.
func (m Message) hasDataOf(other Message) bool {
	if m.JSON != other.JSON || !m.JSON {
		return m.JSON == other.JSON && m.Data == other.Data
	}
	decode := func(text string) (v any) {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber() // a float64 has no room for all digits
		_ = d.Decode(&v)
		return v
	}
	return reflect.DeepEqual(decode(m.Data), decode(other.Data))
}

// ExpectRefusal fails the test unless the next message is an error frame with this code that answers no command: the server has not
// taken what Send or SendBinary has sent. What it says to commands, calls such as SubscribeRefused return. It waits like Next.
func (c *ClientV2) ExpectRefusal(code string) Refusal {
	c.t.Helper()
	want := "a refusal " + code
	got := c.next(want)
	if got.Refusal == nil || got.Refusal.Code != code {
		c.fail("got %v, want %s", got, want)
	}
	return *got.Refusal
}

// ExpectEnd passes over messages like ExpectTopic. It fails the test unless the first says that the server has ended the subscription,
// with this code, such as "unsubscribed" or "forbidden".
func (c *ClientV2) ExpectEnd(code, topic string) Refusal {
	c.t.Helper()
	want := fmt.Sprintf("the end %s of topic %s", code, quote(topic))
	var said struct{ End Refusal }
	got := c.notice("end", topic, want, &said)
	if said.End.Code != code {
		c.fail("got %v, want %s", got, want)
	}
	said.End.Topic = topic
	return said.End
}

// ExpectReset passes over messages like ExpectTopic. It fails the test unless the first says that the numbers of the topic begin anew,
// or for a subscription by the server, where they begin. It returns where.
func (c *ClientV2) ExpectReset(topic string) tank.Position {
	c.t.Helper()
	var said struct {
		Reset struct {
			Epoch string
			Seq   uint64
		}
	}
	c.notice("reset", topic, fmt.Sprintf("a reset of topic %s", quote(topic)), &said)
	return tank.Position(said.Reset)
}

// ExpectLost passes over messages like ExpectTopic. It fails the test unless the first says that the outbox policy has dropped so many
// messages of the topic for this client. It returns the position of the last of them.
func (c *ClientV2) ExpectLost(topic string, messages uint64) tank.Position {
	c.t.Helper()
	want := fmt.Sprintf("a loss of %d messages of topic %s", messages, quote(topic))
	var said struct{ Lost, Seq uint64 }
	got := c.notice("lost", topic, want, &said)
	if said.Lost != messages {
		c.fail("got %v, want %s", got, want)
	}
	return tank.Position{Epoch: c.Position(topic).Epoch, Seq: said.Seq}
}

// ExpectGap passes over messages like ExpectTopic. It fails the test unless the first says that publications of the topic may be missing, as
// behind a broker that was away. It returns the number before which. The client stands where it stood; Subscribe with Since its Position asks
// for what is missing, and moves it on.
func (c *ClientV2) ExpectGap(topic string) (before uint64) {
	c.t.Helper()
	var said struct{ Gap struct{ Seq uint64 } }
	c.notice("gap", topic, fmt.Sprintf("a gap in topic %s", quote(topic)), &said)
	return said.Gap.Seq
}

// ExpectInterrupted fails the test unless the next message says that the server has lost its way to other instances, or found it again. It
// waits like Next.
func (c *ClientV2) ExpectInterrupted(interrupted bool) {
	c.t.Helper()
	want := fmt.Sprintf(`the notice {"interrupted":%t}`, interrupted)
	got := c.next(want)
	var said struct{ Interrupted bool }
	_ = json.Unmarshal([]byte(got.Data), &said) // which is an object, or no notice
	if got.Notice != "interrupted" || said.Interrupted != interrupted {
		c.fail("got %v, want %s", got, want)
	}
}

// ExpectHere passes over messages like ExpectTopic. It fails the test unless the first says who has come to the topic and who has gone,
// and returns that. It is for clients that Watch, which are told once a second at most.
func (c *ClientV2) ExpectHere(topic string) Here {
	c.t.Helper()
	var said struct{ Here Here }
	c.notice("here", topic, fmt.Sprintf("who is in topic %s", quote(topic)), &said)
	return said.Here
}

// ExpectExpires fails the test unless the next message says that the client's credentials are about to expire, and returns the time that is
// left, in whole seconds. It waits like Next.
func (c *ClientV2) ExpectExpires() time.Duration {
	c.t.Helper()
	const want = "a notice that the credentials expire"
	got := c.next(want)
	if got.Notice != "expires" {
		c.fail("got %v, want %s", got, want)
	}
	var said struct{ Expires int64 }
	_ = json.Unmarshal([]byte(got.Data), &said) // which is an object
	return time.Duration(said.Expires) * time.Second
}

// notice waits for what the server says about a topic, and decodes it.
func (c *ClientV2) notice(name, topic, want string, said any) Message {
	c.t.Helper()
	got := c.nextOf(topic, want)
	if got.Notice != name {
		c.fail("got %v, want %s", got, want)
	}
	_ = json.Unmarshal([]byte(got.Data), said) // which is well-formed, or it would not have come so far
	return got
}

// ExpectBye is ExpectClose for a server that says before that clients are to come back. It returns over which time they are to spread
// that.
func (c *ClientV2) ExpectBye(code int) (within time.Duration) {
	c.t.Helper()
	c.ExpectClose(code)
	n, giveBack := c.talk.take()
	said := n.bye
	giveBack()
	switch {
	case said == nil:
		c.fail("waiting for bye %d: the server has said none before it closed", code)
	case said.Code != code:
		c.fail("waiting for bye %d: the server said bye %d, and closed with %d", code, said.Code, code)
	}
	return time.Duration(said.Within) * time.Millisecond
}

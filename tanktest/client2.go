package tanktest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// ClientV2 is a WebSocket client that speaks tank.v2, docs/protocol-v2.md. On the wire it is a browser, as Client is.
//
// It looks at the number of each message of a topic when it comes: one that comes twice, or is missing although the server has not said
// so, fails the test. So does everything else that no server of tank.v2 does. The heartbeat {} is passed over. In its messages, a value
// that is a string is text, and any other is JSON.
//
// Its methods are for the goroutine of the test, because they fail the test, which testing.TB allows nowhere else.
type ClientV2 struct {
	peer
	path        string
	opts        []DialOption
	talk        talk
	first       string // the name that failure messages give it on its first connection
	connections int    // how many there have been
}

// subprotocol2 is the name of tank.v2 in a handshake.
const subprotocol2 = "tank.v2"

// DialV2 is Dial for a client that offers tank.v2, before the names of Subprotocols. It returns when the server has said hello, or has
// closed the connection at once, and fails the test when the server does not speak tank.v2.
func (s *Server) DialV2(path string, opts ...DialOption) *ClientV2 {
	s.t.Helper()
	c := &ClientV2{peer: peer{s: s, t: s.t, inbox: newInbox()}, path: path, opts: slices.Clone(opts)}
	c.dial("DialV2")
	return c
}

// dial connects, for the first time or again.
func (c *ClientV2) dial(verb string) {
	c.t.Helper()
	c.inbox.arrive() // over connections that have ended
	t := newTalk(c.inbox)
	c.s.connect(dialing{verb: verb, path: c.path, opts: append(slices.Clip(c.opts), offerV2), peer: &c.peer, protocol: t})
	c.talk = t
	if c.connections++; c.connections == 1 {
		c.first = c.name
	} else {
		c.name = fmt.Sprintf("%s, connection %d", c.first, c.connections)
	}
	switch chosen := c.answer.Header.Get("Sec-WebSocket-Protocol"); chosen {
	case subprotocol2:
	case "":
		c.fail("%s: the server does not speak tank.v2, but what plain sockets do; see tank.WithProtocols", verb)
	default:
		c.fail("%s: the server does not speak tank.v2, but %s; see tank.WithProtocols", verb, quote(chosen))
	}
	select {
	case <-t.greeted:
	case <-c.ended:
		if c.end.broken {
			c.fail("%s: %s", verb, c.ending())
		}
	case <-time.After(c.s.Patience):
		c.fail("%s: the server has not said hello within %v", verb, c.s.Patience)
	}
}

// offerV2 puts tank.v2 in front of what options offer, in one line, as browsers do.
func offerV2(h *handshake) {
	const key = "Sec-WebSocket-Protocol"
	h.header.Set(key, strings.Join(append([]string{subprotocol2}, h.header.Values(key)...), ", "))
}

// Position returns where the client stands in a topic: everything up to there has come, whether or not the test has looked at it, or
// the server has said that it is lost. At a gap it stays, until Subscribe with Since. It is the zero Position when the
// client is not subscribed, and stays what it was when the connection ends.
func (c *ClientV2) Position(topic string) tank.Position {
	n, giveBack := c.talk.take()
	defer giveBack()
	if place := n.topics[topic]; place != nil {
		return place.position()
	}
	return tank.Position{}
}

// Resume connects again after the connection has ended: by Cut, say, or because the server has closed it. Without options, it takes those
// of the last connection; with some, such as a new token, it takes these and no others. It subscribes to the topics that the client was
// subscribed to, in the order of their names, each Since the client's Position and with Watch if the client watches, and returns what the
// server has answered, by topic. What is replayed comes as messages of the topic do, behind those that came over earlier connections
// and were not looked at. It fails the test when the server refuses the connection or a subscription.
func (c *ClientV2) Resume(opts ...DialOption) map[string]Subscription {
	c.t.Helper()
	switch {
	case !c.hasEnded():
		c.fail("Resume: the connection has not ended; see Cut")
	case c.end.broken:
		c.fail("Resume: %s", c.ending())
	}
	c.pace(nil)
	stood := c.standings()
	if len(opts) > 0 {
		c.opts = opts
	}
	c.dial("Resume")
	answers := make(map[string]Subscription)
	for _, topic := range slices.Sorted(maps.Keys(stood)) {
		place := stood[topic]
		opts := []SubscribeOption{Since(place.position())}
		if place.watch {
			opts = append(opts, Watch())
		}
		answers[topic] = c.subscribe(fmt.Sprintf("Resume: topic %s", quote(topic)), topic, opts)
	}
	return answers
}

// standings returns where the client stands in each topic.
func (c *ClientV2) standings() map[string]standing {
	n, giveBack := c.talk.take()
	defer giveBack()
	all := make(map[string]standing)
	for topic, place := range n.topics {
		all[topic] = *place
	}
	return all
}

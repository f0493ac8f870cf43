package tank

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/hub"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Message is a WebSocket message. Text for a client of tank.v2 becomes {"msg":"TEXT"}.
type Message struct {
	Data   []byte
	Binary bool // a binary message; otherwise Data is UTF-8 text
	JSON   bool // Data is JSON: a client of tank.v2 sends and gets it as {"msg":Data}, a plain socket gets it as text
}

// Client is one connection. Callbacks receive it and may keep it. Its methods are safe for concurrent use, also after the
// connection has ended.
type Client struct {
	// Immutable.
	m       *Manager
	session hub.Session // the hub's record of it, and the connection
	address string      // of the peer, where the connection has another one
	hooks   *hooks      // nil: the instance has none

	// For any goroutine.
	replaying atomic.Int64                       // bytes of replays that are being queued, see takeRoom
	renewals  atomic.Int32                       // calls of Renew whose change the authorizer has to be asked about
	waiting   atomic.Pointer[context.CancelFunc] // ends the reader's wait for a replay; nil: it does not wait

	// Owned by the reader.
	changes *hub.Changes // requests that are put off to be posted together, see client.Owner; nil: none
	pending uint8        // requests that the hub was not seen to have handled, up to maxPending
	noted   bool         // that it names topics with white space around them
}

// ID returns the connection's UUID.
func (c *Client) ID() string { return c.session.ID }

// UserID returns the user id: from the authenticator, or without one, from the query parameter user_id, which is a label that
// anyone can choose. An empty id is replaced by ID. Several connections can have the same user id. See Authenticated.
func (c *Client) UserID() string { return c.session.UserID }

// RemoteAddr returns the network address of the peer: http.Request.RemoteAddr as the middleware before the instance has left it,
// shortened and quoted when it is long or not printable. Behind a proxy, that is the proxy's, unless middleware has put the client's
// there; see docs/deployment.md.
func (c *Client) RemoteAddr() string {
	if c.address != "" {
		return c.address
	}
	return c.session.Client.RemoteAddr()
}

// Topics returns the names of the topics that the client is subscribed to, sorted. It is empty after the connection
// has ended, and does not block.
func (c *Client) Topics() []string {
	topics := c.m.hub.SubscriptionsOf(&c.session)
	slices.Sort(topics)
	return topics
}

// Protocol returns the protocol that the connection speaks, which does not change. It does not block.
func (c *Client) Protocol() Protocol {
	if c.session.Client.Encoding().IsV2() {
		return V2
	}
	return V1
}

// Send queues a message for this client alone, behind the bytes that are queued already. It does not wait for the write.
// msg.Data may be reused afterwards. It returns ErrInvalidData for text that is not valid UTF-8, or not the JSON that it is said to be,
// and ErrClosed when the connection is closing, also because the outbox has no room for this message. With an OutboxPolicy that drops
// messages, it returns nil for a full outbox, and the message may be dropped later.
func (c *Client) Send(msg Message) error {
	batch, err := c.m.newBatch(msg, c.session.Client)
	if err != nil {
		return err
	}
	if !c.session.Client.Send(batch) {
		return ErrClosed
	}
	return nil
}

// newBatch encodes a message for some connections.
func (m *Manager) newBatch(msg Message, to ...*client.Client) (*wire.Batch, error) {
	if !msg.Binary && !utf8.Valid(msg.Data) || msg.JSON && (msg.Binary || !json.Valid(msg.Data)) {
		return nil, ErrInvalidData
	}
	b := &wire.Batch{Messages: 1}
	for _, c := range to {
		e := c.Encoding()
		inflated := e.Inflated()
		if b.Frames[inflated] == nil {
			b.Frames[inflated] = msg.encode(inflated)
		}
		if e != inflated && b.Frames[e] == nil {
			b.Frames[e] = m.deflater.Append(nil, b.Frames[inflated])
		}
	}
	return b, nil
}

func (msg Message) encode(e wire.Encoding) []byte {
	switch {
	case msg.Binary:
		return wire.AppendFrame(nil, wire.OpBinary, msg.Data)
	case e == wire.V2:
		return wire.AppendMessage2(nil, string(msg.Data), msg.JSON)
	}
	return wire.AppendFrame(nil, wire.OpText, msg.Data)
}

// SendTopic sends a message of a topic, {"topic":topic,"data":data}, or [topic,0,data] in tank.v2, to this client alone: behind its
// subscription and behind what was published to the topic before, such as a snapshot before what follows. It waits until the
// message is queued for the client, for the publish timeout at most (default 5 s, see Limits), and not for the write. It returns
// ErrInvalidTopic, ErrInvalidData for text that is not valid UTF-8, ErrNotFound when the client is not subscribed to the topic,
// ErrBusy, after which the message may still be sent, or ErrClosed when the connection or the instance is closing, also because the
// outbox has no room for the message.
func (c *Client) SendTopic(topic, data string) error {
	if err := c.m.checkMessage(topic, data); err != nil {
		return err
	}
	return c.m.hub.SendWithin(c.m.config.limits.PublishTimeout, &c.session, &wire.Publication{Topic: topic, Data: data})
}

// IsSubscribed reports whether the client is subscribed to a topic. It is false after the connection has ended, and does not block.
func (c *Client) IsSubscribed(topic string) bool { return c.m.hub.IsSubscribed(&c.session, topic) }

// Subscribe subscribes the client without asking the authorizer. A client of tank.v2 is told by a reset frame where the topic stands.
// Once it has returned nil, every message whose publish starts afterwards is delivered. Subscribing twice is the same as once. It
// returns ErrInvalidTopic, ErrLimit when the client has as many subscriptions as it may have, or ErrClosed when the connection or the
// instance has ended or is about to. With WithBroker, it waits until the broker delivers the topic, for the publish timeout at most; then
// it returns ErrBusy, and the client stays subscribed.
func (c *Client) Subscribe(topic string) error {
	if err := checkTopic(topic); err != nil {
		return err
	}
	info, ok := c.presenceInfo(topic)
	if !ok {
		return ErrClosed
	}
	return c.m.hub.Subscribe(&c.session, strings.Clone(topic), info) // it may be a piece of something large
}

// Unsubscribe ends a subscription. A client of tank.v2 is told by an end frame "unsubscribed". Once it has returned nil, no message
// whose publish starts afterwards is delivered. It returns ErrInvalidTopic, ErrNotFound when the client was not subscribed, or
// ErrClosed when the connection or the instance has ended or is about to.
func (c *Client) Unsubscribe(topic string) error {
	if err := checkTopic(topic); err != nil {
		return err
	}
	return c.m.hub.Unsubscribe(&c.session, topic, hub.ByServer)
}

// Close ends the connection with a close frame, behind all messages of earlier calls of Send. It does not wait for the peer,
// which has the close timeout to answer. A message published just before may still be queued in its topic, and is then lost.
//
// code is 1000, 1001, 1003, 1007 to 1014 or 3000 to 4999, and reason at most 123 bytes of UTF-8; otherwise it returns
// ErrInvalidClose. The application's own codes begin at 4000. It returns ErrClosed when the connection is closing already.
func (c *Client) Close(code CloseCode, reason string) error {
	if err := wire.CheckClose(int(code), reason); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidClose, err)
	}
	if !c.session.Client.Close(wire.Close{Code: int(code), Reason: strings.Clone(reason)}) {
		return ErrClosed
	}
	return nil
}

// String returns both ids, that of the user quoted.
func (c *Client) String() string {
	return fmt.Sprintf("client %s of user %s", c.ID(), wire.Quote(c.UserID()))
}

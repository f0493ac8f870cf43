package tank

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// owner is a Client as package client sees it: the same value with other methods, which are for that package only.
type owner Client

var _ client.Owner = (*owner)(nil)

// Received understands one message. It runs in the reader's goroutine, so what it does may wait. The client's requests
// take effect in order: those that the supervisor has not got to yet are waited for before anything else is looked at.
func (o *owner) Received(data []byte, binary bool) {
	c := (*Client)(o)
	if binary {
		c.handleMessage(data, binary, wire.Problem{})
		return
	}
	switch cmd := wire.Parse(data); {
	case cmd.Kind == wire.Subscribe:
		c.handleSubscribe(cmd.Topic)
	case cmd.Kind == wire.Unsubscribe:
		c.handleUnsubscribe(cmd.Topic)
	case cmd.Kind == wire.Publish && c.m.config.authorizePublish != nil:
		c.settle()
		c.handlePublish(cmd.Topic, cmd.Data)
	default:
		c.handleMessage(data, binary, cmd.Problem)
	}
}

func (c *Client) handleSubscribe(topic string) {
	err := checkTopic(topic)
	if err == nil && c.m.config.authorizeSubscribe != nil {
		c.settle()
		err = c.authorize(c.m.config.authorizeSubscribe, topic, "subscription refused")
	}
	if err == nil {
		c.noteSpaces(topic)
		c.post(subscribe{client: c, topic: topic})
	}
	c.answer(topic, err)
}

func (c *Client) handleUnsubscribe(topic string) {
	err := checkTopic(topic)
	if err == nil {
		c.noteSpaces(topic)
		c.post(unsubscribe{client: c, topic: topic})
	}
	c.answer(topic, err)
}

// noteSpaces has it logged, once for each connection, that a topic's name begins or ends with white space: that is legal, and
// probably a mistake.
func (c *Client) noteSpaces(topic string) {
	if c.m.journal != nil && !c.noted && strings.TrimSpace(topic) != topic {
		c.noted = true
		c.m.supervisor.Post(note{entry: spacesEntry{client: c, topic: topic, at: time.Now()}})
	}
}

// maxUnsettled is how many requests of one client may be with the supervisor: enough to keep both busy, and not enough
// for a client to delay other clients.
const maxUnsettled = 8

// post makes a request of the client's without waiting for it. When it is refused, the supervisor says so.
func (c *Client) post(m message) {
	if c.unsettled == maxUnsettled {
		c.settle()
	}
	c.unsettled++
	c.m.supervisor.Post(m)
}

// settle waits until the supervisor has handled all that was posted.
func (c *Client) settle() {
	if c.unsettled > 0 {
		c.unsettled = 0
		_ = c.m.ask(func(r actor.Request[struct{}]) message { return fence{r} }) // also when the instance has ended
	}
}

func (c *Client) handlePublish(topic, data string) {
	err := checkTopic(topic)
	if err == nil {
		err = c.authorize(c.m.config.authorizePublish, topic, "publication refused")
	}
	if err == nil {
		err = c.m.BroadcastTopicMessage(topic, data)
	}
	c.answer(topic, err)
}

// handleMessage gives a message that is no command to the message handler. The problem says why it is none.
func (c *Client) handleMessage(data []byte, binary bool, problem wire.Problem) {
	if c.m.config.handleMessage == nil {
		c.ignore(data, binary, problem)
		return
	}
	c.settle()
	_ = c.guard("message handler panicked", "", func() error {
		c.m.config.handleMessage(c, Message{Data: bytes.Clone(data), Binary: binary})
		return nil
	})
}

// ignore counts a message without a handler. Where clients may publish, the message was probably meant as a publication or a
// subscription, so the answer tells the client what is wrong with it.
func (c *Client) ignore(data []byte, binary bool, problem wire.Problem) {
	c.m.counters.ignored.Add(1)
	if c.m.config.authorizePublish == nil {
		return
	}
	why := wire.ExplainBinary
	if !binary {
		why = problem.Explain(data)
	}
	c.conn.Send(&wire.Batch{Frames: wire.AppendError(nil, refusedMessage, why, ""), Messages: 1})
}

// authorize asks an authorizer. The client is told that it may not, but not why.
func (c *Client) authorize(allow func(*Client, string) error, topic, refusal string) error {
	err := c.guard("authorizer panicked", topic, func() error { return allow(c, topic) })
	if err != nil && !isPanic(err) {
		c.m.report(&ErrorEvent{Code: CodeForbidden, Message: refusal, Err: forbidden(err), ClientID: c.id, UserID: c.userID, Topic: topic})
		err = fmt.Errorf("%w: %s", ErrForbidden, refusal)
	}
	return err
}

// guard runs a callback. When it panics, its client is closed, and nothing else happens.
func (c *Client) guard(message, topic string, callback func() error) error {
	err := actor.Try(callback)
	if isPanic(err) {
		c.m.report(&ErrorEvent{Code: CodeInternal, Message: message, Err: err, ClientID: c.id, UserID: c.userID, Topic: topic})
		c.conn.Close(wire.CloseInternalError, "internal error")
	}
	return err
}

// answer sends a refusal frame, if there is something to refuse. It is for edges: it may write to the socket.
func (c *Client) answer(topic string, err error) {
	if err != nil && !isPanic(err) {
		c.conn.Send(refusal(topic, err))
	}
}

// answerLater is answer for the supervisor, who must not write to sockets.
func (c *Client) answerLater(topic string, err error) { c.conn.Enqueue(refusal(topic, err)) }

// refusal makes the frame that refuses a request.
func refusal(topic string, err error) *wire.Batch {
	var code string
	switch {
	case errors.Is(err, ErrInvalidTopic):
		code = refusedTopic
	case errors.Is(err, ErrForbidden):
		code = refusedForbidden
	case errors.Is(err, ErrBusy):
		code = refusedBusy
	case errors.Is(err, ErrLimit):
		code = refusedLimit
	default:
		code = refusedClosing
	}
	return &wire.Batch{Frames: wire.AppendError(nil, code, err.Error(), topic), Messages: 1}
}

// readFailed is the message of a connection that ended without a close frame.
const readFailed = "read failed"

// faults says how each fault is reported.
var faults = map[client.Fault]struct {
	code    int
	message string
}{
	client.ReadFault:      {CodeRead, readFailed},
	client.ProtocolFault:  {CodeRead, "client broke the protocol"},
	client.TooBigFault:    {CodeTooBig, "message too big"},
	client.WriteFault:     {CodeWrite, "write failed"},
	client.HeartbeatFault: {CodeHeartbeat, "heartbeat timeout"},
	client.SlowFault:      {CodeSlowClient, "slow client"},
	client.LossFault:      {CodeSlowClient, "slow client loses messages"},
	client.TimeoutFault:   {CodeLimit, "message took too long"},
	client.PingFault:      {CodeLimit, "too many pings"},
}

// Failed reports a fault of the connection.
func (o *owner) Failed(kind client.Fault, err error) {
	f := faults[kind]
	if isPanic(err) {
		f.code, f.message = CodeInternal, "client panicked"
	}
	if f.code == CodeLimit {
		err = fmt.Errorf("%w: %w", ErrLimit, err)
	}
	o.m.report(&ErrorEvent{Code: f.code, Message: f.message, Err: err, ClientID: o.id, UserID: o.userID})
}

// Gone tells the supervisor that the socket is closed.
func (o *owner) Gone(code int, reason string) {
	text := fmt.Sprint(code)
	if reason != "" {
		text += " " + wire.Clean(reason)
	}
	o.m.counters.connections.Add(-1)
	o.m.supervisor.Post(gone{(*Client)(o), text})
}

// ReaderDone tells the supervisor that no callback of this client runs any more.
func (o *owner) ReaderDone() { o.m.supervisor.Post(readerDone{}) }

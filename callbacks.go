package tank

import (
	"bytes"
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// The callbacks of a client. All functions in this file run in the reader's goroutine, which may wait, but authorize and guard, which
// any edge may call.

// handleMessage gives a message that is no command to the message handler. The problem says why it is none.
func (c *Client) handleMessage(data []byte, binary bool, problem wire.Problem) {
	if c.m.config.handleMessage == nil {
		c.ignore(data, binary, problem)
		return
	}
	c.sync()
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
	c.session.Client.Send(wire.NewRefusal(wire.RefusedMessage, why, ""))
}

// authorize asks an authorizer about a topic. The client is told that it may not, but not why. Any goroutine may call it.
func (c *Client) authorize(topic, refusal string, allow func() error) error {
	err := c.guard("authorizer panicked", topic, allow)
	if err != nil && !isPanic(err) {
		c.m.report(&ErrorEvent{Code: CodeForbidden, Message: refusal, Err: forbidden(err), ClientID: c.ID(), UserID: c.UserID(), Topic: topic})
		err = fmt.Errorf("%w: %s", ErrForbidden, refusal)
	}
	return err
}

// guard runs a callback. When it panics, its client is closed, and nothing else happens.
func (c *Client) guard(message, topic string, callback func() error) error {
	err := actor.Try(callback)
	if isPanic(err) {
		c.m.report(&ErrorEvent{Code: CodeInternal, Message: message, Err: err, ClientID: c.ID(), UserID: c.UserID(), Topic: topic})
		c.session.Client.Close(wire.InternalError)
	}
	return err
}

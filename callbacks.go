package tank

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/hub"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// The callbacks of a client: the connect handler, authorizers, the message handler, and the disconnect handler. All functions in this
// file run in the reader's goroutine, which may wait, but prepareHooks, which runs in the request's; authorize and guard, which any
// edge may call; and CloseBegun and CloseError.Error, which run in any goroutine.

// CloseError is what a connect handler returns to choose how the connection is closed.
type CloseError struct {
	Code   CloseCode // what Client.Close allows; anything else is reported, and closes with 3003
	Reason string    // at most 123 bytes of UTF-8; the client sees it
}

// Error returns the code and the reason.
func (e *CloseError) Error() string {
	return fmt.Sprintf("close with %d %s", int(e.Code), wire.Quote(e.Reason))
}

// Disconnect says how a connection has ended.
type Disconnect struct {
	Code   CloseCode // CloseAbnormal without a close frame, CloseNoStatus for a close frame without a code
	Reason string    // may come from the client
	Topics []string  // that the client was subscribed to, sorted
}

// hooks is what a client needs for its hooks. Without hooks it has none.
type hooks struct {
	request *http.Request      // for the connect handler alone; nil thereafter, so that it is not kept
	cancel  context.CancelFunc // ends the request's context; nil without a connect handler

	accepted bool // the disconnect handler is to be called; owned by the reader

	// Written by Gone, before the session has ended.
	end wire.Close
}

// requestContext is the context of the connect handler's request: it has the values of the original one, and ends with the connection.
// What ends it does not know the values, so that they are not kept.
type requestContext struct {
	context.Context // ends with the connection
	values          context.Context
}

func (c requestContext) Value(key any) any {
	if v := c.Context.Value(key); v != nil { // those of package context itself
		return v
	}
	return c.values.Value(key)
}

// prepareHooks makes what the client needs for its hooks, before it is registered. It returns what the reader has to do before it
// reads; nil: nothing.
func (c *Client) prepareHooks(r *http.Request) (greet func()) {
	connect, disconnect := c.m.config.handleConnect != nil, c.m.config.handleDisconnect != nil
	if connect || disconnect {
		c.hooks = &hooks{accepted: !connect}
	}
	if connect {
		ctx, cancel := context.WithCancel(context.Background())
		c.hooks.request = r.Clone(requestContext{ctx, context.WithoutCancel(r.Context())}) // middleware may change the header meanwhile
		c.hooks.request.Body = http.NoBody
		c.hooks.cancel = cancel
		greet = c.greet
	}
	if disconnect {
		c.session.End = &hub.SessionEnd{Done: make(chan struct{})}
	}
	return greet
}

// greet calls the connect handler, unless the connection is closing already, as one too many of its user.
func (c *Client) greet() {
	defer c.m.hub.HookDone()
	r := c.hooks.request
	c.hooks.request = nil
	if c.session.Client.Closing() {
		return
	}
	err := c.guard("connect handler panicked", "", func() error { return c.m.config.handleConnect(c, r) })
	switch {
	case err == nil:
		c.hooks.accepted = true
	case !isPanic(err):
		c.reject(err)
	}
}

// reject closes a connection that the connect handler has refused.
func (c *Client) reject(err error) {
	how := wire.ConnectionRefused
	_ = actor.Try(func() error { // the error's methods may be anybody's
		var chosen *CloseError
		if errors.As(err, &chosen) && chosen != nil && wire.CheckClose(int(chosen.Code), chosen.Reason) == nil {
			how = wire.Close{Code: int(chosen.Code), Reason: chosen.Reason}
		}
		return nil
	})
	c.report(CodeForbidden, "connection refused", "", forbidden(err))
	c.session.Client.Close(how)
}

// CloseBegun ends the context of the connect handler's request, and the wait of the reader. Any goroutine may call it; it does not
// block.
func (o *owner) CloseBegun() {
	if cancel := o.waiting.Load(); cancel != nil {
		(*cancel)()
	}
	if o.hooks != nil && o.hooks.cancel != nil {
		o.hooks.cancel()
	}
}

// ReaderDone waits for the end of the connection and calls the disconnect handler, if there is one. No other callback of this client
// runs any more.
func (o *owner) ReaderDone() {
	c := (*Client)(o)
	if c.session.End == nil || !c.hooks.accepted {
		c.m.hub.ReaderDone(false)
		return
	}
	c.m.hub.ReaderDone(true)
	defer c.m.hub.HookDone()
	<-c.session.End.Done
	topics := slices.Sorted(slices.Values(c.session.End.Topics))
	_ = c.guard("disconnect handler panicked", "", func() error {
		c.m.config.handleDisconnect(c, Disconnect{Code: CloseCode(c.hooks.end.Code), Reason: c.hooks.end.Reason, Topics: topics})
		return nil
	})
}

// handleMessage gives a message of a plain socket that is no command to the message handler. The problem says why it is none.
func (c *Client) handleMessage(msg Message, problem wire.Problem) {
	if !c.callMessageHandler(msg) {
		c.ignore(msg, problem)
	}
}

// callMessageHandler gives a message, whose data it copies, to the message handler. It reports false when there is none.
func (c *Client) callMessageHandler(msg Message) bool {
	if c.m.config.handleMessage == nil {
		c.m.counters.ignored.Add(1)
		return false
	}
	c.sync()
	data := make([]byte, len(msg.Data)) // bytes.Clone takes longer
	copy(data, msg.Data)
	msg.Data = data
	_ = c.guard("message handler panicked", "", func() error {
		c.m.config.handleMessage(c, msg)
		return nil
	})
	return true
}

// ignore drops a message of a plain socket without a handler. Where clients may publish, the message was probably meant as a
// publication or a subscription, so the answer tells the client what is wrong with it.
func (c *Client) ignore(msg Message, problem wire.Problem) {
	if c.m.config.authorizePublish == nil {
		return
	}
	why := wire.ExplainBinary
	if !msg.Binary {
		why = problem.Explain(msg.Data)
	}
	c.refuse(wire.Refusal{Code: wire.RefusedMessage, Message: why})
}

// authorize asks an authorizer about a topic. The client is told that it may not, but not why. Any goroutine may call it.
func (c *Client) authorize(topic, refusal string, allow func() error) error {
	err := c.guard("authorizer panicked", topic, allow)
	if err != nil && !isPanic(err) {
		c.report(CodeForbidden, refusal, topic, forbidden(err))
		err = fmt.Errorf("%w: %s", ErrForbidden, refusal)
	}
	return err
}

// guard runs a callback. When it panics, its client is closed, and nothing else happens.
func (c *Client) guard(message, topic string, callback func() error) error {
	err := actor.Try(callback)
	if isPanic(err) {
		c.report(CodeInternal, message, topic, err)
		c.session.Client.Close(wire.InternalError)
	}
	return err
}

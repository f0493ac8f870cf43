package tank

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// What a client sends. All functions in this file run in the reader's goroutine, which may wait, but answer and refusal, which
// any edge may call.

// owner is a Client as package client sees it: the same value with other methods, which are for that package only.
type owner Client

var _ client.Owner = (*owner)(nil)

// Received understands one message. The client's requests take effect in order: those that the hub has not handled yet are waited
// for before anything else is looked at.
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
		c.sync()
		c.handlePublish(cmd.Topic, cmd.Data)
	default:
		c.handleMessage(data, binary, cmd.Problem)
	}
}

func (c *Client) handleSubscribe(topic string) {
	err := checkTopic(topic)
	value := c.session.Value.Load()
	if err == nil && c.m.config.authorizeSubscribe != nil {
		c.sync()
		err = c.authorize(topic, "subscription refused", func() error { return c.m.config.authorizeSubscribe(c, topic) })
	}
	if err != nil {
		c.answer(topic, err)
		return
	}
	c.noteSpaces(topic)
	c.awaitPending()
	c.m.hub.PostSubscribe(&c.session, topic)
	if c.m.config.authorizeSubscribe != nil && c.session.Value.Load() != value { // a Renew meanwhile may have missed this subscription
		c.reauthorize(topic)
	}
}

func (c *Client) handleUnsubscribe(topic string) {
	err := checkTopic(topic)
	if err == nil {
		c.noteSpaces(topic)
		c.awaitPending()
		c.m.hub.PostUnsubscribe(&c.session, topic)
	}
	c.answer(topic, err)
}

// noteSpaces has it logged, once for each connection, that a topic's name begins or ends with white space: that is legal, and
// probably a mistake.
func (c *Client) noteSpaces(topic string) {
	if c.m.feed.journal != nil && !c.noted && strings.TrimSpace(topic) != topic {
		c.noted = true
		c.m.hub.Report(spacesEntry{client: c, topic: topic, at: time.Now()})
	}
}

// maxPending is how many requests of one client may be with the hub: enough to keep both busy, and not enough for a client to
// delay other clients.
const maxPending = 8

// awaitPending is called before each request that nobody waits for. It waits when too many are pending.
func (c *Client) awaitPending() {
	if c.pending == maxPending {
		c.sync()
	}
	c.pending++
}

// sync waits until the hub has handled all requests of the client.
func (c *Client) sync() {
	if c.pending > 0 {
		c.pending = 0
		c.m.hub.Sync()
	}
}

func (c *Client) handlePublish(topic, data string) {
	p := Publication{Topic: topic, Data: data}
	if c.Authenticated() {
		p.From = c.UserID()
	}
	err := checkTopic(topic)
	if err == nil {
		err = c.authorizePublication(&p)
	}
	if err == nil {
		err = c.m.publishWithin((*wire.Publication)(&p))
	}
	c.answer(topic, err)
}

// authorizePublication asks the publish authorizer, which may change what is published and whom it comes from.
func (c *Client) authorizePublication(p *Publication) error {
	changed := *p
	err := c.authorize(p.Topic, "publication refused", func() error { return c.m.config.authorizePublish(c, &changed) })
	if err != nil {
		return err
	}
	p.Data, p.JSON, p.From = changed.Data, changed.JSON, changed.From
	return c.checkChanged(p)
}

// checkChanged refuses what an authorizer has made of a publication, and reports it, when that cannot be published.
func (c *Client) checkChanged(p *Publication) (err error) {
	switch {
	case p.JSON && !json.Valid([]byte(p.Data)):
		err = fmt.Errorf("%w: the publish authorizer has returned malformed JSON", ErrInvalidData)
	case !utf8.ValidString(p.Data):
		err = fmt.Errorf("%w: the publish authorizer has returned it", ErrInvalidData)
	case p.From != "":
		if invalid := wire.CheckUserID(p.From); invalid != nil {
			err = fmt.Errorf("%w: the publish authorizer has returned From: %w", ErrInvalidUserID, invalid)
		}
	}
	if err != nil {
		c.report(CodeSerialization, "publication cannot be encoded", p.Topic, err)
		return fmt.Errorf("%w: publication refused", ErrForbidden)
	}
	return nil
}

// answer sends a refusal frame, if there is something to refuse.
func (c *Client) answer(topic string, err error) {
	if err != nil && !isPanic(err) {
		c.session.Client.Send(refusal(topic, err))
	}
}

// refusal makes the frame that refuses a request.
func refusal(topic string, err error) *wire.Batch {
	var code string
	switch {
	case errors.Is(err, ErrInvalidTopic):
		code = wire.RefusedTopic
	case errors.Is(err, ErrForbidden):
		code = wire.RefusedForbidden
	case errors.Is(err, ErrBusy):
		code = wire.RefusedBusy
	case errors.Is(err, ErrLimit):
		code = wire.RefusedLimit
	default:
		code = wire.RefusedClosing
	}
	return wire.NewRefusal(code, err.Error(), topic)
}

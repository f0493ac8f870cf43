package tank

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/hub"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// What a client sends. All functions in this file run in the reader's goroutine, which may wait, but answer and refuse, which any
// edge may call.

// owner is a Client as package client sees it: the same value with other methods, which are for that package only.
type owner Client

var _ client.Owner = (*owner)(nil)

// Received understands one message. The client's requests take effect in order: those that the hub has not handled yet are waited
// for before anything else is looked at.
func (o *owner) Received(data []byte, binary bool) {
	c := (*Client)(o)
	switch {
	case c.Protocol() == V2:
		c.receive2(data, binary)
	case binary:
		c.handleMessage(Message{Data: data, Binary: true}, wire.Problem{})
	default:
		c.receive(data)
	}
}

// Paused gives the hub what was put off.
func (o *owner) Paused() { (*Client)(o).post() }

// receive understands a text message of a plain socket.
func (c *Client) receive(data []byte) {
	switch cmd := wire.Parse(data); {
	case cmd.Kind == wire.Subscribe:
		c.handleSubscribe(cmd.Topic, nil)
	case cmd.Kind == wire.Unsubscribe:
		c.handleUnsubscribe(cmd.Topic, 0)
	case cmd.Kind == wire.Publish && c.m.config.authorizePublish != nil:
		c.sync()
		c.handlePublish(&Publication{Topic: cmd.Topic, Data: cmd.Data}, 0)
	default:
		c.handleMessage(Message{Data: data}, cmd.Problem)
	}
}

// handleSubscribe subscribes the client, unless that is refused. ask is nil unless the client speaks tank.v2.
func (c *Client) handleSubscribe(name string, ask *hub.Ask) (accepted bool) {
	err := checkTopic(name)
	value := c.session.Value.Load()
	if err == nil && c.m.config.authorizeSubscribe != nil {
		c.sync()
		err = c.authorize(name, "subscription refused", func() error { return c.m.config.authorizeSubscribe(c, name) })
	}
	if err != nil {
		var id uint64
		if ask != nil {
			id = ask.ID
		}
		c.answer(id, name, err)
		return false
	}
	if ask != nil && ask.Watch && !c.m.config.topics.of(name).Presence.Enabled {
		c.unsupported(ask.ID, "this topic does not tell who is in it")
		return false
	}
	if c.m.config.topics.of(name).Presence.Info != nil {
		c.post() // it may take its time
	}
	info, ok := c.presenceInfo(name)
	if !ok {
		return false
	}
	c.noteSpaces(name)
	c.change().Subscribe(name, info, ask)
	c.changed()
	if c.m.config.authorizeSubscribe != nil {
		c.post()
		if c.session.Value.Load() != value { // a Renew meanwhile may have missed this subscription
			c.reauthorize(name)
		}
	}
	return true
}

func (c *Client) handleUnsubscribe(topic string, id uint64) {
	err := checkTopic(topic)
	if err == nil {
		c.noteSpaces(topic)
		c.change().Unsubscribe(topic, id)
		c.changed()
	}
	c.answer(id, topic, err)
}

// noteSpaces has it logged, once for each connection, that a topic's name begins or ends with white space: that is legal, and
// probably a mistake.
func (c *Client) noteSpaces(topic string) {
	if c.m.feed.journal != nil && !c.noted && strings.TrimSpace(topic) != topic {
		c.noted = true
		c.post() // what came before is logged before
		c.m.hub.Report(spacesEntry{client: c, topic: topic, at: time.Now()})
	}
}

// maxPending is how many requests of one client may be with the hub: enough to keep both busy, and not enough for a client to
// delay other clients.
const maxPending = 32

// change returns what the next request that nobody waits for is to be added to.
func (c *Client) change() *hub.Changes {
	if c.changes == nil {
		c.changes = hub.NewChanges(&c.session)
	}
	return c.changes
}

// changed is called when a request was added. It waits when too many are pending.
func (c *Client) changed() {
	switch c.pending++; {
	case c.pending == maxPending:
		c.sync()
	case c.changes.IsFull():
		c.post()
	}
}

// post gives the hub what was put off. It does not wait.
func (c *Client) post() {
	if c.changes != nil {
		c.m.hub.Post(c.changes)
		c.changes = nil
	}
}

// sync waits until the hub has handled all requests of the client.
func (c *Client) sync() {
	switch {
	case c.changes != nil:
		c.m.hub.PostAndSync(c.changes)
		c.changes = nil
	case c.pending > 0:
		c.m.hub.Sync()
	}
	c.pending = 0
}

// handlePublish publishes for the client, whose command has an id if it speaks tank.v2, unless that is refused.
func (c *Client) handlePublish(p *Publication, id uint64) {
	if c.Authenticated() {
		p.From = c.UserID()
	}
	err := checkTopic(p.Topic)
	if err == nil {
		err = c.authorizePublication(p)
	}
	if err == nil {
		err = c.m.hub.PublishFrom(c.m.config.limits.PublishTimeout, &c.session, (*wire.Publication)(p), c.keyOwner(), id)
	}
	c.answer(id, p.Topic, err)
}

// keyOwner says whose the keys of the client's publications are: its user's, or those of all clients that nothing tells apart. The
// server's own are those of nobody.
func (c *Client) keyOwner() string {
	if c.Authenticated() {
		return "user " + c.UserID()
	}
	return "anyone"
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

// answer sends an error frame, if there is something to refuse. The id is that of a command of tank.v2, or 0.
func (c *Client) answer(id uint64, topic string, err error) {
	if err == nil || isPanic(err) {
		return
	}
	r := wire.Refusal{ID: id, Code: c.refusalCode(err), Message: err.Error(), Topic: topic}
	if errors.Is(err, ErrBroker) { // which is no word for clients
		r.Message = "the way to the other servers is interrupted: try again"
	}
	c.refuse(r)
}

// refuse sends an error frame.
func (c *Client) refuse(r wire.Refusal) { c.session.Client.Send(r.Batch(c.session.Client.Encoding())) }

// refusalCode is the code of the frame that refuses a request.
func (c *Client) refusalCode(err error) string {
	switch {
	case errors.Is(err, ErrBroker) && c.Protocol() == V2:
		return wire.RefusedUnavailable
	case errors.Is(err, ErrBroker): // for which plain sockets have no code
		return wire.RefusedBusy
	case errors.Is(err, ErrInvalidTopic):
		return wire.RefusedTopic
	case errors.Is(err, ErrForbidden):
		return wire.RefusedForbidden
	case errors.Is(err, ErrBusy):
		return wire.RefusedBusy
	case errors.Is(err, ErrLimit):
		return wire.RefusedLimit
	}
	return wire.RefusedClosing
}

package tank

import (
	"context"

	"github.com/fanqie/tank-websocket-go-server/internal/hub"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// What a client of tank.v2 sends. All functions in this file run in the reader's goroutine, which may wait.

// receive2 understands one message. While the answers to earlier ones are more than the outbox may have, it waits.
func (c *Client) receive2(data []byte, binary bool) {
	c.awaitQueued(c.m.config.limits.OutboxBytes)
	if binary {
		if !c.callMessageHandler(Message{Data: data, Binary: true}) {
			c.unsupported(0, "this server takes no binary messages")
		}
		return
	}
	cmd, refusal := wire.ParseCommand2(data)
	if refusal != nil {
		c.refuse(*refusal)
		return
	}
	switch cmd.Kind {
	case wire.Subscribe:
		c.handleSubscribe2(&cmd)
	case wire.Unsubscribe:
		c.handleUnsubscribe(cmd.Topic, cmd.ID)
	case wire.Publish:
		c.handlePublish2(&cmd)
	case wire.Tell:
		c.handleTell(&cmd)
	default:
		c.handleAuth(&cmd)
	}
}

// handleAuth renews the client with new credentials, unless the application refuses them.
func (c *Client) handleAuth(cmd *wire.Command2) {
	if c.m.config.handleToken == nil {
		c.unsupported(cmd.ID, "this server takes no credentials on an open connection")
		return
	}
	c.sync()
	var who Identity
	err := c.guard("token handler panicked", "", func() (err error) {
		who, err = c.m.config.handleToken(c, cmd.Token)
		return err
	})
	switch {
	case isPanic(err):
		return
	case err != nil:
		c.refuseToken(cmd.ID, wire.RefusedForbidden, err)
		return
	}
	switch err := c.Renew(who); {
	case err == ErrClosed:
		c.answer(cmd.ID, "", err)
	case err != nil && checkExpiry(who.Expires) != nil:
		c.refuseToken(cmd.ID, wire.RefusedExpired, err)
	case err != nil:
		c.refuseToken(cmd.ID, wire.RefusedForbidden, err)
	case cmd.ID != 0:
		c.session.Client.Send(wire.NewAnswers(c.session.Client.Encoding(), wire.AppendOK(nil, cmd.ID), 1))
	}
}

// refuseToken refuses credentials. The client is not told why.
func (c *Client) refuseToken(id uint64, code string, err error) {
	message := "the token is refused"
	if code == wire.RefusedExpired {
		message = "the token has expired"
	}
	c.report(CodeAuth, "token refused", "", forbidden(err))
	c.refuse(wire.Refusal{ID: id, Code: code, Message: message})
}

// handleSubscribe2 subscribes the client. A replay has to fit into half of the outbox, and comes to its end before the next command is
// looked at: several at once would be more than an outbox holds. So may be several times who is in a topic.
func (c *Client) handleSubscribe2(cmd *wire.Command2) {
	ask := &hub.Ask{ID: cmd.ID, Since: cmd.Since, Last: cmd.Last, Watch: cmd.Presence}
	if cmd.Since.IsZero() && cmd.Last == 0 && !cmd.Presence {
		c.handleSubscribe(cmd.Topic, ask)
		return
	}
	topic := cmd.Topic
	ask.Missed = func(why string) { c.reportMissed(topic, why) }
	handed, cancel := context.WithCancel(context.Background())
	ask.Handed = cancel
	ask.Most, ask.Room = c.awaitRoom(), c.takeRoom
	if c.handleSubscribe(cmd.Topic, ask) {
		c.post()
		c.await(handed, cancel)
		c.awaitRoom()
	}
}

// awaitRoom waits until no more than half of the outbox is queued, and returns how many bytes a replay may have. With a policy that
// drops messages, the outbox of a client that is too slow is full for ever: then it does not wait, and a replay may have what is left.
func (c *Client) awaitRoom() (bytes int) {
	if c.m.config.outboxPolicy == OutboxClose {
		half := c.m.config.limits.OutboxBytes / 2
		c.awaitQueued(half)
		return half
	}
	return int(max(0, c.room()))
}

// awaitQueued waits until at most so many bytes are queued.
func (c *Client) awaitQueued(most int) {
	if c.session.Client.Queued() > int64(most) {
		c.post() // the hub need not wait
		c.session.Client.AwaitRoom(most)
	}
}

// room returns how many bytes a replay may have that does not wait; less than 0, when that is too much already.
func (c *Client) room() int64 {
	outbox, queued := int64(c.m.config.limits.OutboxBytes), c.session.Client.Queued()
	if c.m.config.outboxPolicy == OutboxClose {
		return outbox/2 - queued
	}
	return min(outbox/2, outbox-queued)
}

// takeRoom takes room for a replay that nobody has waited for: half of what is left of what replays may have, so that others may begin at
// the same time. release gives it back, when what is replayed is queued. Any goroutine may call it.
func (c *Client) takeRoom() (bytes int, release func()) {
	most := c.room()
	for {
		taken := c.replaying.Load()
		share := max(0, (most-taken)/2)
		if c.replaying.CompareAndSwap(taken, taken+share) {
			return int(share), func() { c.replaying.Add(-share) }
		}
	}
}

// await waits until the context has ended, which CloseBegun ends, too.
func (c *Client) await(ctx context.Context, cancel context.CancelFunc) {
	c.waiting.Store(&cancel)
	if c.session.Client.Closing() { // CloseBegun may have been earlier
		cancel()
	}
	<-ctx.Done()
	c.waiting.Store(nil)
}

func (c *Client) handlePublish2(cmd *wire.Command2) {
	if c.m.config.authorizePublish == nil {
		c.unsupported(cmd.ID, "clients cannot publish")
		return
	}
	c.sync()
	p := &Publication{Topic: cmd.Topic, Data: cmd.Data, JSON: true, Key: cmd.Key}
	if text, isText := wire.TextOf(cmd.Data); isText {
		p.Data, p.JSON = text, false
	}
	c.handlePublish(p, cmd.ID)
}

// unsupported refuses a command with an id, or 0, that this server does not carry out for anyone.
func (c *Client) unsupported(id uint64, why string) {
	c.refuse(wire.Refusal{ID: id, Code: wire.RefusedUnsupported, Message: why})
}

// handleTell gives a message, or a request, of the client's to the application.
func (c *Client) handleTell(cmd *wire.Command2) {
	if cmd.ID != 0 {
		c.handleRequest(cmd.ID, cmd.Data)
		return
	}
	if !c.callMessageHandler(Message{Data: []byte(cmd.Data), JSON: true}) {
		c.unsupported(0, "this server takes no messages")
	}
}

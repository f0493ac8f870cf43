package tank

import (
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/hub"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// What a client of tank.v2 sends. All functions in this file run in the reader's goroutine, which may wait.

// receive2 understands one message. While the answers to earlier ones are more than the outbox may have, it waits.
func (c *Client) receive2(data []byte, binary bool) {
	c.session.Client.AwaitRoom(c.m.config.limits.OutboxBytes)
	if binary {
		if !c.callMessageHandler(Message{Data: data, Binary: true}) {
			c.refuse(wire.Refusal{Code: wire.RefusedUnsupported, Message: "this server takes no binary messages"})
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
		c.refuse(wire.Refusal{ID: cmd.ID, Code: wire.RefusedUnsupported, Message: "this server takes no credentials on an open connection"})
	}
}

// handleSubscribe2 subscribes the client. A replay has to fit into half of the outbox, and comes to its end before the next command is
// looked at: several at once would be more than an outbox holds.
func (c *Client) handleSubscribe2(cmd *wire.Command2) {
	if cmd.Presence {
		c.refuse(wire.Refusal{ID: cmd.ID, Code: wire.RefusedUnsupported, Message: "presence is switched off"})
		return
	}
	ask := &hub.Ask{ID: cmd.ID, Since: cmd.Since, Last: cmd.Last}
	if cmd.Since == (wire.Position{}) && cmd.Last == 0 {
		c.handleSubscribe(cmd.Topic, ask)
		return
	}
	ask.Most = c.m.config.limits.OutboxBytes / 2
	handed := make(chan struct{})
	ask.Handed = func() { close(handed) }
	c.session.Client.AwaitRoom(ask.Most)
	if c.handleSubscribe(cmd.Topic, ask) {
		c.await(handed)
		c.session.Client.AwaitRoom(ask.Most)
	}
}

// closingCheck is how often it is looked whether a connection has ended meanwhile.
const closingCheck = 50 * time.Millisecond

// await waits until done is closed, or the connection is closing.
func (c *Client) await(done <-chan struct{}) {
	ticker := time.NewTicker(closingCheck)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			if c.session.Client.Closing() {
				return
			}
		}
	}
}

func (c *Client) handlePublish2(cmd *wire.Command2) {
	if c.m.config.authorizePublish == nil {
		c.refuse(wire.Refusal{ID: cmd.ID, Code: wire.RefusedUnsupported, Message: "clients cannot publish"})
		return
	}
	c.sync()
	p := &Publication{Topic: cmd.Topic, Data: cmd.Data, JSON: true, Key: cmd.Key}
	if text, isText := wire.TextOf(cmd.Data); isText {
		p.Data, p.JSON = text, false
	}
	c.handlePublish(p, cmd.ID)
}

// handleTell gives what is the application's own to it.
func (c *Client) handleTell(cmd *wire.Command2) {
	if cmd.ID != 0 {
		c.handleRequest(cmd.ID, cmd.Data)
		return
	}
	if !c.callMessageHandler(Message{Data: []byte(cmd.Data), JSON: true}) {
		c.refuse(wire.Refusal{Code: wire.RefusedUnsupported, Message: "this server takes no messages"})
	}
}

package hub

import (
	"context"
	"sync"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

// maxChanges is how many requests are posted at once at most.
const maxChanges = 16

// Changes are subscriptions that a client begins and ends, in order. They are posted at once, which costs little more than one of them. An
// edge fills them, and must not touch them any more once they are posted.
type Changes struct {
	actor.Request[struct{}]
	session *Session
	list    []change
	next    int // the one to be handled next
}

// change is one of Changes: a subscription that begins, or else one that ends.
type change struct {
	begins bool
	topic  string
	info   string // see subscribe
	ask    *Ask   // see subscribe
	id     uint64 // see unsubscribe
}

var spareChanges = sync.Pool{New: func() any { return &Changes{list: make([]change, 0, maxChanges)} }}

// NewChanges returns room for what a session's client asks for. It has to be posted.
func NewChanges(s *Session) *Changes {
	c := spareChanges.Get().(*Changes)
	c.session = s
	return c
}

// Subscribe is Hub.Subscribe for a request of the client's own; ask is nil unless it speaks tank.v2. A client that is rejected gets an
// error frame.
func (c *Changes) Subscribe(topic, info string, ask *Ask) {
	c.list = append(c.list, change{begins: true, topic: topic, info: info, ask: ask})
}

// Unsubscribe is Hub.Unsubscribe for a request of the client's own, which has an id if it speaks tank.v2.
func (c *Changes) Unsubscribe(topic string, id uint64) {
	c.list = append(c.list, change{topic: topic, id: id})
}

// IsFull reports whether no more can be added.
func (c *Changes) IsFull() bool { return len(c.list) == maxChanges }

// Post has changes made. It does not wait.
func (h *Hub) Post(c *Changes) {
	if !h.supervisor.Post(c) {
		c.refuse()
	}
}

// PostAndSync is Post, and then Sync.
func (h *Hub) PostAndSync(c *Changes) {
	_, err := actor.Call(context.Background(), h.supervisor, func(r actor.Request[struct{}]) message {
		c.Request = r
		return c
	})
	if err != nil {
		c.refuse()
	}
}

// refuse is all that is left to do when the supervisor has ended.
func (c *Changes) refuse() {
	for _, m := range c.list[c.next:] {
		m.ask.Done()
	}
}

// handle makes the changes. A panic, which is a bug in the supervisor itself, loses one of them, and nothing else.
func (c *Changes) handle(s *supervisor) {
	for c.next < len(c.list) {
		if err := actor.Recovered(func() { c.make(s) }); err != nil {
			s.panicked(err)
		}
	}
	answer := c.Request
	clear(c.list)
	*c = Changes{list: c.list[:0]}
	spareChanges.Put(c)
	answer.Reply(struct{}{})
}

func (c *Changes) make(s *supervisor) {
	for c.next < len(c.list) {
		m := &c.list[c.next]
		c.next++
		if m.begins {
			subscribe{session: c.session, topic: m.topic, info: m.info, ask: m.ask}.handle(s)
		} else {
			unsubscribe{session: c.session, topic: m.topic, id: m.id}.handle(s)
		}
	}
}

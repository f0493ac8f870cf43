package brokertest

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/broker"
)

// node is the state of a Node. It belongs to the network's actor, the channels aside.
type node struct {
	wake    chan struct{} // has the dispatcher look again, when it waits for what is on its way
	closing chan struct{} // closed by Close

	watcher broker.Watcher // nil before Open
	closed  bool
	up      bool
	cut     bool // by itself

	connection int // how many there have been

	subs  map[broker.Subscription]*subscription
	queue []event   // to be called, oldest first
	due   time.Time // of the last message that was queued

	dispatcher actor.Request[step] // of the dispatcher, when it waits
	running    *subscription       // whose Receiver it is calling
	ending     []ending            // calls of Unsubscribe that wait for that

	subscribing []subscribing // calls of Subscribe that wait until the node is up
	held        []publishing  // calls of Publish that wait, see HoldPublish
	reading     []reading     // calls of After that wait, see HoldAfter

	// Set by the test.
	hold      bool
	slow      time.Duration
	failures  []error
	receipts  []error // instead of those of the next publications
	losses    []loss
	delay     time.Duration
	holdAfter bool
	slowAfter time.Duration
	failAfter []error
}

// event is a call of a Receiver, or of the Watcher, to be made not before it is due, nor before those in front of it.
type event struct {
	to      *subscription // nil: to the Watcher
	message broker.Message
	call    func()  // nil: Deliver the message
	began   *uint64 // offset of the call, if it is one of Began
	due     time.Time
}

// step is what the dispatcher does next.
type step struct {
	call func()
	wait time.Duration
	over bool
}

type ending struct {
	actor.Request[struct{}]
	sub *subscription
}

type subscribing struct {
	actor.Request[struct{}]
	ctx  context.Context
	subs []broker.Subscription
}

type publishing struct {
	actor.Request[broker.Receipt]
	ctx  context.Context
	name string
	p    broker.Publication
}

type loss struct{ told bool }

func (n *node) open() bool { return n.watcher != nil && !n.closed }

// finish answers a Publish.
func (p publishing) finish(s *server, n *node) {
	if err := p.ctx.Err(); err != nil {
		p.Fail(err)
		return
	}
	receipt, err := s.publish(n, p.name, p.p)
	if err == nil && len(n.receipts) > 0 {
		err, n.receipts = n.receipts[0], n.receipts[1:]
	}
	if err != nil {
		p.Fail(err)
		return
	}
	p.Reply(receipt)
}

func (n *node) failHeld(err error) {
	for _, p := range n.held {
		p.Fail(err)
	}
	n.held = nil
}

func (n *node) queueMessage(sub *subscription, m broker.Message) {
	if m.Offset > 0 {
		m.Prev, sub.last = sub.last, m.Offset
	}
	if due := time.Now().Add(n.delay); due.After(n.due) {
		n.due = due
	}
	n.queue = append(n.queue, event{to: sub, message: m, due: n.due})
}

func (n *node) queueBegan(sub *subscription, epoch string, offset uint64) {
	n.queue = append(n.queue, event{to: sub, call: func() { sub.To.Began(epoch, offset) }, began: &offset})
}

func (n *node) queueCall(sub *subscription, call func()) {
	n.queue = append(n.queue, event{to: sub, call: call})
}

// dropUndue drops what has not arrived at a node by the time it is cut. Subscriptions stand where they did before it.
func (n *node) dropUndue() {
	now := time.Now()
	stand := make(map[*subscription]uint64) // those that something was dropped of
	n.queue = slices.DeleteFunc(n.queue, func(e event) bool {
		undue := e.call == nil && e.due.After(now)
		switch _, dropped := stand[e.to]; {
		case undue && !dropped:
			stand[e.to] = e.message.Prev
		case dropped && e.began != nil:
			stand[e.to] = *e.began
		}
		return undue
	})
	n.due = time.Time{}
	for sub, offset := range stand {
		sub.last = offset
	}
}

// loses returns whether the next publication is lost on its way to a node, and how.
func (n *node) loses() *loss {
	if len(n.losses) == 0 {
		return nil
	}
	next := n.losses[0]
	n.losses = n.losses[1:]
	return &next
}

// next is for the dispatcher: it has done what it had to do, and asks for more.
func (n *node) next(q actor.Request[step]) {
	n.running = nil
	for _, e := range n.ending {
		e.Reply(struct{}{})
	}
	n.ending = nil
	n.dispatcher = q
	n.proceed()
}

// proceed gives the dispatcher something to do, if it waits and there is.
func (n *node) proceed() {
	if !n.dispatcher.Awaited() {
		select {
		case n.wake <- struct{}{}:
		default:
		}
		return
	}
	var next step
	switch {
	case n.closed:
		next.over = true
	case len(n.queue) == 0:
		return
	case time.Until(n.queue[0].due) > 0:
		next.wait = time.Until(n.queue[0].due)
	default:
		next.call = n.take()
	}
	n.dispatcher.Reply(next)
	n.dispatcher = actor.Request[step]{}
}

// take takes the first event off the queue, and all messages directly behind it that are for the same Receiver and due, too.
func (n *node) take() func() {
	first := n.queue[0]
	n.running = first.to
	if first.call != nil {
		n.queue = n.queue[1:]
		return first.call
	}
	var messages []broker.Message
	now := time.Now()
	for _, e := range n.queue {
		if e.to != first.to || e.call != nil || e.due.After(now) {
			break
		}
		messages = append(messages, e.message)
	}
	n.queue = n.queue[len(messages):]
	return func() { first.to.To.Deliver(messages) }
}

// waitFor answers an Unsubscribe, once none of its Receivers is running.
func (n *node) waitFor(subs []broker.Subscription, q actor.Request[struct{}]) {
	if n.running != nil && slices.Contains(subs, n.running.Subscription) {
		n.ending = append(n.ending, ending{q, n.running})
		return
	}
	q.Reply(struct{}{})
}

// close ends a node: what waits for it as well.
func (s *server) close(n *node) {
	if !n.open() {
		return
	}
	n.closed = true
	close(n.closing)
	s.unsubscribe(n, slices.Collect(maps.Keys(n.subs)))
	s.nodes = slices.DeleteFunc(s.nodes, func(other *node) bool { return other == n })
	n.queue = nil
	for _, w := range n.subscribing {
		w.Fail(broker.ErrClosed)
	}
	n.subscribing = nil
	n.failHeld(broker.ErrClosed)
	n.failReading(broker.ErrClosed)
	n.proceed()
}

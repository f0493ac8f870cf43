package brokertest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/broker"
)

// stride is how much the offsets of a network that keeps messages grow by: users of a broker must not count on one.
const stride = 7

// Network is a broker's server in memory, and the way to it. Its methods return when what they do is in effect, and may be called at any
// time. It needs no end: it has goroutines only for nodes that are open.
type Network struct {
	server *actor.Ref[order]
}

// NewNetwork makes a network that keeps nothing: offsets are 0.
func NewNetwork() *Network { return newNetwork(false) }

// NewKeepingNetwork makes a network that numbers publications and knows their keys: offsets grow, each name has an epoch, and a
// publication with a key that its name has had is a duplicate.
func NewKeepingNetwork() *Network { return newNetwork(true) }

func newNetwork(keeps bool) *Network {
	s := &server{keeps: keeps, epoch: 1, topics: make(map[string]*topic)}
	crash := func(p *actor.PanicError) { panic(fmt.Sprintf("brokertest: %v\n%s", p, p.Stack)) }
	return &Network{actor.Spawn(actor.Options{OnPanic: crash}, func(mail iter.Seq[order]) {
		for do := range mail {
			do(s)
		}
	})}
}

// Node makes the broker of one more node, to be opened by whoever uses it.
func (w *Network) Node() *Node {
	return &Node{network: w, ended: make(chan struct{}), state: &node{
		wake:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		subs:    make(map[broker.Subscription]*subscription),
	}}
}

// Cut takes all nodes down, those to come as well. It does nothing when they are.
func (w *Network) Cut() { w.do(func(s *server) { s.down = true; s.reconnectAll() }) }

// Heal ends Cut. Nodes that have been taken down by themselves stay so.
func (w *Network) Heal() { w.do(func(s *server) { s.down = false; s.reconnectAll() }) }

// Restart takes the nodes down and up. The server forgets what it has kept: there is a new epoch, and offsets begin anew.
func (w *Network) Restart() {
	w.do(func(s *server) {
		down := s.down
		s.down = true
		s.reconnectAll()
		s.epoch++
		s.offset = 0
		for _, t := range s.topics {
			t.last, t.keys = 0, nil
		}
		s.down = down
		s.reconnectAll()
	})
}

// Limit makes publications too big whose data, key and sender have more bytes than that. 0, as at first: none is.
func (w *Network) Limit(bytes int) { w.do(func(s *server) { s.limit = bytes }) }

// order is what the server's actor does for somebody else, in its goroutine.
type order func(*server)

// do has the actor do something, and waits for it.
func (w *Network) do(f order) {
	_, _ = ask(context.Background(), w, func(s *server, q actor.Request[struct{}]) {
		f(s)
		q.Reply(struct{}{})
	})
}

// ask waits for an answer of the actor's.
func ask[R any](ctx context.Context, w *Network, f func(*server, actor.Request[R])) (R, error) {
	return actor.Call(ctx, w.server, func(q actor.Request[R]) order {
		return func(s *server) { f(s, q) }
	})
}

// server is the state of a network. All of it, and of its nodes, belongs to the actor.
type server struct {
	keeps  bool
	down   bool
	limit  int
	epoch  int
	offset uint64 // of the last publication
	nodes  []*node
	topics map[string]*topic
	count  uint64 // of subscriptions, ever
}

// topic is what the server has for a name.
type topic struct {
	last uint64            // offset of the last publication
	keys map[string]uint64 // and the offsets of those with keys
	subs []*subscription
}

// subscription is in force while its node is connected.
type subscription struct {
	broker.Subscription
	node   *node
	number uint64
	epoch  int // that it has been told
}

func (s *server) topic(name string) *topic {
	if s.topics[name] == nil {
		s.topics[name] = &topic{}
	}
	return s.topics[name]
}

// publish takes a publication of a node's.
func (s *server) publish(n *node, name string, p broker.Publication) (broker.Receipt, error) {
	switch {
	case !n.open():
		return broker.Receipt{}, broker.ErrClosed
	case !n.up:
		return broker.Receipt{}, broker.ErrDown
	case s.limit > 0 && len(p.Data)+len(p.Key)+len(p.From) > s.limit:
		return broker.Receipt{}, broker.ErrTooBig
	}
	m := broker.Message{Publication: p}
	t := s.topic(name)
	if s.keeps {
		if offset, known := t.keys[p.Key]; known {
			return broker.Receipt{Offset: offset, Duplicate: true}, nil
		}
		s.offset += stride
		m.Offset, m.Prev, t.last = s.offset, t.last, s.offset
		if p.Key != "" {
			if t.keys == nil {
				t.keys = make(map[string]uint64)
			}
			t.keys[p.Key] = m.Offset
		}
	}
	s.send(t, m)
	return broker.Receipt{Offset: m.Offset}, nil
}

// send puts a message on its way to the subscriptions of a name.
func (s *server) send(t *topic, m broker.Message) {
	for _, n := range s.nodes {
		of := func(sub *subscription) bool { return sub.node == n }
		if !n.up || !slices.ContainsFunc(t.subs, of) {
			continue
		}
		lost := n.loses()
		for _, sub := range t.subs {
			switch {
			case !of(sub):
			case lost == nil:
				n.queueMessage(sub, m)
			case lost.told:
				n.queueCall(sub, func() { sub.To.Lost(errLost) })
			}
		}
		n.proceed()
	}
}

// subscribe makes subscriptions that are not there yet.
func (s *server) subscribe(n *node, subs []broker.Subscription) {
	for _, wanted := range subs {
		if n.subs[wanted] != nil {
			continue
		}
		s.count++
		sub := &subscription{Subscription: wanted, node: n, number: s.count}
		n.subs[wanted] = sub
		t := s.topic(wanted.Name)
		t.subs = append(t.subs, sub)
		s.begin(sub)
	}
	n.proceed()
}

// begin tells a subscription where it stands, unless it knows.
func (s *server) begin(sub *subscription) {
	if !s.keeps || sub.epoch == s.epoch {
		return
	}
	sub.epoch = s.epoch
	epoch, offset := fmt.Sprintf("epoch-%d", s.epoch), s.topic(sub.Name).last
	sub.node.queueCall(sub, func() { sub.To.Began(epoch, offset) })
}

// unsubscribe ends subscriptions, and what waits for their Receivers.
func (s *server) unsubscribe(n *node, subs []broker.Subscription) {
	gone := make(map[*subscription]bool)
	for _, sub := range subs {
		if is := n.subs[sub]; is != nil {
			gone[is] = true
			delete(n.subs, sub)
			t := s.topics[sub.Name]
			t.subs = slices.DeleteFunc(t.subs, func(other *subscription) bool { return other == is })
		}
	}
	n.queue = slices.DeleteFunc(n.queue, func(e event) bool { return gone[e.to] })
}

func (s *server) reconnectAll() {
	for _, n := range s.nodes {
		s.reconnect(n, errCut, 0)
	}
}

// reconnect takes a node up or down, if it has to be.
func (s *server) reconnect(n *node, cause error, inDoubt int) {
	switch up := !s.down && !n.cut; {
	case up == n.up:
		return
	case up:
		n.up = true
		s.renew(n)
	default:
		n.up = false
		n.dropUndue()
		n.queueCall(nil, func() { n.watcher.Down(cause, inDoubt) })
		n.failHeld(broker.ErrDown)
	}
	n.proceed()
}

// renew tells a node that is up again what that means, and does what had to wait for it.
func (s *server) renew(n *node) {
	byAge := func(a, b *subscription) int { return cmp.Compare(a.number, b.number) }
	for _, sub := range slices.SortedFunc(maps.Values(n.subs), byAge) {
		n.queueCall(sub, func() { sub.To.Lost(errCut) })
		s.begin(sub)
	}
	for _, waiting := range n.subscribing {
		s.finish(n, waiting)
	}
	n.subscribing = nil
	n.queueCall(nil, n.watcher.Up)
}

// finish answers a Subscribe, now that the node is up. One whose context has ended has to have no effect any more: its subscriptions may
// have been ended since.
func (s *server) finish(n *node, w subscribing) {
	if err := w.ctx.Err(); err != nil {
		w.Fail(err)
		return
	}
	s.subscribe(n, w.subs)
	w.Reply(struct{}{})
}

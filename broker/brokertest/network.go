package brokertest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

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

// NewKeepingNetwork makes a network whose nodes are Historians. It keeps publications with Keep in memory: until Restart, and without bound,
// but for [Network.Keep]. A publication with a key that its name has had is a duplicate, however long ago that was. Publications without
// Keep are those of [NewNetwork]: subscriptions with Keep do not get them.
func NewKeepingNetwork() *Network { return newNetwork(true) }

func newNetwork(keeps bool) *Network {
	s := &server{keeps: keeps, epoch: 1, topics: make(map[address]*topic)}
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

// Restart takes the nodes down and up. The server loses what it has kept: there is a new epoch, and offsets begin anew.
func (w *Network) Restart() {
	w.do(func(s *server) {
		down := s.down
		s.down = true
		s.reconnectAll()
		s.epoch++
		s.offset = 0
		for _, t := range s.topics {
			t.forget()
		}
		s.down = down
		s.reconnectAll()
	})
}

// Limit makes publications too big whose data, key and sender have more bytes than that. 0, as at first: none is.
func (w *Network) Limit(bytes int) { w.do(func(s *server) { s.limit = bytes }) }

// Keep has the network keep so many messages of a name, the latest. 0, as at first: all.
func (w *Network) Keep(messages int) {
	w.do(func(s *server) {
		s.keep = messages
		for _, t := range s.topics {
			if messages > 0 {
				t.drop(messages)
			}
		}
	})
}

// Forget drops what is kept of a name, the last so many messages aside.
func (w *Network) Forget(name string, left int) {
	w.do(func(s *server) { s.topic(address{name, true}).drop(left) })
}

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
	keep   int // so many messages of a name; 0: all
	down   bool
	limit  int
	epoch  int
	offset uint64 // of the last publication that is kept
	nodes  []*node
	topics map[address]*topic
	count  uint64 // of subscriptions, ever
}

// subscription is in force while its node is connected.
type subscription struct {
	broker.Subscription
	node   *node
	number uint64

	// Of names that are kept.
	epoch int    // that it has been told
	last  uint64 // offset of the last message that was sent to it, or of Began
}

// address returns where publications to a name go.
func (s *server) address(name string, keep bool) address { return address{name, keep && s.keeps} }

func (s *server) topic(a address) *topic {
	if s.topics[a] == nil {
		s.topics[a] = &topic{}
	}
	return s.topics[a]
}

func (s *server) epochName() string { return fmt.Sprintf("epoch-%d", s.epoch) }

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
	to := s.address(name, p.Keep)
	t := s.topic(to)
	p.Keep = false
	if !to.keep {
		s.send(t, broker.Message{Publication: p})
		return broker.Receipt{}, nil
	}
	r := broker.Receipt{Epoch: s.epochName()}
	if r.Offset, r.Duplicate = t.keys[p.Key]; r.Duplicate {
		return r, nil
	}
	s.offset += stride
	r.Offset = s.offset
	m := broker.Message{Publication: p, Offset: s.offset, At: time.Now()}
	t.keep(m, s.keep)
	s.send(t, m)
	return r, nil
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
				s.lose(sub, errLost, m.Offset)
			default:
				sub.last = m.Offset // Prev of the next one shows it
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
		t := s.topic(s.address(wanted.Name, wanted.Keep))
		t.subs = append(t.subs, sub)
		if s.kept(sub) {
			s.begin(sub, s.offset)
		}
	}
	n.proceed()
}

// unsubscribe ends subscriptions, and what waits for their Receivers.
func (s *server) unsubscribe(n *node, subs []broker.Subscription) {
	gone := make(map[*subscription]bool)
	for _, sub := range subs {
		if is := n.subs[sub]; is != nil {
			gone[is] = true
			delete(n.subs, sub)
			t := s.topic(s.address(sub.Name, sub.Keep))
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
		n.connection++
		s.renew(n)
	default:
		n.up = false
		n.dropUndue()
		n.queueCall(nil, func() { n.watcher.Down(cause, inDoubt) })
		n.failHeld(broker.ErrDown)
		n.failReading(broker.ErrDown)
	}
	n.proceed()
}

// renew tells a node that is up again what that means, and does what had to wait for it.
func (s *server) renew(n *node) {
	byAge := func(a, b *subscription) int { return cmp.Compare(a.number, b.number) }
	for _, sub := range slices.SortedFunc(maps.Values(n.subs), byAge) {
		if s.kept(sub) {
			s.fill(sub)
		} else {
			s.lose(sub, errCut, 0)
		}
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

package brokertest

import "time"

// Cut takes the node down: its Publish and After return ErrDown, its Subscribe waits, and what is on its way to it is lost. It does nothing
// when the node is down by itself.
func (n *Node) Cut() { n.CutInDoubt(0) }

// CutInDoubt is Cut, and tells the Watcher that so many publications may not have arrived.
func (n *Node) CutInDoubt(publications int) {
	n.network.do(func(s *server) {
		n.state.cut = true
		if n.state.open() {
			s.reconnect(n.state, errCut, publications)
		}
	})
}

// Heal ends Cut. While the whole network is down, the node stays so. Subscriptions to names that are kept get what they have missed; Lost
// is called only if that is not kept any more, or the network was restarted.
func (n *Node) Heal() {
	n.network.do(func(s *server) {
		n.state.cut = false
		if n.state.open() {
			s.reconnect(n.state, errCut, 0)
		}
	})
}

// Lose loses the next publications on their way to this node, those aside that it has no subscription for. Lost is called in their place,
// and for a name that is kept, Began with their offset.
func (n *Node) Lose(publications int) { n.lose(publications, true) }

// LoseSilently is Lose without a word. No broker may do so; a route between two servers of one might. Of a name that is kept, Prev of the
// next message shows it.
func (n *Node) LoseSilently(publications int) { n.lose(publications, false) }

func (n *Node) lose(publications int, told bool) {
	n.network.do(func(*server) {
		for range publications {
			n.state.losses = append(n.state.losses, loss{told})
		}
	})
}

// Delay makes each publication from now on arrive at the node that much later. Nothing overtakes it, calls of Lost and of the Watcher
// included; but Cut loses what has not arrived: it comes after Heal, if it is kept.
func (n *Node) Delay(d time.Duration) { n.network.do(func(*server) { n.state.delay = d }) }

// SlowSubscribe makes the next Subscribe take that long.
func (n *Node) SlowSubscribe(d time.Duration) { n.network.do(func(*server) { n.state.slow = d }) }

// FailSubscribe makes the next Subscribe while the node is up return err. The first half of its subscriptions is in force nevertheless.
// Several calls are for as many calls of Subscribe.
func (n *Node) FailSubscribe(err error) {
	n.network.do(func(*server) { n.state.failures = append(n.state.failures, err) })
}

// HoldPublish makes Publish wait while the node is up: until ReleasePublish, or for ever.
func (n *Node) HoldPublish() { n.network.do(func(*server) { n.state.hold = true }) }

// ReleasePublish ends HoldPublish. What waits is published, in the order of the calls, unless its context has ended.
func (n *Node) ReleasePublish() {
	n.network.do(func(s *server) {
		n.state.hold = false
		held := n.state.held
		n.state.held = nil
		for _, p := range held {
			p.finish(s, n.state)
		}
	})
}

// LoseReceipt makes the next Publish that succeeds return err nevertheless, as if the connection had broken before the answer came.
// Several calls are for as many calls of Publish.
func (n *Node) LoseReceipt(err error) {
	n.network.do(func(*server) { n.state.receipts = append(n.state.receipts, err) })
}

// HoldAfter makes After wait while the node is up: until ReleaseAfter, or for ever.
func (n *Node) HoldAfter() { n.network.do(func(*server) { n.state.holdAfter = true }) }

// ReleaseAfter ends HoldAfter. What waits reads now what is kept.
func (n *Node) ReleaseAfter() {
	n.network.do(func(s *server) {
		n.state.holdAfter = false
		held := n.state.reading
		n.state.reading = nil
		for _, r := range held {
			r.finish(s, n.state)
		}
	})
}

// SlowAfter makes the next After that succeeds return that much later what it has read at once. It returns ErrDown if the node is cut
// meanwhile.
func (n *Node) SlowAfter(d time.Duration) { n.network.do(func(*server) { n.state.slowAfter = d }) }

// FailAfter makes the next After while the node is up return err. Several calls are for as many calls of After.
func (n *Node) FailAfter(err error) {
	n.network.do(func(*server) { n.state.failAfter = append(n.state.failAfter, err) })
}

package brokertest

import "time"

// Cut takes the node down: its Publish returns ErrDown, its Subscribe waits, and what is on its way to it is lost. It does nothing when
// the node is down by itself.
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

// Heal ends Cut. While the whole network is down, the node stays so.
func (n *Node) Heal() {
	n.network.do(func(s *server) {
		n.state.cut = false
		if n.state.open() {
			s.reconnect(n.state, errCut, 0)
		}
	})
}

// Lose loses the next publications on their way to this node, those aside that it has no subscription for. Lost is called in their place.
func (n *Node) Lose(publications int) { n.lose(publications, true) }

// LoseSilently is Lose without a word. No broker may do so; a route between two servers of one might.
func (n *Node) LoseSilently(publications int) { n.lose(publications, false) }

func (n *Node) lose(publications int, told bool) {
	n.network.do(func(*server) {
		for range publications {
			n.state.losses = append(n.state.losses, loss{told})
		}
	})
}

// Delay makes each publication from now on arrive at the node that much later. Nothing overtakes it, calls of Lost and of the Watcher
// included; but Cut loses what has not arrived.
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

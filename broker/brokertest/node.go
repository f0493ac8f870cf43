package brokertest

import (
	"context"
	"errors"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/broker"
)

// Causes that a Network gives to Down and Lost.
var (
	errCut  = errors.New("brokertest: the network was cut")
	errLost = errors.New("brokertest: a publication was lost on its way")
)

// Node is the [broker.Historian] of one node of a [Network], which can be told to fail. Nil of its Publish means that the network has the
// publication. All nodes of a network see one order.
type Node struct {
	network *Network
	ended   chan struct{} // closed when the goroutine has ended that calls Receivers and the Watcher
	state   *node
}

var _ broker.Historian = (*Node)(nil)

// Open implements broker.Broker.
func (n *Node) Open(w broker.Watcher) error {
	err := errors.New("brokertest: Open was called twice")
	n.network.do(func(s *server) {
		if n.state.watcher != nil {
			return
		}
		err = nil
		n.state.watcher = w
		s.nodes = append(s.nodes, n.state)
		s.reconnect(n.state, errCut, 0)
		if !n.state.up {
			n.state.queueCall(nil, func() { w.Down(errCut, 0) })
		}
	})
	if err == nil {
		go n.dispatch()
	}
	return err
}

// Subscribe implements broker.Broker. While the node is down, it waits.
func (n *Node) Subscribe(ctx context.Context, subs []broker.Subscription) error {
	if err := n.slowly(ctx, subs); err != nil {
		return err
	}
	_, err := ask(ctx, n.network, func(s *server, q actor.Request[struct{}]) {
		switch waiting := (subscribing{q, ctx, subs}); {
		case !n.state.open():
			q.Fail(broker.ErrClosed)
		case n.state.up:
			s.finish(n.state, waiting)
		default:
			n.state.subscribing = append(n.state.subscribing, waiting)
		}
	})
	return err
}

// slowly does what SlowSubscribe and FailSubscribe have asked for.
func (n *Node) slowly(ctx context.Context, subs []broker.Subscription) error {
	var wait time.Duration
	var fail error
	n.network.do(func(s *server) {
		wait, n.state.slow = n.state.slow, 0
		if len(n.state.failures) > 0 && n.state.up {
			fail, n.state.failures = n.state.failures[0], n.state.failures[1:]
			s.subscribe(n.state, subs[:len(subs)/2])
		}
	})
	if wait > 0 {
		if err := n.wait(ctx, wait); err != nil {
			return err
		}
	}
	return fail
}

// wait waits for what is slow.
func (n *Node) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-n.state.closing:
		return broker.ErrClosed
	}
}

// Unsubscribe implements broker.Broker.
func (n *Node) Unsubscribe(subs []broker.Subscription) {
	_, _ = ask(context.Background(), n.network, func(s *server, q actor.Request[struct{}]) {
		s.unsubscribe(n.state, subs)
		n.state.waitFor(subs, q)
	})
}

// Publish implements broker.Broker.
func (n *Node) Publish(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return broker.Receipt{}, err
	}
	return ask(ctx, n.network, func(s *server, q actor.Request[broker.Receipt]) {
		if n.state.hold && n.state.up {
			n.state.held = append(n.state.held, publishing{q, ctx, name, p})
			return
		}
		publishing{q, ctx, name, p}.finish(s, n.state)
	})
}

// Close implements broker.Broker. What was accepted, the network has.
func (n *Node) Close(ctx context.Context) error {
	opened := false
	n.network.do(func(s *server) {
		opened = n.state.watcher != nil
		s.close(n.state)
	})
	if !opened {
		return broker.ErrClosed
	}
	select {
	case <-n.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dispatch calls Receivers and the Watcher, one at a time, until Close. It is the only goroutine of a node.
func (n *Node) dispatch() {
	defer close(n.ended)
	for {
		next, err := ask(context.Background(), n.network, func(_ *server, q actor.Request[step]) { n.state.next(q) })
		switch {
		case err != nil || next.over:
			return
		case next.call != nil:
			next.call()
		default:
			n.pause(next.wait)
		}
	}
}

// pause waits for what is on its way.
func (n *Node) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-n.state.wake:
	}
}

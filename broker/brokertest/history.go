package brokertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/broker"
)

// errKeepsNothing is what a node of a network that keeps nothing says as a Historian.
var errKeepsNothing = fmt.Errorf("brokertest: the network keeps nothing: %w", errors.ErrUnsupported)

// Fits implements broker.Historian. The error of a network that keeps nothing wraps errors.ErrUnsupported.
func (n *Node) Fits(messages int, _ time.Duration) error {
	var err error
	n.network.do(func(s *server) {
		switch {
		case !s.keeps:
			err = errKeepsNothing
		case s.keep > 0 && messages == 0:
			err = fmt.Errorf("brokertest: the network keeps %d messages of a name, not all", s.keep)
		case s.keep > 0 && messages > s.keep:
			err = fmt.Errorf("brokertest: the network keeps %d messages of a name, not %d", s.keep, messages)
		}
	})
	return err
}

// After implements broker.Historian. The error of a network that keeps nothing wraps errors.ErrUnsupported.
func (n *Node) After(ctx context.Context, name, epoch string, offset uint64, most int) (broker.Page, error) {
	if err := ctx.Err(); err != nil {
		return broker.Page{}, err
	}
	a, err := ask(ctx, n.network, func(s *server, q actor.Request[answer]) {
		r := reading{q, ctx, name, epoch, offset, most}
		if n.state.holdAfter && n.state.up {
			n.state.reading = append(n.state.reading, r)
			return
		}
		r.finish(s, n.state)
	})
	if err != nil || a.late == 0 {
		return a.page, err
	}
	return n.arrive(ctx, a)
}

// arrive waits for an answer that is on its way, which the end of the connection loses.
func (n *Node) arrive(ctx context.Context, a answer) (page broker.Page, err error) {
	if err := n.wait(ctx, a.late); err != nil {
		return page, err
	}
	n.network.do(func(*server) {
		switch {
		case !n.state.open():
			err = broker.ErrClosed
		case n.state.connection != a.connection:
			err = broker.ErrDown
		default:
			page = a.page
		}
	})
	return page, err
}

// reading is a call of After.
type reading struct {
	actor.Request[answer]
	ctx    context.Context
	name   string
	epoch  string
	offset uint64
	most   int
}

// answer is a page that is on its way for so long.
type answer struct {
	page       broker.Page
	late       time.Duration
	connection int
}

// finish answers an After.
func (r reading) finish(s *server, n *node) {
	if err := r.ctx.Err(); err != nil {
		r.Fail(err)
		return
	}
	page, err := s.after(n, r)
	if err != nil {
		r.Fail(err)
		return
	}
	r.Reply(answer{page, n.slowAfter, n.connection})
	n.slowAfter = 0
}

// after reads what is kept for a node.
func (s *server) after(n *node, r reading) (broker.Page, error) {
	switch {
	case !s.keeps:
		return broker.Page{}, errKeepsNothing
	case !n.open():
		return broker.Page{}, broker.ErrClosed
	case !n.up:
		return broker.Page{}, broker.ErrDown
	case len(n.failAfter) > 0:
		err := n.failAfter[0]
		n.failAfter = n.failAfter[1:]
		return broker.Page{}, err
	case r.epoch != s.epochName():
		return broker.Page{}, broker.ErrEpoch
	}
	p := s.topic(address{r.name, true}).page(r.offset, r.most)
	p.End = s.offset
	return p, nil
}

func (n *node) failReading(err error) {
	for _, r := range n.reading {
		r.Fail(err)
	}
	n.reading = nil
}

package tank

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// WithDrain makes Shutdown close the clients in batches with 1001, spread evenly over the window, so that they do not all
// reconnect at the same time. New connections are rejected from the start. Clients of later batches are served as before,
// publications included. The context of Shutdown should last for the window and the close timeout: when it ends, the remaining
// clients are disconnected. Default: all clients are closed at once.
func WithDrain(window time.Duration, batch int) Option {
	require(window > 0, "WithDrain", "window %v is not positive", window)
	require(batch > 0, "WithDrain", "batch %d is not a positive number of clients", batch)
	return func(c *config) { c.drainWindow, c.drainBatch = window, batch }
}

// drain closes clients in batches. It blocks until no client is left, the window is over, the context has ended, or another
// Shutdown has cut the connections.
func (m *Manager) drain(ctx context.Context) {
	clients, batch := m.GetClientCount(), m.config.drainBatch
	if clients == 0 {
		return
	}
	batches := (clients-1)/batch + 1
	allGone := make(chan struct{})
	clock := time.NewTicker(max(1, m.config.drainWindow/time.Duration(batches)))
	defer clock.Stop()
	for range batches {
		left, err := actor.Call(ctx, m.supervisor, func(r actor.Request[bool]) message { return drainSome{r, batch, allGone} })
		if err != nil || !left {
			return
		}
		select {
		case <-clock.C:
		case <-allGone: // by themselves, or cut by another Shutdown
			return
		case <-ctx.Done():
			return
		}
	}
}

func (m drainSome) handle(s *supervisor) {
	if s.departures == nil {
		s.departures = newDepartures(s.clients)
	}
	for turn := leaveAtOnce; m.most > 0; m.most-- {
		c := s.departures.next()
		if c == nil {
			break
		}
		if turn <= 0 {
			s.m.supervisor.Post(m) // others want their turn
			return
		}
		turn -= len(c.subscriptions)
		s.departures.pass()
		s.sayGoodbye(c)
	}
	s.allGone = m.gone
	m.Reply(s.departures.next() != nil)
}

// departures are the clients that a drain has still to close, in any order. Each is looked at once. Owned by the supervisor.
type departures struct {
	left   []*Client
	looked int // clients looked at, in all; for tests
}

func newDepartures(clients map[string]*Client) *departures {
	return &departures{left: slices.Collect(maps.Values(clients))}
}

// add takes note of a client that has come late. Without a drain, d is nil.
func (d *departures) add(c *Client) {
	if d != nil {
		d.left = append(d.left, c)
	}
}

// next returns the next client that is not being closed, or nil when none is left. It passes over the others.
func (d *departures) next() *Client {
	for ; len(d.left) > 0; d.pass() {
		d.looked++
		if c := d.left[0]; !c.leaving && !c.conn.Closing() {
			return c
		}
	}
	return nil
}

// pass goes on behind the client that next has returned.
func (d *departures) pass() {
	d.left[0] = nil // it may be gone
	d.left = d.left[1:]
}

// noteGone tells a drain that is going on that no client is left.
func (s *supervisor) noteGone() {
	if len(s.clients) == 0 && s.allGone != nil {
		close(s.allGone)
		s.allGone = nil
	}
}

// sayGoodbye closes a client behind everything that was published until now: the last of its topics to have delivered that
// does it, in its own goroutine. If one is given up meanwhile, the client is closed with the rest, after the draining.
func (s *supervisor) sayGoodbye(c *Client) {
	c.leaving = true
	waiting := new(atomic.Int32)
	waiting.Store(int32(len(c.subscriptions) + 1)) // #nosec G115 -- 2^31 do not fit into memory
	done := func() {
		if waiting.Add(-1) == 0 {
			c.conn.Close(wire.CloseGoingAway, goingAway)
		}
	}
	for t := range c.subscriptions {
		s.leave(c, t, done)
	}
	s.leaveEveryone(c, done)
}

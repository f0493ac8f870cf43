package hub

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

// All functions in this file run in the goroutines of edges: the callers of Start and Shutdown.

const (
	// cutGrace is how long Shutdown waits for connections to end after they have been cut. Cutting does not wait for
	// the network, so this is time for goroutines to be scheduled.
	cutGrace = 250 * time.Millisecond

	// callbackGrace is how long Shutdown waits, after the last connection has ended, for callbacks to return. It is
	// bounded because Shutdown may have been called from one of them.
	callbackGrace = time.Second

	// endGrace is how long Shutdown waits for Steps.AfterEnd.
	endGrace = time.Second
)

// Start starts the instance, unless that, or Shutdown, was called before, and blocks until Shutdown is complete.
func (h *Hub) Start() {
	if h.life.moveTo(running) {
		now := time.Now()
		h.startedAt.Store(&now)
		if h.link != nil {
			go h.link.Open() // which does not wait, if the broker keeps to that
		}
		h.runHeartbeat()
	}
	<-h.life.reached[closed]
}

// Steps are those of a Shutdown that are not the hub's.
type Steps struct {
	BeforeEnd func(context.Context) error // when no session is left; may last as long as the context
	AfterEnd  func(grace time.Duration)   // after the observer was told of the end; may last for that long
}

// Shutdown ends the instance, see Manager.Shutdown of package tank. One of its callers has the last steps done.
func (h *Hub) Shutdown(ctx context.Context, steps Steps) error {
	h.beginShutdown(ctx)
	cut := h.awaitSessions(ctx)
	if !h.finishing.CompareAndSwap(false, true) {
		if err := cmp.Or(cut, h.life.await(ctx, closed)); err != nil {
			return err
		}
		return h.outcome
	}
	h.outcome = cmp.Or(cut, h.awaitCallbacks(ctx), steps.BeforeEnd(ctx)) // all three run, in this order, and the first error counts
	if h.outcome == nil && h.cut.Load() {
		h.outcome = fmt.Errorf("%w: connections were cut by another Shutdown", ErrBusy)
	}
	if h.link != nil {
		h.outcome = cmp.Or(h.outcome, h.link.Close(ctx))
	}
	h.supervisor.Post(finish{})
	<-h.supervisor.Done()
	steps.AfterEnd(grace(ctx, endGrace))
	h.life.moveTo(closed)
	return h.outcome
}

// beginShutdown ends the topics, after the drain if there is to be one. All calls of Shutdown but the first do nothing here.
func (h *Hub) beginShutdown(ctx context.Context) {
	if h.config.DrainBatch > 0 {
		if !h.life.moveTo(draining) {
			return
		}
		h.drain(ctx)
	}
	if h.life.moveTo(drainingTopics) {
		if h.link != nil {
			h.link.Settle(ctx)
		}
		h.supervisor.Post(shutdown{})
	}
}

// drain closes sessions in batches. It blocks until no session is left, the window is over, the context has ended, or another
// Shutdown has cut the connections.
func (h *Hub) drain(ctx context.Context) {
	sessions, batch := h.Sessions(), h.config.DrainBatch
	if sessions == 0 {
		return
	}
	batches := (sessions-1)/batch + 1
	empty := make(chan struct{})
	ticker := time.NewTicker(max(1, h.config.DrainWindow/time.Duration(batches)))
	defer ticker.Stop()
	for range batches {
		left, err := actor.Call(ctx, h.supervisor, func(r actor.Request[bool]) message { return drainSome{r, batch, empty} })
		if err != nil || !left {
			return
		}
		select {
		case <-ticker.C:
		case <-empty: // by themselves, or cut by another Shutdown
			return
		case <-ctx.Done():
			return
		}
	}
}

// awaitSessions waits until every connection has ended, and cuts them when the context ends first.
func (h *Hub) awaitSessions(ctx context.Context) error {
	err := h.life.await(ctx, awaitingCallbacks)
	if err != nil {
		h.cut.Store(true)
		h.life.moveTo(drainingTopics) // also when another call is still draining
		h.supervisor.Post(cutAll{})
		select {
		case <-h.life.reached[awaitingCallbacks]:
		case <-time.After(cutGrace):
		}
	}
	return err
}

// awaitCallbacks waits until no callback runs any more: for hooks as long as the context lasts, for others for callbackGrace.
func (h *Hub) awaitCallbacks(ctx context.Context) error {
	for {
		select {
		case <-h.life.reached[quiescent]:
			return nil
		case <-time.After(grace(ctx, callbackGrace)):
		}
		waited, err := actor.Call(ctx, h.supervisor, func(r actor.Request[bool]) message { return awaitHooks{r} })
		if err != nil {
			return fmt.Errorf("%w: a callback is still running (%w)", ErrBusy, err)
		}
		if !waited {
			return fmt.Errorf("%w: a callback is still running", ErrBusy)
		}
	}
}

// grace is how long to wait for what cannot be stopped: not long when the context has ended.
func grace(ctx context.Context, longest time.Duration) time.Duration {
	if ctx.Err() != nil {
		return cutGrace
	}
	return longest
}

// runHeartbeat posts a tick to the supervisor whenever it is time to look at the next slot, until Shutdown is complete.
func (h *Hub) runHeartbeat() {
	_, every := divide(h.config.HeartbeatInterval, h.config.HeartbeatTimeout)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			// Ticks that pile up behind something that takes its time would be handled at once, and clients reaped
			// who had no time to answer.
			if !h.ticking.Swap(true) {
				h.supervisor.Post(tick{})
			}
		case <-h.life.reached[closed]:
			return
		}
	}
}

package hub

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// state is a step in the life of an instance. The steps come in this order, and some may be left out.
type state int32

const (
	unstarted         state = iota
	running                 // by Start
	draining                // by Shutdown, with WithDrain: clients are closed in batches, and new connections are rejected
	drainingTopics          // by Shutdown: publications are rejected; topics deliver what they have accepted
	closingClients          // by the supervisor, when no topic is left: clients write what is queued, and then close 1001
	awaitingCallbacks       // by the supervisor, when no connection is left; callbacks may still run
	quiescent               // by the supervisor, when no callback is left
	ended                   // by the supervisor, when Shutdown says so: the event channels are closed
	closed                  // by Shutdown: nothing is left
)

// stateNames are what Stats.State says of the states.
var stateNames = [...]string{
	unstarted:         "new",
	running:           "running",
	draining:          "draining",
	drainingTopics:    "closing",
	closingClients:    "closing",
	awaitingCallbacks: "closing",
	quiescent:         "closing",
	ended:             "closing",
	closed:            "closed",
}

// lifecycle is the state of an instance. It only goes forward. Any goroutine may look at it; edges may wait for a state; who
// may move it stands with each state.
type lifecycle struct {
	current atomic.Int32
	reached [closed + 1]chan struct{} // closed when the instance is in this state or a later one
}

func newLifecycle() *lifecycle {
	l := new(lifecycle)
	for s := range l.reached {
		l.reached[s] = make(chan struct{})
	}
	return l
}

// state returns the current state.
func (l *lifecycle) state() state { return state(l.current.Load()) }

// moveTo goes forward to a state. It reports false when that, or a later one, was reached already. It never blocks.
func (l *lifecycle) moveTo(to state) bool {
	for {
		from := l.state()
		if from >= to {
			return false
		}
		if l.current.CompareAndSwap(int32(from), int32(to)) {
			for s := from + 1; s <= to; s++ {
				close(l.reached[s])
			}
			return true
		}
	}
}

// await blocks until a state is reached. When the context ends before that, it returns the context's error.
func (l *lifecycle) await(ctx context.Context, s state) error {
	select {
	case <-l.reached[s]:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-l.reached[s]: // both have come
		return nil
	default:
		return ctx.Err()
	}
}

// The methods of Hub that follow are for any goroutine.

// State returns "new", "running", "draining", "closing" or "closed".
func (h *Hub) State() string { return stateNames[h.life.state()] }

// IsRunning reports whether the instance is between Start and Shutdown.
func (h *Hub) IsRunning() bool { return h.life.state() == running }

// Uptime returns the time since Start; zero before it and once Shutdown was called.
func (h *Hub) Uptime() time.Duration {
	began := h.startedAt.Load()
	if began == nil || !h.IsRunning() {
		return 0
	}
	return time.Since(*began)
}

// Ready returns nil while the instance takes connections, ErrNotStarted before that, and ErrClosed once Shutdown was called.
func (h *Hub) Ready() error {
	switch state := h.life.state(); {
	case state == unstarted:
		return ErrNotStarted
	case state >= draining:
		return ErrClosed
	}
	return nil
}

// ErrNotStarted wraps ErrBusy: Start was not called.
var ErrNotStarted = fmt.Errorf("%w: not started", ErrBusy)

// Admit returns nil when the instance takes connections. Before Start, it waits for that for the given time at most, and then
// returns ErrNotStarted. It returns ErrClosed once Shutdown was called, or the context's error.
func (h *Hub) Admit(ctx context.Context, wait time.Duration) error {
	if h.life.state() == unstarted {
		waiting, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		if h.life.await(waiting, running) != nil {
			return cmp.Or(ctx.Err(), ErrNotStarted)
		}
	}
	return h.Ready()
}

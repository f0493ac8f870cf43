package hub

import (
	"context"
	"fmt"
	"iter"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// Listener is a subscriber inside the process: an actor with a bounded queue, which an edge empties with Next.
type Listener struct {
	// Immutable.
	name   string // of the topic
	bytes  int    // the most that wait
	policy client.Policy
	ref    *actor.Ref[listenerMessage]

	// Owned by the supervisor.
	live   *liveTopic
	member *topic.Member

	// Owned by the listener's actor.
	queue   []wire.Publication
	queued  int   // bytes of the queue
	lost    int   // publications that were dropped, and Next has not told of
	end     error // what Next returns when the queue is empty; nil: it waits
	waiting actor.Request[Heard]
}

// Heard is what a listener has received since the last call of Next.
type Heard struct {
	Publications []wire.Publication
	Lost         int // publications that were dropped before these
}

// listenerMessage is what a listener understands.
type listenerMessage interface{ handle(*Listener) }

type (
	hear   struct{ *wire.Batch }
	next   struct{ actor.Request[Heard] }
	noMore struct{ err error } // nothing more comes
)

// The functions from here on run in the goroutines of edges.

// Listen subscribes to a topic inside the process. The listener's queue is bounded in bytes; the policy says what happens past the
// limit. It returns ErrClosed when the instance is closing or closed, or the context's error. The caller has to call Unlisten in the end.
func (h *Hub) Listen(ctx context.Context, name string, bytes int, policy client.Policy) (*Listener, error) {
	l := &Listener{name: name, bytes: bytes, policy: policy}
	l.ref = actor.Spawn(actor.Options{Restarts: -1}, l.receive)
	_, err := actor.Call(ctx, h.supervisor, func(r actor.Request[struct{}]) message { return listen{r, l} })
	switch {
	case err == nil:
		return l, nil
	case ctx.Err() != nil: // behind a broker, it may take long
		h.Unlisten(l)
		return nil, err
	}
	l.ref.Stop()
	return nil, translate(err)
}

// Unlisten ends the subscription. It does not wait.
func (h *Hub) Unlisten(l *Listener) {
	if !h.supervisor.Post(unlisten{l}) {
		l.ref.Stop()
	}
}

// Next waits for publications, and returns all that wait. When nothing more comes it returns ErrLimit, because the queue was full, or
// ErrClosed. It returns the context's error when that ends first. After an error it must not be called again.
func (l *Listener) Next(ctx context.Context) (Heard, error) {
	heard, err := actor.Call(ctx, l.ref, func(r actor.Request[Heard]) listenerMessage { return next{r} })
	if err == actor.ErrStopped {
		err = ErrClosed
	}
	return heard, err
}

// The functions from here on run in the topic's goroutine.

// Deliver takes a batch.
func (l *Listener) Deliver(b *wire.Batch) (taken, idle bool) {
	if taken = l.ref.Post(hear{b}); !taken {
		b.Lost.Add(uint64(b.Messages)) // #nosec G115 -- a count
	}
	return taken, false
}

// Flush has nothing to do: a listener is never idle.
func (l *Listener) Flush() {}

// Encoding returns that of programs.
func (l *Listener) Encoding() wire.Encoding { return wire.Objects }

// The functions from here on run in the listener's actor.

func (l *Listener) receive(mail iter.Seq[listenerMessage]) {
	for msg := range mail {
		msg.handle(l)
	}
	l.answer()
}

func (m hear) handle(l *Listener) {
	dropped := 0
	for _, p := range m.Objects {
		if l.end != nil {
			dropped++
			continue
		}
		l.queue = append(l.queue, p)
		l.queued += p.Bytes()
		if l.queued > l.bytes && len(l.queue) > 1 {
			dropped += l.shed()
		}
	}
	m.Lost.Add(uint64(dropped)) // #nosec G115 -- a count
}

// shed makes room in a queue that is over its limit, and returns how many publications it drops. The newest one stays, unless nothing
// may be skipped.
func (l *Listener) shed() (dropped int) {
	if l.policy == client.CloseSlow {
		l.end = fmt.Errorf("%w: %d bytes of publications wait", ErrLimit, l.queued)
		newest := len(l.queue) - 1
		l.queued -= l.queue[newest].Bytes()
		l.queue = l.queue[:newest]
		return 1
	}
	for len(l.queue) > 1 && (l.policy == client.KeepLatest || l.queued > l.bytes) {
		l.queued -= l.queue[0].Bytes()
		l.queue[0] = wire.Publication{}
		l.queue = l.queue[1:]
		dropped++
	}
	l.lost += dropped
	return dropped
}

func (m next) handle(l *Listener) { l.waiting = m.Request }

func (m noMore) handle(l *Listener) {
	if l.end == nil {
		l.end = m.err
	}
}

// answer answers the caller of Next, if there is something to say.
func (l *Listener) answer() {
	switch {
	case !l.waiting.Awaited():
		return
	case len(l.queue) > 0:
		l.waiting.Reply(Heard{l.queue, l.lost})
		l.queue, l.queued, l.lost = nil, 0, 0
	case l.end != nil:
		l.waiting.Fail(l.end)
	default:
		return
	}
	l.waiting = actor.Request[Heard]{}
}

// The functions from here on run in the supervisor's goroutine.

func (m listen) handle(s *supervisor) {
	if s.hub.life.state() > draining {
		m.Fail(ErrClosed)
		return
	}
	l := m.listener
	l.live = s.topics[l.name]
	if l.live == nil {
		l.live = s.newTopic(l.name)
	}
	l.member = join(&topic.Member{Subscriber: l}, l.live, m.Request)
	s.listeners[l] = struct{}{}
	s.joined(l.live)
}

func (m unlisten) handle(s *supervisor) {
	l := m.listener
	if _, listening := s.listeners[l]; listening {
		delete(s.listeners, l)
		s.leaveTopic(l.live, l.member, false, l.ref.Stop)
	}
}

// endListeners tells all listeners that nothing more comes.
func (s *supervisor) endListeners() {
	for l := range s.listeners {
		l.ref.Post(noMore{ErrClosed})
	}
}

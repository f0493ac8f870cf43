package hub

import (
	"context"
	"errors"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// All functions in this file run in the goroutines of edges. A publication does not pass through the supervisor.

// Publish gives a publication to its topic. While the topic's queue is full, it waits, as long as the context lasts. It returns nil
// when the topic has accepted it, or nobody subscribes to the topic; ErrBusy together with the context's error; or ErrClosed.
func (h *Hub) Publish(ctx context.Context, p *wire.Publication) error {
	return h.publish(patience{ctx: ctx}, p)
}

// PublishWithin is Publish with a timeout for its context, which is made only when it has to wait.
func (h *Hub) PublishWithin(timeout time.Duration, p *wire.Publication) error {
	return h.publish(patience{timeout: timeout}, p)
}

// patience says how long to wait: as long as the context lasts, or without one for the timeout.
type patience struct {
	ctx     context.Context
	timeout time.Duration
}

func (h *Hub) publish(patience patience, p *wire.Publication) error {
	for t := h.topics.find(p.Topic); t != nil && h.life.state() <= draining; {
		err := patience.put(topic.NewPublish(p), t)
		if !errors.Is(err, actor.ErrStopped) {
			return translate(err)
		}
		if t, err = h.successor(p.Topic); err != nil {
			return translate(err)
		}
	}
	if h.life.state() > draining {
		return ErrClosed
	}
	return nil
}

// put gives a message to a topic actor.
func (p patience) put(m topic.Message, t *topic.Topic) error {
	taken, err := t.TryPut(m)
	if taken || err != nil {
		return err
	}
	ctx := p.ctx
	if ctx == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.Background(), p.timeout)
		defer cancel()
	}
	return t.Put(ctx, m)
}

// membership is a session's part in a topic.
type membership struct {
	topic  *topic.Topic
	member *topic.Member
}

// SendWithin gives a message of a topic to one of its sessions alone, behind the session's subscription and what was published
// before. It waits for that until the timeout. It returns ErrNotFound when the session is not subscribed, ErrBusy, or ErrClosed, also
// when the session did not take it.
func (h *Hub) SendWithin(timeout time.Duration, s *Session, p *wire.Publication) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var last *topic.Member
	for {
		found, err := actor.Call(ctx, h.supervisor, func(r actor.Request[membership]) message { return findMember{r, s, p.Topic} })
		if err != nil {
			return translate(err)
		}
		if found.member == last {
			return ErrClosed
		}
		taken, err := found.topic.Send(ctx, found.member, p)
		switch {
		case taken:
			return nil
		case err == nil: // it has left meanwhile, or did not take it
			last = found.member
		case !errors.Is(err, actor.ErrStopped):
			return translate(err)
		}
	}
}

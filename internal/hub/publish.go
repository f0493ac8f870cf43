package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// All functions in this file run in the goroutines of edges. A publication does not pass through the supervisor.

// Publish gives a publication of the server's to its topic, which begins for it where publications are kept. While the topic's queue
// is full, it waits, as long as the context lasts. It returns nil when the topic has accepted it, or there is none; ErrBusy together
// with the context's error; or ErrClosed.
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
	if h.link != nil {
		_, err := h.publishAcross(patience, p, "", true)
		return err
	}
	_, err := h.put(patience, p.Topic, true, func() topic.Message { return topic.NewPublish(p) })
	return err
}

// PublishFrom is PublishWithin for a publication by a client, with which no topic begins. The owner is whose key it is. If it has an id,
// the client is answered: with the number of the publication, behind that, or without one when there is no topic.
func (h *Hub) PublishFrom(timeout time.Duration, s *Session, p *wire.Publication, owner string, id uint64) error {
	if h.link != nil {
		r, err := h.publishAcross(patience{timeout: timeout}, p, owner, false)
		if err != nil || id == 0 {
			return err
		}
		if t := h.findShared(p.Topic); t != nil {
			t.Acknowledge(wire.Position{Epoch: r.Epoch, Seq: r.Offset}, r.Duplicate, s.Client, id)
		} else {
			s.acknowledge(id, r.Offset, r.Duplicate)
		}
		return nil
	}
	found, err := h.put(patience{timeout: timeout}, p.Topic, false, func() topic.Message {
		if id == 0 && p.Key == "" {
			return topic.NewPublish(p)
		}
		return topic.NewAsked(p, owner, s.Client, id)
	})
	if err == nil && !found && id != 0 {
		s.acknowledge(id, 0, false)
	}
	return err
}

// acknowledge answers a publication of the session's that no topic here delivers. Number 0: it has none.
func (s *Session) acknowledge(id, seq uint64, duplicate bool) {
	e := s.Client.Encoding()
	s.Client.Send(wire.NewAnswers(e, wire.AppendPublished(nil, id, seq, duplicate), 1))
}

// put gives a message to a topic, see withTopic.
func (h *Hub) put(patience patience, name string, create bool, build func() topic.Message) (found bool, err error) {
	return h.withTopic(name, create, func(t *topic.Topic) error {
		if h.life.state() > draining {
			return ErrClosed
		}
		return patience.put(build(), t)
	})
}

// keeps reports whether publications to a topic are kept.
func (h *Hub) keeps(name string) bool { return h.history(name).IsOn() }

// Shares reports whether the broker keeps what is published to a topic.
func (h *Hub) Shares(name string) bool { return h.config.Historian != nil && h.keeps(name) }

// history says what a topic keeps.
func (h *Hub) history(name string) (none topic.History) {
	if name == Broadcast || h.config.History == nil {
		return none
	}
	return h.config.History(name)
}

// presence says whether a topic knows who is in it.
func (h *Hub) presence(name string) (none topic.Presence) {
	if name == Broadcast || h.config.Presence == nil {
		return none
	}
	return h.config.Presence(name)
}

// PublishAsked is Publish of a publication whose position the caller wants to know. Its key is the server's. The position is zero when
// there is no topic.
func (h *Hub) PublishAsked(ctx context.Context, p *wire.Publication) (wire.Position, error) {
	var at wire.Position
	if h.link != nil {
		r, err := h.publishAcross(patience{ctx: ctx}, p, "", true)
		if err != nil || r.Offset == 0 {
			return at, err
		}
		at = wire.Position{Epoch: r.Epoch, Seq: r.Offset}
		if t := h.findShared(p.Topic); t != nil {
			_ = t.AwaitDelivered(ctx, at) // it is published, whatever becomes of the topic here
		}
		return at, nil
	}
	_, err := h.withTopic(p.Topic, true, func(t *topic.Topic) (err error) {
		if h.life.state() > draining {
			return ErrClosed
		}
		at, err = t.Publish(ctx, p, "")
		return err
	})
	return at, err
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
		if err := h.awaitTopic(ctx, found.topic, nil); err != nil {
			return err
		}
		taken, err := found.topic.Send(ctx, found.member, p)
		switch {
		case taken:
			return nil
		case err == nil: // it has left meanwhile, or did not take it
			last = found.member
		case !errors.Is(err, actor.ErrStopped): // also when what comes before it could not be loaded
			return fmt.Errorf("%w: %w", ErrBusy, err)
		}
	}
}

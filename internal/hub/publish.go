package hub

import (
	"context"
	"errors"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// All functions in this file run in the goroutines of edges. A publication does not pass through the supervisor.

// Publish gives a message to a topic. While the topic's queue is full, it waits, as long as the context lasts. It returns nil when
// the topic has accepted the message, or nobody subscribes to it; ErrBusy together with the context's error; or ErrClosed.
func (h *Hub) Publish(ctx context.Context, name, data string) error {
	return h.publish(patience{ctx: ctx}, name, data)
}

// PublishWithin is Publish with a timeout for its context, which is made only when it has to wait.
func (h *Hub) PublishWithin(timeout time.Duration, name, data string) error {
	return h.publish(patience{timeout: timeout}, name, data)
}

// patience says how long to wait: as long as the context lasts, or without one for the timeout.
type patience struct {
	ctx     context.Context
	timeout time.Duration
}

func (h *Hub) publish(p patience, name, data string) error {
	for t := h.topics.find(name); t != nil && h.life.state() <= draining; {
		taken, err := t.TryPublish(data)
		if taken {
			return nil
		}
		if err == nil {
			err = p.put(t, data)
		}
		if !errors.Is(err, actor.ErrStopped) {
			return translate(err)
		}
		if t, err = h.successor(name); err != nil {
			return translate(err)
		}
	}
	if h.life.state() > draining {
		return ErrClosed
	}
	return nil
}

// put gives a message to a topic actor that has no room for it now.
func (p patience) put(t *topic.Topic, data string) error {
	ctx := p.ctx
	if ctx == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.Background(), p.timeout)
		defer cancel()
	}
	return t.Publish(ctx, data)
}

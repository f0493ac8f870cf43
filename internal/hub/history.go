package hub

import (
	"context"
	"errors"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// What edges ask topics about their numbers and what they keep. All functions in this file run in the goroutines of edges.

// Position returns where a topic stands, behind what was published before. The topic begins if there is none, and then lives for a
// while. It returns ErrBusy when that takes longer than the timeout, or ErrClosed.
func (h *Hub) Position(timeout time.Duration, name string) (wire.Position, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for {
		t, err := h.lookup(name, true, true)
		if err != nil {
			return wire.Position{}, err
		}
		if at, err := t.Position(ctx); !errors.Is(err, actor.ErrStopped) {
			return at, translate(err)
		}
	}
}

// History returns what a topic has kept behind a position, see Topic.History. known is false when there is no such topic.
func (h *Hub) History(ctx context.Context, name string, since wire.Position, most int) (page topic.Page, known bool, err error) {
	for t := h.topics.find(name); t != nil; {
		page, err = t.History(ctx, since, most)
		if !errors.Is(err, actor.ErrStopped) {
			return page, err == nil, translate(err)
		}
		if t, err = h.lookup(name, false, false); err != nil {
			return page, false, err
		}
	}
	if h.life.state() > draining {
		return page, false, ErrClosed
	}
	return page, false, nil
}

// Reset begins a new numbering of a topic, and drops what it keeps. It returns ErrBusy when that takes longer than the timeout, or
// ErrClosed.
func (h *Hub) Reset(timeout time.Duration, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for t := h.topics.find(name); t != nil; {
		err := t.Reset(ctx)
		if !errors.Is(err, actor.ErrStopped) {
			return translate(err)
		}
		if t, err = h.lookup(name, false, false); err != nil {
			return err
		}
	}
	if h.life.state() > draining {
		return ErrClosed
	}
	return nil
}

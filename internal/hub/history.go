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
// while. Behind a broker, it waits until the topic's subscription is in force: what is published after that is behind the position. It
// returns ErrBusy when that takes longer than the timeout, or ErrClosed.
func (h *Hub) Position(timeout time.Duration, name string) (wire.Position, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for {
		t, err := h.lookup(lookup{topic: name, create: true, pin: true})
		if err != nil {
			return wire.Position{}, err
		}
		if err := h.awaitTopic(ctx, t, nil); err != nil {
			return wire.Position{}, err
		}
		if at, err := t.Position(ctx); !errors.Is(err, actor.ErrStopped) {
			return at, translate(err)
		}
	}
}

// History returns what a topic has kept behind a position, see Topic.History. known is false when there is no such topic.
func (h *Hub) History(ctx context.Context, name string, since wire.Position, most int) (page topic.Page, known bool, err error) {
	known, err = h.withTopic(name, h.Shares(name), func(t *topic.Topic) (err error) {
		if err := h.awaitShared(ctx, t); err != nil {
			return err
		}
		page, err = t.History(ctx, since, most)
		if err == nil || errors.Is(err, actor.ErrStopped) || errors.Is(err, actor.ErrPanicked) {
			return err
		}
		return translateBroker(err)
	})
	return page, known, err
}

// Reset begins a new numbering of a topic, and drops what it keeps. It returns ErrBusy when that takes longer than the timeout, or
// ErrClosed.
func (h *Hub) Reset(timeout time.Duration, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if h.Shares(name) {
		return h.resetAcross(ctx, name)
	}
	_, err := h.withTopic(name, false, func(t *topic.Topic) error { return t.Reset(ctx) })
	return err
}

// PostReset is Reset without waiting. Where the broker keeps messages, a Reset is among them: only an instance whose topic has no history,
// as while that is being deployed, tells of one otherwise.
func (h *Hub) PostReset(name string) {
	if t := h.topics.find(name); t != nil && name != Broadcast && !t.IsShared() {
		t.PostReset()
	}
}

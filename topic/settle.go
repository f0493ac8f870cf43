package topic

import (
	"context"
	"slices"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Publications that a broker has numbered, and that are answered when the topic has delivered them. All functions in this file run in the
// topic's actor, but the exported ones.

// settle is answered when what has a number is delivered, or will not be.
type settle struct {
	receipt
	at wire.Position
}

// AwaitDelivered waits until the topic has delivered the message with that position, or never will. It returns actor.ErrStopped after Stop,
// or the context's error. Only edges may call it.
func (t *Topic) AwaitDelivered(ctx context.Context, at wire.Position) error {
	_, err := actor.Call(ctx, t.ref, func(r actor.Request[wire.Position]) Message {
		return settle{receipt{publishAsked{Request: r}, at.Seq, false}, at}
	})
	return err
}

// Acknowledge answers a publication by a client that has an id, when the topic has delivered it, or never will. It never blocks.
func (t *Topic) Acknowledge(at wire.Position, duplicate bool, to Subscriber, id uint64) {
	m := settle{receipt{publishAsked{to: to, id: id}, at.Seq, duplicate}, at}
	if !t.ref.Post(m) {
		m.Discard()
	}
}

// Discard answers the client when the topic is given up: the broker has the publication all the same. The caller who waits hears of the
// topic's end anyway.
func (m settle) Discard() {
	if m.to == nil {
		return
	}
	deliver(m.to, wire.NewAnswers(m.to.Encoding(), wire.AppendPublished(nil, m.id, m.seq, m.duplicate), 1))
}

func (m settle) handle(t *Topic) {
	if s := t.shared; s != nil && s.began && s.awaits(m.at, t) {
		s.receipts = append(s.receipts, m)
		return
	}
	t.receipts = append(t.receipts, m.receipt)
}

// maxPast is how many epochs before its own a topic knows.
const maxPast = 8

// awaits reports whether what has a position is still to come: also in an epoch that the broker has begun, and not told of yet.
func (s *shared) awaits(at wire.Position, t *Topic) bool {
	if t.epochIs(at.Epoch) {
		return at.Seq > t.seq
	}
	return at.Epoch != "" && !slices.Contains(s.past, at.Epoch)
}

// nextEpoch begins an epoch. What was published in another one does not come any more.
func (s *shared) nextEpoch(t *Topic, epoch string) {
	if before := t.epoch.Load(); before != nil {
		s.past = append(s.past[max(0, len(s.past)-maxPast+1):], *before)
	}
	t.epoch.Store(&epoch)
	s.leaders = nil
	s.receipts = slices.DeleteFunc(s.receipts, func(m settle) bool {
		over := m.at.Epoch != epoch
		if over {
			t.receipts = append(t.receipts, m.receipt)
		}
		return over
	})
}

// due returns the receipts of what has come, up to a position. The nil shared has none.
func (s *shared) due(t *Topic) (due []receipt) {
	if s == nil || len(s.receipts) == 0 {
		return nil
	}
	s.receipts = slices.DeleteFunc(s.receipts, func(m settle) bool {
		came := m.seq <= t.seq && t.epochIs(m.at.Epoch)
		if came {
			due = append(due, m.receipt)
		}
		return came
	})
	return due
}

package tank

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/fanqie/tank-websocket-go-server/client"
)

// Subscribe subscribes the program itself to a topic, for persistence, a bot, or a bridge. The subscription is in effect from the
// first step of the loop until its end; what is published in between comes in order. The topic lives as with any subscriber, and
// counts it as one. The loop blocks while nothing is published, and may take its time:
//
//	for p, err := range tkws.Subscribe(ctx, "orders") {
//		if err != nil {
//			return err
//		}
//		store(p)
//	}
//
// Up to Limits.OutboxBytes of publications wait for the loop in a queue of its own, and as many may be with the loop; neither
// counts in Limits.TotalOutboxBytes. When the queue is full, the OutboxPolicy decides: with OutboxClose the loop gets what was
// queued and ErrLimit as its last step. With the policies that drop publications, it gets ErrLimit with their number in place of
// those that were dropped, and goes on.
//
// With WithBroker, the loop begins when the broker delivers the topic. It is not told of publications that are lost on their way from the
// broker: see BrokerStats.Gaps.
//
// The last step has an error and no publication: ErrInvalidTopic; ErrClosed once Shutdown has ended the topics and the loop has
// everything; or the context's error, also while publications wait. It may be called before Start. It panics when the context is
// nil.
func (m *Manager) Subscribe(ctx context.Context, topic string) iter.Seq2[Publication, error] {
	require(ctx != nil, "Subscribe", "context is nil")
	return func(yield func(Publication, error) bool) {
		if err := m.listen(ctx, topic, yield); err != nil {
			yield(Publication{}, err)
		}
	}
}

// listen yields publications until the loop, the context or the topic ends. It returns nil when it was the loop.
func (m *Manager) listen(ctx context.Context, topic string, yield func(Publication, error) bool) error {
	if err := checkTopic(topic); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	l, err := m.hub.Listen(ctx, strings.Clone(topic), m.config.limits.OutboxBytes, client.Policy(m.config.outboxPolicy))
	if err != nil {
		return err
	}
	defer m.hub.Unlisten(l)
	for {
		heard, err := l.Next(ctx)
		if err != nil {
			return err
		}
		if heard.Lost > 0 && !yield(Publication{}, fmt.Errorf("%w: %d publications were dropped", ErrLimit, heard.Lost)) {
			return nil
		}
		for _, p := range heard.Publications {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !yield(Publication(p), nil) {
				return nil
			}
		}
	}
}

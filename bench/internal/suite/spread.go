package suite

import (
	"context"
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/control"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/load"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
)

// spread is how many connections share how many topics, and about how many deliveries there are. One number is a multiple of the other.
type spread struct{ clients, topics, deliveries int }

// each is how many topics a connection has.
func (s spread) each() int { return max(1, s.topics/s.clients) }

// subscriptions is how many there are in all.
func (s spread) subscriptions() int { return s.clients * s.each() }

// messages is how many each topic gets.
func (s spread) messages() int { return max(1, s.deliveries/s.subscriptions()) }

// queueFor is room for all messages to a client, so that nobody has to drop anything.
func (s spread) queueFor() contender.Config {
	return burstSize{messages: s.messages() * s.each()}.queueFor()
}

// name is that of a topic, as control.Job has it.
func (s spread) name(topic int) string {
	if s.topics == 1 {
		return "user"
	}
	return control.Name("user", topic)
}

// names are the topics of a client.
func (s spread) names(client int) []string {
	names := make([]string, s.each())
	for i := range names {
		names[i] = s.name((client + i*s.clients) % s.topics)
	}
	return names
}

func measureSpread(ctx context.Context, c Contender, s spread) (values, error) {
	b, err := newBench(ctx, c, s.queueFor())
	if err != nil {
		return nil, err
	}
	defer b.close()
	f, err := b.connect(s.clients)
	if err != nil {
		return nil, err
	}
	if err := b.subscribe(f, s.clients, s.names); err != nil {
		return nil, err
	}
	if _, err := b.spreadOnce(f, s, 1); err != nil {
		return nil, b.explain(fmt.Errorf("warming up: %w", err))
	}
	v, err := repeated(curveBursts, func() (values, error) { return b.spreadOnce(f, s, s.messages()) })
	return v, b.explain(err)
}

// spreadOnce publishes so many messages to each topic.
func (b *bench) spreadOnce(f *load.Fleet, s spread, messages int) (values, error) {
	template := payload.Plain(messageBytes)
	sample, err := newSample(template, nil, 0)
	if err != nil {
		return nil, err
	}
	sample.Topics = s.topics
	deliveries := int64(s.subscriptions()) * int64(messages)
	f.Arm(deliveries, sample)
	job := control.Job{Topic: "user", Topics: s.topics, Publishers: 1, Messages: s.topics * messages}
	v, err := b.load(f, "deliveries", float64(deliveries), func() error {
		_, err := b.Publish(b.ctx, job, template)
		return err
	})
	if err != nil {
		return nil, err
	}
	return v, f.Verify(all(int64(messages * s.each())))
}

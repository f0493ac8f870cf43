package suite

import (
	"context"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/control"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/load"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
)

// churnSize is how many clients subscribe and unsubscribe how many times.
type churnSize struct{ clients, times int }

const (
	churnTopics = 50
	finalTopics = 3 // that each client has at last; more than it can have in between, so that the end can be told
)

func churn(size churnSize, rounds int) *scenario {
	return &scenario{
		name:  "churn",
		title: "Subscribing and unsubscribing",
		detail: fmt.Sprintf("%d clients each subscribe and unsubscribe %d times, over %d topics, without waiting for answers; then 2 messages to each of %d topics that all are left with",
			size.clients, size.times, churnTopics, finalTopics),
		rounds: rounds,
		metrics: []report.Metric{
			{Key: "changes", Title: "changes", Unit: "/s", MoreBetter: true},
			{Key: "cpu", Title: "server CPU per change", Unit: "ns"},
		},
		run: func(ctx context.Context, c Contender) (values, error) { return measureChurn(ctx, c, size) },
	}
}

func measureChurn(ctx context.Context, c Contender, size churnSize) (values, error) {
	b, err := newBench(ctx, c, contender.Config{})
	if err != nil {
		return nil, err
	}
	defer b.close()
	f, err := b.connect(size.clients)
	if err != nil {
		return nil, err
	}
	v, err := b.changes(f, size)
	if err != nil {
		return nil, b.explain(err)
	}
	return v, b.explain(b.stillDelivers(f, size.clients))
}

// changes has every client say everything, and waits until the server has done it.
func (b *bench) changes(f *load.Fleet, size churnSize) (values, error) {
	count := size.clients * (2*size.times + finalTopics)
	f.Arm(int64(count), nil)
	u, err := b.begin()
	if err != nil {
		return nil, err
	}
	for i := range size.clients {
		if err := f.SendAll(i, b.dialect.churn(i, size.times)); err != nil {
			return nil, err
		}
	}
	b.subscriptions = size.clients * finalTopics
	if b.dialect.replies {
		if _, err := f.Await(b.ctx); err != nil {
			return nil, err
		}
	}
	if err := b.awaitSubscriptions(); err != nil {
		return nil, err
	}
	elapsed := time.Since(u.start)
	cpu, err := b.since(u)
	return values{
		"changes": float64(count) / elapsed.Seconds(),
		"cpu":     float64(cpu.Nanoseconds()) / float64(count),
	}, err
}

// churn is what one client says.
func (d dialect) churn(client, times int) []string {
	say := make([]string, 0, 2*times+finalTopics)
	for j := range times {
		topic := control.Name("room", (client+j)%churnTopics)
		say = append(say, d.subscribe(len(say)+2, topic), d.unsubscribe(len(say)+3, topic))
	}
	for j := range finalTopics {
		say = append(say, d.subscribe(len(say)+2, control.Name("final", j)))
	}
	return say
}

// stillDelivers checks that after all that everybody is subscribed to what it should be.
func (b *bench) stillDelivers(f *load.Fleet, clients int) error {
	const each = 2
	template := payload.Plain(messageBytes)
	s, err := newSample(template, nil, 0)
	if err != nil {
		return err
	}
	s.Topics = finalTopics
	f.Arm(int64(clients*finalTopics*each), s)
	job := control.Job{Topic: "final", Topics: finalTopics, Publishers: 1, Messages: finalTopics * each}
	if _, err := b.Publish(b.ctx, job, template); err != nil {
		return err
	}
	if _, err := f.Await(b.ctx); err != nil {
		return err
	}
	return f.Verify(all(finalTopics * each))
}

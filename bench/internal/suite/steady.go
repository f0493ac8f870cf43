package suite

import (
	"context"
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/control"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/load"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/stats"
)

// messageBytes is the size of messages where it is not what matters.
const messageBytes = 128

// steadySize is how many subscribers get how many messages a second for how long.
type steadySize struct{ subscribers, rate, seconds int }

// steadyQueue forgives a server, or the machine, a pause of a second.
const steadyQueue = 256

func steady(size steadySize, rounds int) *scenario {
	return &scenario{
		name:  "steady",
		title: "Steady stream",
		detail: fmt.Sprintf("%d messages a second of %d bytes to each of %d subscribers for %d s; latency from the publish, or from when it was due if the publish before took until then, until the subscriber has read it",
			size.rate, messageBytes, size.subscribers, size.seconds),
		rounds: rounds,
		metrics: []report.Metric{
			{Key: "cpu", Title: "server CPU per delivery", Unit: "ns"},
			{Key: "p50", Title: "latency p50", Unit: "ns"},
			{Key: "p99", Title: "p99", Unit: "ns"},
			{Key: "p99.9", Title: "p99.9", Unit: "ns"},
		},
		run: func(ctx context.Context, c Contender) (values, error) { return measureSteady(ctx, c, size) },
	}
}

func measureSteady(ctx context.Context, c Contender, size steadySize) (values, error) {
	b, err := newBench(ctx, c, contender.Config{Queue: steadyQueue})
	if err != nil {
		return nil, err
	}
	defer b.close()
	f, err := b.subscribed(size.subscribers, "news")
	if err != nil {
		return nil, err
	}
	job := control.Job{Topic: "news", Topics: 1, Publishers: 1, Rate: size.rate, Messages: size.rate / 4}
	if _, err := b.paced(f, size.subscribers, job); err != nil {
		return nil, b.explain(fmt.Errorf("warming up: %w", err))
	}
	job.Messages = size.rate * size.seconds
	v, err := b.paced(f, size.subscribers, job)
	return v, b.explain(err)
}

// paced publishes at a rate and measures latencies.
func (b *bench) paced(f *load.Fleet, subscribers int, job control.Job) (values, error) {
	return b.pacedOf(payload.Plain(messageBytes), f, subscribers, job)
}

// pacedOf is paced with messages made of a template.
func (b *bench) pacedOf(template string, f *load.Fleet, subscribers int, job control.Job) (values, error) {
	deliveries := subscribers * job.Messages
	s, err := newSample(template, one(job.Topic), deliveries)
	if err != nil {
		return nil, err
	}
	f.Arm(int64(deliveries), s)
	u, err := b.begin()
	if err != nil {
		return nil, err
	}
	if _, err := b.Publish(b.ctx, job, template); err != nil {
		return nil, err
	}
	if _, err := f.Await(b.ctx); err != nil {
		return nil, err
	}
	cpu, err := b.since(u)
	if err != nil {
		return nil, err
	}
	if err := f.Verify(all(int64(job.Messages))); err != nil {
		return nil, err
	}
	latencies := sorted(s.Latencies)
	return values{
		"cpu":   float64(cpu.Nanoseconds()) / float64(deliveries),
		"p50":   float64(stats.Percentile(latencies, 50)),
		"p99":   float64(stats.Percentile(latencies, 99)),
		"p99.9": float64(stats.Percentile(latencies, 99.9)),
	}, nil
}

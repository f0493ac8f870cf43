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

// topicsSize is how many topics with how many subscribers get how many messages each.
type topicsSize struct{ topics, subscribers, messages int }

// publisherCounts are from how many goroutines is published.
var publisherCounts = []int{1, 8, 64}

func topics(name string, size topicsSize, rounds int) *scenario {
	s := &scenario{
		name:  name,
		title: fmt.Sprintf("Many topics: %d with %d subscribers each", size.topics, size.subscribers),
		detail: fmt.Sprintf("%d connections, each subscribed to one of %d topics; %d messages of %d bytes to each topic, round robin, from 1, 8 and 64 goroutines; until the last is received",
			size.topics*size.subscribers, size.topics, size.messages, messageBytes),
		rounds: rounds,
		run:    func(ctx context.Context, c Contender) (values, error) { return measureTopics(ctx, c, size) },
	}
	for _, p := range publisherCounts {
		s.metrics = append(s.metrics, report.Metric{
			Key: fmt.Sprintf("publishes%d", p), Title: "publishes, " + publishers(p), Unit: "/s", MoreBetter: true,
		})
	}
	for _, p := range publisherCounts {
		s.metrics = append(s.metrics, report.Metric{
			Key: fmt.Sprintf("cpu%d", p), Title: "CPU per publish, " + publishers(p), Unit: "ns",
		})
	}
	s.metrics = append(s.metrics, report.Metric{Key: "allocs", Title: "allocations per publish"})
	return s
}

func publishers(n int) string {
	if n == 1 {
		return "1 publisher"
	}
	return fmt.Sprintf("%d publishers", n)
}

func measureTopics(ctx context.Context, c Contender, size topicsSize) (values, error) {
	b, err := newBench(ctx, c, contender.Config{Queue: size.messages})
	if err != nil {
		return nil, err
	}
	defer b.close()
	clients := size.topics * size.subscribers
	f, err := b.connect(clients)
	if err != nil {
		return nil, err
	}
	topicOf := func(client int) string { return control.Name("user", client%size.topics) }
	err = b.subscribe(f, clients, func(client int) []string { return []string{topicOf(client)} })
	if err != nil {
		return nil, err
	}
	job := control.Job{Topic: "user", Topics: size.topics, Publishers: 1, Messages: size.topics}
	if _, _, err := b.roundRobin(f, job, size.subscribers, topicOf); err != nil {
		return nil, b.explain(fmt.Errorf("warming up: %w", err))
	}
	before, err := b.Stats(b.ctx)
	if err != nil {
		return nil, err
	}
	v := make(values)
	for _, p := range publisherCounts {
		job.Publishers, job.Messages = p, size.topics*size.messages
		elapsed, cpu, err := b.roundRobin(f, job, size.subscribers, topicOf)
		if err != nil {
			return nil, b.explain(fmt.Errorf("%d publishers: %w", p, err))
		}
		v[fmt.Sprintf("publishes%d", p)] = float64(job.Messages) / elapsed.Seconds()
		v[fmt.Sprintf("cpu%d", p)] = float64(cpu.Nanoseconds()) / float64(job.Messages)
	}
	after, err := b.Stats(b.ctx)
	if err == nil && before.Allocations > 0 {
		published := len(publisherCounts) * job.Messages
		v["allocs"] = float64(after.Allocations-before.Allocations) / float64(published)
	}
	return v, err
}

func (b *bench) roundRobin(f *load.Fleet, job control.Job, subscribers int, topicOf func(int) string) (elapsed, cpu time.Duration, err error) {
	template := payload.Plain(messageBytes)
	s, err := newSample(template, topicOf, 0)
	if err != nil {
		return 0, 0, err
	}
	f.Arm(int64(job.Messages*subscribers), s)
	u, err := b.begin()
	if err != nil {
		return 0, 0, err
	}
	if _, err := b.Publish(b.ctx, job, template); err != nil {
		return 0, 0, err
	}
	end, err := f.Await(b.ctx)
	if err != nil {
		return 0, 0, err
	}
	if cpu, err = b.since(u); err != nil {
		return 0, 0, err
	}
	return end.Sub(u.start), cpu, f.Verify(all(int64(job.Messages / job.Topics)))
}

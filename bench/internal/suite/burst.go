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
	"github.com/fanqie/tank-websocket-go-server/bench/internal/stats"
)

// burstSize is how many subscribers get how many messages of how many bytes, as fast as can be.
type burstSize struct{ subscribers, messages, bytes int }

// queueFor is room for a whole burst, so that nobody has to drop anything.
func (s burstSize) queueFor() contender.Config {
	return contender.Config{Queue: s.messages, QueueBytes: 64 << 20}
}

// warmUp is how many messages come before the measurement, for pools and stacks to grow.
func (s burstSize) warmUp() int { return max(2, s.messages/20) }

// burstTime is after how long no further burst is begun. Tests have less.
var burstTime = 700 * time.Millisecond

// mostBursts is how many there are at most.
const mostBursts = 5

func burst(name string, size burstSize, rounds int) *scenario {
	return &scenario{
		name:   name,
		title:  fmt.Sprintf("Burst to %d subscribers: %d messages of %d bytes", size.subscribers, size.messages, size.bytes),
		detail: fmt.Sprintf("%d messages of %d bytes to each of %d subscribers of one topic, all published at once", size.messages, size.bytes, size.subscribers),
		rounds: rounds,
		metrics: []report.Metric{
			{Key: "deliveries", Title: "deliveries", Unit: "/s", MoreBetter: true},
			{Key: "cpu", Title: "server CPU per delivery", Unit: "ns"},
			{Key: "cores", Title: "server's processors busy", Unit: ""},
			{Key: "allocs", Title: "allocations per delivery", Unit: ""},
			{Key: "peak", Title: "server's resident memory", Unit: "bytes"},
		},
		run: func(ctx context.Context, c Contender) (values, error) {
			return measureBurst(ctx, c, size, payload.Plain(size.bytes), size.queueFor(), mostBursts)
		},
	}
}

// measureBurst returns medians of so many bursts on the same connections, or as many as there is time for.
func measureBurst(ctx context.Context, c Contender, size burstSize, template string, config contender.Config, most int) (values, error) {
	b, err := newBench(ctx, c, config)
	if err != nil {
		return nil, err
	}
	defer b.close()
	f, err := b.subscribed(size.subscribers, "news")
	if err != nil {
		return nil, err
	}
	job := control.Job{Topic: "news", Topics: 1, Publishers: 1, Messages: size.warmUp()}
	if _, err := b.oneBurst(f, size.subscribers, job, template); err != nil {
		return nil, b.explain(fmt.Errorf("warming up: %w", err))
	}
	job.Messages = size.messages
	v, err := repeated(most, func() (values, error) { return b.oneBurst(f, size.subscribers, job, template) })
	return v, b.explain(err)
}

// repeated returns medians of so many bursts, or as many as there is time for.
func repeated(most int, burst func() (values, error)) (values, error) {
	found := make(map[string][]float64)
	for start := time.Now(); time.Since(start) < burstTime && len(found["cpu"]) < most; {
		v, err := burst()
		if err != nil {
			return nil, err
		}
		for key := range v {
			found[key] = append(found[key], v[key])
		}
	}
	medians := make(values)
	for key, list := range found {
		medians[key] = stats.Median(list)
	}
	return medians, nil
}

func (b *bench) oneBurst(f *load.Fleet, subscribers int, job control.Job, template string) (values, error) {
	s, err := newSample(template, one(job.Topic), 0)
	if err != nil {
		return nil, err
	}
	deliveries := int64(subscribers) * int64(job.Messages)
	f.Arm(deliveries, s)
	v, err := b.load(f, "deliveries", float64(deliveries), func() error {
		_, err := b.Publish(b.ctx, job, template)
		return err
	})
	if err != nil {
		return nil, err
	}
	return v, f.Verify(all(int64(job.Messages)))
}

// compression compares bursts of JSON with and without permessage-deflate.
func compression(size burstSize, rounds int) *scenario {
	return &scenario{
		name:  "compression",
		title: "permessage-deflate",
		detail: fmt.Sprintf("the same burst of %d messages of %d bytes of JSON to %d subscribers, plain and then with compression offered and accepted",
			size.messages, size.bytes, size.subscribers),
		rounds:  rounds,
		without: []string{"floor"},
		metrics: []report.Metric{
			{Key: "ratio", Title: "compressed to plain CPU", Unit: "x"},
			{Key: "plain", Title: "CPU per delivery, plain", Unit: "ns"},
			{Key: "cpu", Title: "CPU per delivery, compressed", Unit: "ns"},
			{Key: "deliveries", Title: "deliveries, compressed", Unit: "/s", MoreBetter: true},
			{Key: "plain wire", Title: "bytes on the wire per delivery, plain", Unit: "bytes"},
			{Key: "wire", Title: "compressed", Unit: "bytes"},
		},
		run: func(ctx context.Context, c Contender) (values, error) {
			config := size.queueFor()
			plain, err := measureBurst(ctx, c, size, payload.JSON(size.bytes), config, mostBursts)
			if err != nil {
				return nil, fmt.Errorf("plain: %w", err)
			}
			config.Compression = true
			v, err := measureBurst(ctx, c, size, payload.JSON(size.bytes), config, mostBursts)
			if err != nil {
				return nil, fmt.Errorf("compressed: %w", err)
			}
			v["plain"], v["ratio"] = plain["cpu"], v["cpu"]/plain["cpu"]
			v["plain wire"] = plain["wire"]
			return v, nil
		},
	}
}

package suite

import (
	"context"
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/recovery"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/stats"
)

// resumeFloodedSize is how many subscribers the flooded topic has, and how many times a client resumes there.
type resumeFloodedSize struct{ subscribers, times int }

const (
	// floodMissed is how many messages a client has missed at least. What is published until the server has its command
	// comes on top.
	floodMissed = 100

	// floodKept is how many messages the servers keep: more than are published until the server has a command.
	floodKept = 1 << 17
)

func resumeFlooded(size resumeFloodedSize, rounds int) *scenario {
	return &scenario{
		name:  "resume-flooded",
		title: "A client resumes a topic that is flooded",
		detail: fmt.Sprintf("%d times a new connection asks for what it has missed, at least %d messages of %d bytes, and has it up to where the topic then stood; first while nothing is published, then while the topic with %d subscribers is flooded by a publisher who is never more than %d messages ahead of the slowest of them",
			size.times, floodMissed, messageBytes, size.subscribers, floodWindow),
		rounds: rounds,
		only:   resumers,
		metrics: []report.Metric{
			{Key: "p99", Title: "p99 flooded", Unit: "ns"},
			{Key: "p50", Title: "p50 flooded", Unit: "ns"},
			{Key: "quiet", Title: "p99 quiet", Unit: "ns"},
			{Key: "missed", Title: "messages missed, flooded, p50", Unit: ""},
			{Key: "deliveries", Title: "deliveries of the flood", Unit: "/s", MoreBetter: true},
		},
		run: func(ctx context.Context, c Contender) (values, error) { return measureResumeFlooded(ctx, c, size) },
	}
}

func measureResumeFlooded(ctx context.Context, c Contender, size resumeFloodedSize) (values, error) {
	c.dialect = c.resume.dialect
	b, err := newBench(ctx, c, contender.Config{QueueBytes: 64 << 20, History: floodKept})
	if err != nil {
		return nil, err
	}
	defer b.close()
	missed, err := b.miss("hot", floodMissed)
	if err != nil {
		return nil, err
	}
	quiet, _, err := b.resumeTimes(size.times, func() (recovery.Missed, error) { return missed, nil }, c.resume)
	if err != nil {
		return nil, b.explain(fmt.Errorf("quiet: %w", err))
	}
	flooded, err := b.subscribed(size.subscribers, "hot")
	if err != nil {
		return nil, err
	}
	start, err := b.Position(b.ctx, "hot")
	if err != nil {
		return nil, err
	}
	missed.Start = start.Offset + 1
	behind := func() (recovery.Missed, error) {
		now, err := b.Position(b.ctx, "hot")
		m := missed
		m.Since.Offset = max(now.Offset, start.Offset+floodMissed) - floodMissed
		return m, err
	}
	var times, counts []int64
	deliveries, err := b.flooding(flooded, size.subscribers, func() (err error) {
		times, counts, err = b.resumeTimes(size.times, behind, c.resume)
		return err
	})
	if err != nil {
		return nil, b.explain(fmt.Errorf("flooded: %w", err))
	}
	return values{
		"p99":        float64(stats.Percentile(times, 99)),
		"p50":        float64(stats.Percentile(times, 50)),
		"quiet":      float64(stats.Percentile(quiet, 99)),
		"missed":     float64(stats.Percentile(counts, 50)),
		"deliveries": deliveries,
	}, nil
}

// resumeTimes has one client after the other resume, and returns, sorted, how long each took and how much it got.
func (b *bench) resumeTimes(times int, what func() (recovery.Missed, error), r *resumption) (took, messages []int64, err error) {
	for i := range times {
		missed, err := what()
		if err != nil {
			return nil, nil, err
		}
		a := r.answer(missed)
		t, err := b.resumeOnce(missed, a, r)
		if err != nil {
			return nil, nil, fmt.Errorf("connection %d: %w", i, err)
		}
		took, messages = append(took, t.Nanoseconds()), append(messages, int64(a.Messages()))
	}
	return sorted(took), sorted(messages), nil
}

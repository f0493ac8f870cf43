package suite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/control"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/load"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
)

// hotSize is how many subscribers the flooded topic has, and the other one, which gets how many messages a second for
// how many in all.
type hotSize struct{ hot, calm, rate, messages int }

// floodWindow is how many messages the flood may be ahead of its slowest subscriber.
const floodWindow = 4096

func hot(size hotSize, rounds int) *scenario {
	return &scenario{
		name:  "hot",
		title: "One topic flooded, another one measured",
		detail: fmt.Sprintf("%d subscribers of one topic get %d messages of a stream of %d a second; first alone, then while another topic with %d subscribers is flooded by a publisher who is never more than %d messages ahead of the slowest of them",
			size.calm, size.messages, size.rate, size.hot, floodWindow),
		rounds: rounds,
		metrics: []report.Metric{
			{Key: "ratio", Title: "p99 flooded to quiet", Unit: "x"},
			{Key: "quiet", Title: "p99 quiet", Unit: "ns"},
			{Key: "flooded", Title: "p99 flooded", Unit: "ns"},
			{Key: "deliveries", Title: "deliveries of the flood", Unit: "/s", MoreBetter: true},
		},
		run: func(ctx context.Context, c Contender) (values, error) { return measureHot(ctx, c, size) },
	}
}

func measureHot(ctx context.Context, c Contender, size hotSize) (values, error) {
	b, err := newBench(ctx, c, contender.Config{Queue: floodWindow + steadyQueue})
	if err != nil {
		return nil, err
	}
	defer b.close()
	calm, err := b.subscribed(size.calm, "calm")
	if err != nil {
		return nil, err
	}
	flooded, err := b.subscribed(size.hot, "hot")
	if err != nil {
		return nil, err
	}
	job := control.Job{Topic: "calm", Topics: 1, Publishers: 1, Rate: size.rate, Messages: size.rate / 4}
	if _, err := b.paced(calm, size.calm, job); err != nil {
		return nil, b.explain(fmt.Errorf("warming up: %w", err))
	}
	job.Messages = size.messages
	quiet, err := b.paced(calm, size.calm, job)
	if err != nil {
		return nil, b.explain(fmt.Errorf("quiet: %w", err))
	}
	var busy values
	deliveries, err := b.flooding(flooded, size.hot, func() (err error) {
		busy, err = b.paced(calm, size.calm, job)
		return err
	})
	if err != nil {
		return nil, b.explain(fmt.Errorf("flooded: %w", err))
	}
	return values{
		"quiet":      quiet["p99"],
		"flooded":    busy["p99"],
		"ratio":      busy["p99"] / quiet["p99"],
		"deliveries": deliveries,
	}, nil
}

// endless is more messages than a flood has.
const endless = 1 << 60

// flooding runs f during a flood, and returns the flood's deliveries per second once all of them have come.
func (b *bench) flooding(fleet *load.Fleet, subscribers int, f func() error) (float64, error) {
	template := payload.Plain(messageBytes)
	s, err := newSample(template, one("hot"), 0)
	if err != nil {
		return 0, err
	}
	fleet.Arm(endless, s)
	job := control.Job{Topic: "hot", Topics: 1, Publishers: 1, Window: floodWindow}
	if err := b.Flood(b.ctx, job, template); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	feeder := make(chan error, 1)
	go func() { feeder <- b.feed(ctx, fleet) }()
	time.Sleep(200 * time.Millisecond) // for the flood to get going
	failed := f()
	published, err := b.Unflood(b.ctx)
	cancel()
	if err := errors.Join(failed, err, <-feeder); err != nil {
		return 0, err
	}
	deliveries := published.Messages * subscribers
	for deadline := time.Now().Add(subscribeTime); fleet.Total() < int64(deliveries) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	return float64(deliveries) / (float64(published.Elapsed) / 1e9), fleet.Verify(all(int64(published.Messages)))
}

// feed gives the flood credit for what has come, until the context ends.
func (b *bench) feed(ctx context.Context, fleet *load.Fleet) error {
	for told := int64(0); ctx.Err() == nil; time.Sleep(500 * time.Microsecond) {
		least := fleet.Least()
		if least < told+floodWindow/8 {
			continue
		}
		if err := b.Credit(ctx, least); err != nil && ctx.Err() == nil {
			return err
		}
		told = least
	}
	return nil
}

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

// frozenSize is how many subscribers go on reading, how many stop, and what they get: messages of so many bytes, so many a
// second for so long.
type frozenSize struct{ healthy, frozen, bytes, rate, seconds int }

// frozenQueue is how many messages may wait for one subscriber: few, so that those who stop reading are noticed.
const frozenQueue = 32

func frozen(size frozenSize, rounds int) *scenario {
	return &scenario{
		name:  "frozen",
		title: "Subscribers that stop reading",
		detail: fmt.Sprintf("%d messages a second of %d bytes to each of %d subscribers for %d s; first all of them read, then %d stop, and the latency is that of the others, who have to get everything; the server has to end all of those who stopped",
			size.rate, size.bytes, size.healthy+size.frozen, size.seconds, size.frozen),
		rounds: rounds,
		only:   []string{"tank"},
		metrics: []report.Metric{
			{Key: "ratio", Title: "p99 with frozen subscribers to without", Unit: "x"},
			{Key: "quiet", Title: "p99 without", Unit: "ns"},
			{Key: "frozen", Title: "p99 with", Unit: "ns"},
		},
		run: func(ctx context.Context, c Contender) (values, error) { return measureFrozen(ctx, c, size) },
	}
}

// overfill publishes until the server has ended those who do not read. The kernel may keep more for a socket than was
// published, and then the server does not see that somebody is behind.
func (b *bench) overfill(healthy *load.Fleet, size frozenSize) error {
	b.subscriptions -= size.frozen
	job := control.Job{Topic: "news", Topics: 1, Publishers: 1, Messages: frozenQueue / 2}
	for deadline := time.Now().Add(subscribeTime); ; {
		st, err := b.Stats(b.ctx)
		switch {
		case err != nil || st.Subscriptions == b.subscriptions:
			return err
		case time.Now().After(deadline):
			return fmt.Errorf("%d subscriptions, want %d", st.Subscriptions, b.subscriptions)
		}
		if _, err := b.pacedOf(payload.Plain(size.bytes), healthy, size.healthy, job); err != nil {
			return err
		}
	}
}

func measureFrozen(ctx context.Context, c Contender, size frozenSize) (values, error) {
	b, err := newBench(ctx, c, contender.Config{Queue: frozenQueue, QueueBytes: frozenQueue * size.bytes})
	if err != nil {
		return nil, err
	}
	defer b.close()
	healthy, err := b.subscribed(size.healthy, "news")
	if err != nil {
		return nil, err
	}
	others, err := b.dial(load.Options{Clients: size.frozen, SmallBuffers: true})
	if err != nil {
		return nil, err
	}
	if err := b.subscribe(others, size.frozen, func(int) []string { return []string{"news"} }); err != nil {
		return nil, err
	}
	job := control.Job{Topic: "news", Topics: 1, Publishers: 1, Rate: size.rate, Messages: size.rate}
	measure := func() (values, error) { return b.pacedOf(payload.Plain(size.bytes), healthy, size.healthy, job) }
	if _, err := measure(); err != nil {
		return nil, b.explain(fmt.Errorf("warming up: %w", err))
	}
	job.Messages = size.rate * size.seconds
	quiet, err := measure()
	if err != nil {
		return nil, b.explain(fmt.Errorf("without frozen subscribers: %w", err))
	}
	others.Freeze()
	disturbed, err := measure()
	if err != nil {
		return nil, b.explain(fmt.Errorf("with frozen subscribers: %w", err))
	}
	if err := b.overfill(healthy, size); err != nil {
		return nil, b.explain(fmt.Errorf("after some have stopped reading: %w", err))
	}
	return values{"quiet": quiet["p99"], "frozen": disturbed["p99"], "ratio": disturbed["p99"] / quiet["p99"]}, nil
}

package suite

import (
	"context"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
)

// receiveSize is how many clients send messages of how many bytes: how many a second, all together, for how long; and in a burst,
// how many each.
type receiveSize struct{ clients, bytes, rate, milliseconds, burst int }

// messages is how many the stream has.
func (s receiveSize) messages() int { return s.rate * s.milliseconds / 1000 }

func receive(size receiveSize, rounds int) *scenario {
	return &scenario{
		name:  fmt.Sprintf("receive-%d", size.bytes),
		title: fmt.Sprintf("Receiving messages of %d bytes", size.bytes),
		detail: fmt.Sprintf("%d clients send text messages of %d bytes, which the server's application counts: one client after the other one message, %d a second in all, for %.1f s; then each %d messages at once",
			size.clients, size.bytes, size.rate, float64(size.milliseconds)/1000, size.burst),
		rounds:  rounds,
		without: []string{"tank2-history"}, // which does with these messages what tank2 does
		metrics: []report.Metric{
			{Key: "cpu", Title: "server CPU per message, one by one", Unit: "ns"},
			{Key: "burst cpu", Title: "at once", Unit: "ns"},
			{Key: "allocs", Title: "allocations per message, one by one", Unit: ""},
			{Key: "burst allocs", Title: "at once", Unit: ""},
			{Key: "rate", Title: "messages received, one by one", Unit: "/s", MoreBetter: true},
			{Key: "burst rate", Title: "at once", Unit: "/s", MoreBetter: true},
		},
		run: func(ctx context.Context, c Contender) (values, error) { return measureReceive(ctx, c, size) },
	}
}

func measureReceive(ctx context.Context, c Contender, size receiveSize) (values, error) {
	b, err := newBench(ctx, c, contender.Config{Message: max(size.bytes, messageBytes)})
	if err != nil {
		return nil, err
	}
	defer b.close()
	f, err := b.connect(size.clients)
	if err != nil {
		return nil, err
	}
	text := b.dialect.say(payload.Plain(size.bytes))
	f.Arm(endless, nil)
	oneByOne := func(messages int) (values, error) {
		return b.received(messages, func() error { return f.SendOneByOne(b.ctx, text, messages, size.rate) })
	}
	atOnce := func(each int) (values, error) {
		return b.received(each*size.clients, func() error { return f.SendAtOnce(b.ctx, text, each) })
	}
	if _, err := oneByOne(max(size.clients, size.messages()/10)); err != nil {
		return nil, fmt.Errorf("warming up: %w", err)
	}
	v, err := oneByOne(size.messages())
	if err != nil {
		return nil, fmt.Errorf("one by one: %w", err)
	}
	if _, err := atOnce(max(1, size.burst/20)); err != nil {
		return nil, fmt.Errorf("warming up for a burst: %w", err)
	}
	bursts, err := repeated(mostBursts, func() (values, error) { return atOnce(size.burst) })
	if err != nil {
		return nil, fmt.Errorf("at once: %w", err)
	}
	for key := range bursts {
		v["burst "+key] = bursts[key]
	}
	return v, f.Verify(all(0)) // no client was told anything
}

// receivePoll is how often the server is asked how many messages it has got. To answer costs it about as much as some hundred of them.
const receivePoll = 10 * time.Millisecond

// received has clients send so many messages, and waits until the application has counted them all. More are an error, too.
func (b *bench) received(messages int, send func() error) (values, error) {
	before, err := b.Stats(b.ctx)
	if err != nil {
		return nil, err
	}
	u, err := b.begin()
	if err != nil {
		return nil, err
	}
	if err := send(); err != nil {
		return nil, err
	}
	if err := b.awaitReceived(before.Received + messages); err != nil {
		return nil, err
	}
	elapsed := time.Since(u.start)
	cpu, err := b.since(u)
	if err != nil {
		return nil, err
	}
	time.Sleep(receivePoll) // for surplus messages to show themselves
	after, err := b.Stats(b.ctx)
	if err != nil {
		return nil, err
	}
	if got := after.Received - before.Received; got != messages {
		return nil, fmt.Errorf("%d messages sent, %d received", messages, got)
	}
	v := values{
		"cpu":  float64(cpu.Nanoseconds()) / float64(messages),
		"rate": float64(messages) / elapsed.Seconds(),
	}
	if before.Allocations > 0 {
		v["allocs"] = float64(after.Allocations-before.Allocations) / float64(messages)
	}
	return v, nil
}

// receiveTime is how long the server has to count what was sent.
const receiveTime = 30 * time.Second

// awaitReceived waits until the application has counted so many messages in all, or receiveTime is over: the caller counts again.
func (b *bench) awaitReceived(total int) error {
	for deadline := time.Now().Add(receiveTime); ; time.Sleep(receivePoll) {
		st, err := b.Stats(b.ctx)
		if err != nil || st.Received >= total || time.Now().After(deadline) {
			return err
		}
	}
}

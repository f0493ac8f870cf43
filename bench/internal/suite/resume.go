package suite

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/control"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/load"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/recovery"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/stats"
)

// resumers are the contenders that keep messages for clients that come back.
var resumers = []string{"tank", "centrifuge"}

// resumeSize is how many connections have missed how many messages, and how many storms are measured.
type resumeSize struct{ clients, missed, storms int }

// keptMessages is how many messages of a topic the servers keep.
const keptMessages = 1000

func resume(size resumeSize, rounds int) *scenario {
	return &scenario{
		name:  "resume",
		title: fmt.Sprintf("Reconnect storm: %d connections resume at once", size.clients),
		detail: fmt.Sprintf("each of %d new connections has missed %d messages of %d bytes of one topic, of which the server keeps %d; all ask for what they have missed, and each has to get exactly that; until the last has it",
			size.clients, size.missed, messageBytes, keptMessages),
		rounds: rounds,
		only:   resumers,
		metrics: []report.Metric{
			{Key: "recoveries", Title: "recoveries", Unit: "/s", MoreBetter: true},
			{Key: "cpu", Title: "server CPU per recovery", Unit: "ns"},
			{Key: "p50", Title: "time of one p50", Unit: "ns"},
			{Key: "p99", Title: "p99", Unit: "ns"},
			{Key: "cores", Title: "server's processors busy", Unit: ""},
			{Key: "allocs", Title: "allocations per recovery", Unit: ""},
			{Key: "wire", Title: "bytes on the wire per recovery", Unit: "bytes"},
			{Key: "peak", Title: "server's resident memory", Unit: "bytes"},
		},
		run: func(ctx context.Context, c Contender) (values, error) { return measureResume(ctx, c, size) },
	}
}

// measureResume returns medians of a few storms. Each has connections of its own, as after a restart of what is in
// between; the first storm is a warm-up.
func measureResume(ctx context.Context, c Contender, size resumeSize) (values, error) {
	c.dialect = c.resume.dialect
	b, err := newBench(ctx, c, contender.Config{History: keptMessages})
	if err != nil {
		return nil, err
	}
	defer b.close()
	found := make(map[string][]float64)
	for i := range 1 + size.storms {
		v, err := b.storm(c.resume, size)
		if err != nil {
			return nil, b.explain(fmt.Errorf("storm %d: %w", i, err))
		}
		if i == 0 {
			continue
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

// storm publishes while nobody is subscribed, and has new connections resume from before it.
func (b *bench) storm(r *resumption, size resumeSize) (values, error) {
	const topic = "news"
	missed, err := b.miss(topic, size.missed)
	if err != nil {
		return nil, err
	}
	f, err := b.connect(size.clients)
	if err != nil {
		return nil, err
	}
	v, err := b.recoverAll(f, r, missed, size)
	if err != nil {
		return nil, errors.Join(err, check(f, 0, r.answer(missed), size.missed)) // a refusal explains what did not come
	}
	latencies := make([]int64, size.clients)
	for i := range latencies {
		latencies[i] = f.Took(i).Nanoseconds()
		if err := check(f, i, r.answer(missed), size.missed); err != nil {
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
	}
	sorted(latencies)
	v["p50"] = float64(stats.Percentile(latencies, 50))
	v["p99"] = float64(stats.Percentile(latencies, 99))
	b.subscriptions = size.clients
	return v, b.hangUp(f, size.clients)
}

// miss publishes messages to a topic, and returns what a client has missed that was there before.
func (b *bench) miss(topic string, messages int) (recovery.Missed, error) {
	template := payload.Plain(messageBytes)
	checker, err := payload.NewChecker(template)
	if err != nil {
		return recovery.Missed{}, err
	}
	since, err := b.Position(b.ctx, topic)
	if err != nil {
		return recovery.Missed{}, err
	}
	job := control.Job{Topic: topic, Topics: 1, Publishers: 1, Messages: messages}
	_, err = b.Publish(b.ctx, job, template)
	return recovery.Missed{Topic: topic, Since: since, Start: since.Offset + 1, Payload: checker}, err
}

// recoverAll has all clients ask for what was missed.
func (b *bench) recoverAll(f *load.Fleet, r *resumption, missed recovery.Missed, size resumeSize) (values, error) {
	say := r.command(2, missed.Topic, missed.Since)
	messages := r.messages(size.missed)
	f.Record(messages, 2*size.missed*messageBytes)
	runtime.GC() // of the load generator, which then has no reason for it in the storm
	v, err := b.load(f, "recoveries", float64(size.clients), func() error {
		for i := range size.clients {
			if err := f.Ask(i, say); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return v, f.Verify(all(int64(messages)))
}

// check checks that the messages recorded of a client are what it has missed.
func check(f *load.Fleet, client int, a recovery.Answer, missed int) error {
	for m := range f.Recorded(client) {
		if err := a.Message(m); err != nil {
			return err
		}
	}
	if !a.Done() || a.Messages() != missed {
		return fmt.Errorf("%d messages, %d were missed", a.Messages(), missed)
	}
	return nil
}

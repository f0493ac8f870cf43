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

func idle(connections, rounds int) *scenario {
	return &scenario{
		name:   "idle",
		title:  "Connecting, and idle connections",
		detail: fmt.Sprintf("%d silent connections, opened 128 handshakes at a time: as soon as they are open; when each has subscribed to one topic and has answered one heartbeat; and when each has then got %d messages of %d bytes and sent one of %d; memory is the server's resident memory after garbage collection, less what it was before", connections, idleBurst, messageBytes, saidBytes),
		rounds: rounds,
		metrics: []report.Metric{
			{Key: "memory", Title: "resident memory per connection", Unit: "bytes"},
			{Key: "fresh", Title: "as soon as it is open", Unit: "bytes"},
			{Key: "used", Title: "after a burst", Unit: "bytes"},
			{Key: "connects", Title: "connects", Unit: "/s", MoreBetter: true},
			{Key: "cpu", Title: "server CPU per connect", Unit: "ns"},
		},
		run: func(ctx context.Context, c Contender) (values, error) { return measureIdle(ctx, c, connections) },
	}
}

func measureIdle(ctx context.Context, c Contender, connections int) (values, error) {
	b, err := newBench(ctx, c, contender.Config{})
	if err != nil {
		return nil, err
	}
	defer b.close()
	before, err := b.settled()
	if err != nil {
		return nil, err
	}
	u, err := b.begin()
	if err != nil {
		return nil, err
	}
	f, err := b.connect(connections)
	if err != nil {
		return nil, err
	}
	elapsed := time.Since(u.start)
	cpu, err := b.since(u)
	if err != nil {
		return nil, err
	}
	fresh, err := b.settled()
	if err != nil {
		return nil, err
	}
	if err := b.subscribe(f, connections, func(int) []string { return []string{"news"} }); err != nil {
		return nil, err
	}
	for i := range connections { // a browser answers pings, after which a server may need more than before
		if err := f.Pong(i); err != nil {
			return nil, err
		}
	}
	after, err := b.settled()
	if err != nil {
		return nil, err
	}
	if err := f.Verify(all(b.dialect.answers(1))); err != nil {
		return nil, err
	}
	if err := b.idleBurst(f, connections); err != nil {
		return nil, b.explain(err)
	}
	used, err := b.settled()
	each := func(memory int64) float64 { return float64(memory-before) / float64(connections) }
	return values{
		"fresh":    each(fresh),
		"memory":   each(after),
		"used":     each(used),
		"connects": float64(connections) / elapsed.Seconds(),
		"cpu":      float64(cpu.Nanoseconds()) / float64(connections),
	}, err
}

// idleBurst is how many messages each connection gets at once. All queues that are so by default hold as many.
const idleBurst = 10

// saidBytes is the size of the message that each connection sends.
const saidBytes = 64

// idleBurst has every connection get some messages, and send one.
func (b *bench) idleBurst(f *load.Fleet, connections int) error {
	job := control.Job{Topic: "news", Topics: 1, Publishers: 1, Messages: idleBurst}
	if _, err := b.oneBurst(f, connections, job, payload.Plain(messageBytes)); err != nil {
		return err
	}
	text := b.dialect.say(payload.Plain(saidBytes))
	_, err := b.received(connections, func() error { return f.SendAtOnce(b.ctx, text, 1) })
	return err
}

// answers is how many messages come in answer to that many said.
func (d dialect) answers(said int64) int64 {
	if d.replies {
		return said
	}
	return 0
}

// settleTime is for what is still under way, such as goroutines that are to end.
const settleTime = 250 * time.Millisecond

// settled is the server's resident memory, in bytes, once it has given back what it does not need. The second time is
// for what the first has made free to be collected, such as the stacks of goroutines that have shrunk.
func (b *bench) settled() (int64, error) {
	for range 2 {
		time.Sleep(settleTime)
		for _, s := range b.servers() {
			if err := s.Settle(b.ctx); err != nil {
				return 0, err
			}
		}
	}
	return b.resident()
}

// topicMemory is about tank's topics, which are actors; with others a topic is an entry in a map.
func topicMemory(clients, topics, rounds int) *scenario {
	return &scenario{
		name:   "topic-memory",
		title:  "A topic's memory",
		detail: fmt.Sprintf("%d clients subscribe to %d topics each that nobody else subscribes to; memory as with idle connections, whose own is not counted", clients, topics),
		rounds: rounds,
		only:   []string{"tank"},
		metrics: []report.Metric{
			{Key: "memory", Title: "resident memory per topic", Unit: "bytes"},
		},
		run: func(ctx context.Context, c Contender) (values, error) {
			return measureTopicMemory(ctx, c, clients, topics)
		},
	}
}

func measureTopicMemory(ctx context.Context, c Contender, clients, topics int) (values, error) {
	b, err := newBench(ctx, c, contender.Config{})
	if err != nil {
		return nil, err
	}
	defer b.close()
	f, err := b.connect(clients)
	if err != nil {
		return nil, err
	}
	before, err := b.settled()
	if err != nil {
		return nil, err
	}
	err = b.subscribe(f, clients, func(client int) []string {
		names := make([]string, topics)
		for i := range names {
			names[i] = control.Name("user", client*topics+i)
		}
		return names
	})
	if err != nil {
		return nil, err
	}
	after, err := b.settled()
	return values{"memory": float64(after-before) / float64(clients*topics)}, err
}

package suite

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/control"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/load"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/proc"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
)

// startBroker starts what connects the servers of a group, and keeps its files in dir. It waits until that can be reached.
func startBroker(ctx context.Context, c Contender, dir string) (*proc.Server, error) {
	s, err := proc.Start(ctx, c.Command[0], "-serve", c.broker, "-dir", dir)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(subscribeTime); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", s.Subscribers)
		if err == nil {
			return s, conn.Close()
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			s.Stop()
			return nil, err
		}
	}
}

// servers are all of a group, or the one that there is.
func (b *bench) servers() []*proc.Server {
	if b.Server == nil {
		return nil
	}
	return append([]*proc.Server{b.Server}, b.more...)
}

// Stats adds up what the servers say of themselves.
func (b *bench) Stats(ctx context.Context) (sum control.Stats, err error) {
	for _, s := range b.servers() {
		st, err := s.Stats(ctx)
		if err != nil {
			return sum, err
		}
		sum.Subscriptions += st.Subscriptions
		sum.Dropped += st.Dropped
		sum.Received += st.Received
		sum.Allocations += st.Allocations
		sum.Heap += st.Heap
	}
	return sum, nil
}

// cpu is the processor time of all servers.
func (b *bench) cpu() (sum time.Duration, err error) {
	for _, s := range b.servers() {
		d, err := proc.CPU(s.PID)
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// brokerCPU is the processor time of the broker, if there is one.
func (b *bench) brokerCPU() (time.Duration, error) {
	if b.broker == nil {
		return 0, nil
	}
	return proc.CPU(b.broker.PID)
}

// resident is the resident memory of all servers.
func (b *bench) resident() (sum int64, err error) {
	for _, s := range b.servers() {
		n, err := proc.Resident(s.PID)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// groupPublishers are from how many goroutines of one server is published.
var groupPublishers = []int{1, 256}

func groupBurst(size burstSize, rounds int) *scenario {
	s := &scenario{
		name:  "group-burst",
		title: "Burst in a group",
		detail: fmt.Sprintf("%d messages of %d bytes to each of %d subscribers of one topic, who are shared out among the servers; published at once on one of them, from 1 and from 256 goroutines; CPU is that of all servers together",
			size.messages, size.bytes, size.subscribers),
		rounds: rounds,
		run:    func(ctx context.Context, c Contender) (values, error) { return measureGroupBurst(ctx, c, size) },
	}
	for _, p := range groupPublishers {
		s.metrics = append(s.metrics,
			report.Metric{Key: fmt.Sprint("deliveries", p), Title: "deliveries, " + publishers(p), Unit: "/s", MoreBetter: true},
			report.Metric{Key: fmt.Sprint("cpu", p), Title: "CPU per delivery", Unit: "ns"},
			report.Metric{Key: fmt.Sprint("broker", p), Title: "the broker's per message", Unit: "ns"})
	}
	return s.forGroups()
}

func measureGroupBurst(ctx context.Context, c Contender, size burstSize) (values, error) {
	b, err := newBench(ctx, c, size.queueFor())
	if err != nil {
		return nil, err
	}
	defer b.close()
	f, err := b.subscribed(size.subscribers, "news")
	if err != nil {
		return nil, err
	}
	medians := make(values)
	for _, p := range groupPublishers {
		job := control.Job{Topic: "news", Topics: 1, Publishers: p, Messages: size.warmUp()}
		if _, err := b.groupOnce(f, size.subscribers, job); err != nil {
			return nil, b.explain(fmt.Errorf("warming up: %w", err))
		}
		job.Messages = size.messages
		v, err := repeated(mostBursts, func() (values, error) { return b.groupOnce(f, size.subscribers, job) })
		if err != nil {
			return nil, b.explain(err)
		}
		for _, key := range []string{"deliveries", "cpu", "broker"} {
			medians[fmt.Sprint(key, p)] = v[key]
		}
	}
	return medians, nil
}

// groupOnce is a burst, and what the broker needed for it.
func (b *bench) groupOnce(f *load.Fleet, subscribers int, job control.Job) (values, error) {
	before, err := b.brokerCPU()
	if err != nil {
		return nil, err
	}
	v, err := b.oneBurst(f, subscribers, job, payload.Plain(messageBytes))
	if err != nil {
		return nil, err
	}
	after, err := b.brokerCPU()
	v["broker"] = float64((after - before).Nanoseconds()) / float64(job.Messages)
	return v, err
}

// groupLatency is steady with so few subscribers that the way of a message is what takes time.
func groupLatency(size steadySize, rounds int) *scenario {
	s := steady(size, rounds).forGroups()
	s.name, s.title = "group-latency", "Latency in a group"
	return s
}

func groupTopics(clients, topics, rounds int) *scenario {
	s := &scenario{
		name:   "group-topics",
		title:  "Many topics in a group",
		detail: fmt.Sprintf("%d clients subscribe to %d topics each that nobody else subscribes to, all at once; until the last subscription is in force; then memory as with idle connections", clients, topics),
		rounds: rounds,
		metrics: []report.Metric{
			{Key: "force", Title: "all in force after", Unit: "ns"},
			{Key: "memory", Title: "resident memory per topic", Unit: "bytes"},
			{Key: "heap", Title: "heap per topic", Unit: "bytes"},
			{Key: "broker", Title: "the broker's per topic", Unit: "bytes"},
		},
		run: func(ctx context.Context, c Contender) (values, error) {
			return measureGroupTopics(ctx, c, clients, topics)
		},
	}
	return s.forGroups()
}

func measureGroupTopics(ctx context.Context, c Contender, clients, topics int) (values, error) {
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
	heapBefore, err := b.Stats(ctx)
	if err != nil {
		return nil, err
	}
	brokerBefore, err := b.brokerResident()
	if err != nil {
		return nil, err
	}
	begun := time.Now()
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
	force := time.Since(begun)
	after, err := b.settled()
	if err != nil {
		return nil, err
	}
	heapAfter, err := b.Stats(ctx)
	if err != nil {
		return nil, err
	}
	brokerAfter, err := b.brokerResident()
	n := float64(clients * topics)
	return values{
		"force":  float64(force.Nanoseconds()),
		"memory": float64(after-before) / n,
		"heap":   (float64(heapAfter.Heap) - float64(heapBefore.Heap)) / n,
		"broker": float64(brokerAfter-brokerBefore) / n,
	}, err
}

func (b *bench) brokerResident() (int64, error) {
	if b.broker == nil {
		return 0, nil
	}
	return proc.Resident(b.broker.PID)
}

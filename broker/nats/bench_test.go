package natsbroker

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// counters are those of some Receivers.
type counters struct{ messages, calls, lost atomic.Int64 }

// counter is a Receiver.
type counter struct{ *counters }

func (c *counter) Began(string, uint64) {}
func (c *counter) Lost(error)           { c.lost.Add(1) }
func (c *counter) Deliver(list []broker.Message) {
	c.messages.Add(int64(len(list)))
	c.calls.Add(1)
}

// BenchmarkDeliver is from one publisher's connection to the Receivers of another, 128 bytes each. nats.go alone is there to compare with.
func BenchmarkDeliver(b *testing.B) {
	b.Run("nats.go", func(b *testing.B) {
		s := startServer(b)
		nc, in, n := plainClient(b, s.url()), make(chan *nats.Msg, 65_536), atomic.Int64{}
		_, err := nc.ChanSubscribe("tank.c.0", in)
		must(b, err)
		must(b, nc.Flush())
		go func() {
			for range in {
				n.Add(1)
			}
		}()
		deliver(b, s, 1, func() (int64, bool) { return n.Load(), false })
		close(in)
	})
	for _, names := range []int{1, 10_000} {
		b.Run(fmt.Sprint(names, "_names"), func(b *testing.B) {
			s := startServer(b)
			n, c := upNode(b, Options{URL: s.url()}), new(counters)
			subs := make([]broker.Subscription, names)
			for i := range names {
				subs[i] = broker.Subscription{Name: fmt.Sprint(i), To: &counter{c}}
			}
			must(b, n.Subscribe(timeout(b, patience), subs))
			deliver(b, s, names, func() (int64, bool) { return c.messages.Load(), c.lost.Load() > 0 })
			b.ReportMetric(float64(b.N)/float64(c.calls.Load()), "msg/batch")
		})
	}
}

func deliver(b *testing.B, s *natsServer, names int, state func() (came int64, lost bool)) {
	from, data := plainClient(b, s.url()), []byte(strings.Repeat("x", 128))
	subjects := make([]string, names)
	for i := range names {
		subjects[i] = fmt.Sprint("tank.c.", i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	await := func(n int) {
		await(b, "taken", func() bool {
			came, lost := state()
			if lost {
				b.Fatalf("%d of %d came, and some were lost", came, n)
			}
			return came >= int64(n)
		})
	}
	for i := range b.N {
		must(b, from.Publish(subjects[i%names], data))
		if i%10_000 == 0 { // or the publisher would run away
			await(i - 30_000)
		}
	}
	must(b, from.Flush())
	await(b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkPublish is the cost to a publisher, 128 bytes each; nobody subscribes. nats.go alone is there to compare with.
func BenchmarkPublish(b *testing.B) {
	s := startServer(b)
	data := strings.Repeat("x", 128)
	ctx := context.Background()
	b.Run("nats.go", func(b *testing.B) {
		nc := plainClient(b, s.url(), nats.ReconnectBufSize(-1))
		b.ReportAllocs()
		for b.Loop() {
			must(b, nc.Publish("tank.c.x", []byte(data)))
		}
	})
	for name, mode := range modes {
		n := upNode(b, Options{URL: s.url(), Mode: mode})
		for kind, p := range map[string]broker.Publication{"text": {Data: data}, "key": {Data: data, Key: "ann 1", JSON: true}} {
			b.Run(name+"_"+kind, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, err := n.Publish(ctx, "x", p)
					must(b, err)
				}
			})
		}
		for _, publishers := range []int{16, 256} {
			b.Run(fmt.Sprint(name, "_", publishers, "_publishers"), func(b *testing.B) {
				b.SetParallelism(publishers / runtime.GOMAXPROCS(0))
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if _, err := n.Publish(ctx, "x", broker.Publication{Data: data}); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}

// BenchmarkSubscriptions is the cost of 10,000.
func BenchmarkSubscriptions(b *testing.B) {
	const many = 10_000
	s := startServer(b)
	n := upNode(b, Options{URL: s.url()})
	memory := func() (bytes, count uint64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, m.Mallocs
	}
	subs := make([]broker.Subscription, many)
	for i := range many {
		subs[i] = broker.Subscription{Name: fmt.Sprint("topic-", i), To: &counter{new(counters)}}
	}
	var bytes, allocs float64
	goroutines := 0
	for b.Loop() {
		b.StopTimer()
		before, mallocs := memory()
		was := runtime.NumGoroutine()
		b.StartTimer()
		must(b, n.Subscribe(timeout(b, patience), subs))
		b.StopTimer()
		after, mallocsAfter := memory()
		bytes += float64(after) - float64(before)
		allocs += float64(mallocsAfter - mallocs)
		goroutines = max(goroutines, runtime.NumGoroutine()-was)
		n.Unsubscribe(subs)
		await(b, "the server is told", func() bool { return n.conn.NumSubscriptions() == 0 && s.server.NumSubscriptions() == 0 })
		b.StartTimer()
	}
	b.ReportMetric(bytes/float64(b.N)/many, "heap-B/sub") // with those of the server, which is in this process
	b.ReportMetric(allocs/float64(b.N)/many, "allocs/sub")
	b.ReportMetric(float64(goroutines), "goroutines")
}

// BenchmarkFill is how long a node takes for 1,000 messages that it has missed: in one page, and after its connection was cut, until it is
// up again and its Receiver has the last.
func BenchmarkFill(b *testing.B) {
	const missed = 1000
	for name, memory := range map[string]bool{"file": false, "memory": true} {
		s := startServer(b, withJetStream(b))
		p := newProxy(b, s.addr())
		o := Options{Mode: JetStream, Stream: StreamOptions{Memory: memory, Messages: 1_000_000}}
		there, away := o, o
		there.URL, away.URL = s.url(), p.url()
		from, to := upNode(b, there), upNode(b, away)
		l := &ledger{name: "x"}
		must(b, to.Subscribe(timeout(b, patience), []broker.Subscription{{Name: "x", Keep: true, To: l}}))
		last := broker.Receipt{}
		miss := func() (before broker.Receipt) {
			before = last
			for i := range missed {
				var err error
				last, err = from.Publish(timeout(b, patience), "x", broker.Publication{Data: strings.Repeat("x", 128), Key: fmt.Sprint(before.Offset, " ", i), Keep: true})
				must(b, err)
			}
			return before
		}
		arrived := func() bool { return l.stands() >= last.Offset }
		miss()
		await(b, "delivered", arrived)
		b.Run(name+"_page", func(b *testing.B) {
			before := miss()
			for b.Loop() {
				page, err := to.After(timeout(b, patience), "x", before.Epoch, before.Offset, missed)
				must(b, err)
				if len(page.Messages) != missed || !page.Whole {
					b.Fatalf("%d messages, whole: %v", len(page.Messages), page.Whole)
				}
			}
		})
		b.Run(name+"_cut", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				await(b, "delivered", arrived)
				p.cut()
				await(b, "down", func() bool { return !to.isUp() })
				miss()
				p.heal()
				b.StartTimer()
				await(b, "filled", arrived)
			}
		})
	}
}

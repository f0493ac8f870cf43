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

// counter is a Receiver.
type counter struct{ n, calls, lost atomic.Int64 }

func (c *counter) Began(string, uint64) {}
func (c *counter) Lost(error)           { c.lost.Add(1) }
func (c *counter) Deliver(list []broker.Message) {
	c.n.Add(int64(len(list)))
	c.calls.Add(1)
}

// BenchmarkDeliver is from one publisher's connection to the Receivers of another, 128 bytes each.
func BenchmarkDeliver(b *testing.B) {
	for _, names := range []int{1, 10_000} {
		b.Run(fmt.Sprint(names, "_names"), func(b *testing.B) {
			s := startServer(b)
			n, from := upNode(b, Options{URL: s.url()}), plainClient(b, s.url())
			c := make([]*counter, names)
			subs, subjects := make([]broker.Subscription, names), make([]string, names)
			for i := range names {
				c[i] = new(counter)
				subs[i] = broker.Subscription{Name: fmt.Sprint(i), To: c[i]}
				subjects[i] = fmt.Sprint("tank.c.", i)
			}
			must(b, n.Subscribe(timeout(b, patience), subs))
			total := func() (sum, calls, lost int64) {
				for _, one := range c {
					sum, calls, lost = sum+one.n.Load(), calls+one.calls.Load(), lost+one.lost.Load()
				}
				return sum, calls, lost
			}
			data := []byte(strings.Repeat("x", 128))
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				must(b, from.Publish(subjects[i%names], data))
				if i%5000 == 4999 { // or the publisher would run away
					must(b, from.Flush())
					await(b, "taken", func() bool { sum, _, lost := total(); return int64(i)-sum < 20_000 || lost > 0 })
				}
			}
			must(b, from.Flush())
			await(b, "all", func() bool { sum, _, lost := total(); return sum == int64(b.N) || lost > 0 })
			b.StopTimer()
			sum, calls, lost := total()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64(sum)/float64(calls), "msg/batch")
			if lost > 0 {
				b.Errorf("lost %d times, %d of %d came", lost, sum, b.N)
			}
		})
	}
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
		subs[i] = broker.Subscription{Name: fmt.Sprint("topic-", i), To: new(counter)}
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

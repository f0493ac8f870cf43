package topic_test

import (
	"fmt"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// counter is a Subscriber that only counts.
type counter struct{ messages atomic.Int64 }

func (c *counter) Deliver(b *wire.Batch) (taken, idle bool) {
	c.messages.Add(int64(b.Messages))
	return true, false
}

// BenchmarkFanOut measures messages of 128 bytes from one publisher to all subscribers' outboxes.
func BenchmarkFanOut(b *testing.B) {
	data := strings.Repeat("x", 128)
	for _, n := range []int{1, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("subscribers=%d", n), func(b *testing.B) {
			stopped := make(chan struct{})
			h := topic.Spawn("room", topic.Options{QueueBytes: 1 << 20, OnStop: func(*topic.Topic, error) { close(stopped) }})
			subscribers := make([]counter, n)
			for i := range subscribers {
				h.Join(&topic.Member{Subscriber: &subscribers[i]})
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := publish(h, b.Context(), data); err != nil {
					b.Fatal(err)
				}
			}
			h.Stop()
			<-stopped
			b.ReportMetric(float64(h.Stats().Delivered)/b.Elapsed().Seconds(), "deliveries/s")
			if got := subscribers[n-1].messages.Load(); got != int64(h.Stats().Published) {
				b.Fatalf("%d of %d messages delivered", got, h.Stats().Published)
			}
		})
	}
}

// BenchmarkFanOutSingly is the same without a burst: each message is delivered before the next is published.
func BenchmarkFanOutSingly(b *testing.B) {
	data := strings.Repeat("x", 128)
	for _, n := range []int{1, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("subscribers=%d", n), func(b *testing.B) {
			h := topic.Spawn("room", topic.Options{})
			defer h.Stop()
			for range n - 1 {
				h.Join(&topic.Member{Subscriber: &counter{}})
			}
			last := make(echo)
			h.Join(&topic.Member{Subscriber: last})
			b.ReportAllocs()
			for b.Loop() {
				if err := publish(h, b.Context(), data); err != nil {
					b.Fatal(err)
				}
				<-last
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}

// echo is a Subscriber that waits until each batch is seen.
type echo chan struct{}

func (e echo) Deliver(*wire.Batch) (taken, idle bool) { e <- struct{}{}; return true, false }

func (*counter) Encoding() wire.Encoding { return wire.V1 }
func (echo) Encoding() wire.Encoding     { return wire.V1 }

func (*counter) Flush() {}
func (echo) Flush()     {}

// BenchmarkPool measures posts to thousands of actors in a pool, as when each of many topics is published to.
func BenchmarkPool(b *testing.B) {
	const actors = 2000
	for _, publishers := range []int{1, 64} {
		b.Run(fmt.Sprintf("publishers=%d", publishers), func(b *testing.B) {
			b.ReportAllocs()
			pool := topic.NewPool(2)
			refs := make([]*actor.Ref[int], actors)
			for i := range refs {
				refs[i] = actor.Spawn(actor.Options{Schedule: pool.Go}, func(mail iter.Seq[int]) {
					for range mail {
					}
				})
			}
			var wg sync.WaitGroup
			for p := range publishers {
				wg.Go(func() {
					for i := p; i < b.N; i += publishers {
						refs[i%actors].Post(i)
					}
				})
			}
			wg.Wait()
			for _, ref := range refs {
				ref.Stop()
				<-ref.Done()
			}
		})
	}
}

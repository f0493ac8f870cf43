package test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// benchServer runs an instance behind a real HTTP server until the benchmark ends.
func benchServer(b *testing.B, outbox int) (m *tank.Manager, addr string) {
	m = tank.NewInstance(tank.WithLimits(tank.Limits{OutboxBytes: outbox}))
	go m.Start()
	server := httptest.NewServer(m)
	b.Cleanup(server.Close)
	b.Cleanup(func() { m.Shutdown(context.Background()) })
	return m, server.Listener.Addr().String()
}

// rawSubscriber connects, subscribes and counts the bytes that come.
func rawSubscriber(b *testing.B, addr, topic string, received *atomic.Int64) net.Conn {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	c := wstest.NewConn(conn, 512)
	if err := c.Upgrade(wstest.Handshake{}); err != nil {
		b.Fatal(err)
	}
	c.Write(frame(opText, "sub:"+topic))
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			received.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	return conn
}

// BenchmarkBurst publishes bursts of 100 messages of 128 bytes and waits until every subscriber has them: deliveries
// per second include the clients, which run in the same process.
func BenchmarkBurst(b *testing.B) {
	for _, subscribers := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(subscribers), func(b *testing.B) {
			m, addr := benchServer(b, 64<<20)
			var received atomic.Int64
			for range subscribers {
				defer rawSubscriber(b, addr, "news", &received).Close()
			}
			for m.GetTopicSubscriberCount("news") < subscribers {
			}
			data := strings.Repeat("x", 128)
			size := int64(4 + len(`{"topic":"news","data":""}`) + 128)
			const burst = 100
			received.Store(0)
			b.ReportAllocs()
			b.ResetTimer()
			for n := range b.N {
				for range burst {
					if err := m.BroadcastTopicMessage("news", data); err != nil {
						b.Fatal(err)
					}
				}
				for received.Load() < int64(n+1)*burst*int64(subscribers)*size {
				}
			}
			b.ReportMetric(float64(b.N*burst*subscribers)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}

// BenchmarkPublish measures what a publisher pays, with one subscriber, who only counts bytes.
func BenchmarkPublish(b *testing.B) {
	for _, publishers := range []int{1, 64} {
		b.Run(fmt.Sprint(publishers), func(b *testing.B) {
			m, addr := benchServer(b, 1<<30)
			var received atomic.Int64
			defer rawSubscriber(b, addr, "news", &received).Close()
			for m.GetTopicSubscriberCount("news") < 1 {
			}
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for p := range publishers {
				wg.Go(func() {
					for i := p; i < b.N; i += publishers {
						if err := m.Publish(context.Background(), "news", "0123456789abcdef"); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// BenchmarkManyTopics publishes round robin to topics with one subscriber each.
func BenchmarkManyTopics(b *testing.B) {
	for _, publishers := range []int{1, 64} {
		b.Run(fmt.Sprint(publishers), func(b *testing.B) {
			const topics = 2000
			m, addr := benchServer(b, 1<<30)
			var received atomic.Int64
			for i := range topics {
				defer rawSubscriber(b, addr, fmt.Sprint("topic", i), &received).Close()
			}
			for len(m.GetAllTopics()) < topics {
			}
			names := make([]string, topics)
			for i := range names {
				names[i] = fmt.Sprint("topic", i)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for p := range publishers {
				wg.Go(func() {
					for i := p; i < b.N; i += publishers {
						if err := m.Publish(context.Background(), names[i%topics], "0123456789abcdef"); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			for m.Stats().MessagesOut < uint64(b.N) {
			}
		})
	}
}

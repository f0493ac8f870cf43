package test

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// unlimited is an instance behind a real HTTP server that takes as many messages as come.
func unlimited(b *testing.B) (m *tank.Manager, addr string) {
	m = tank.NewInstance(tank.WithHeartbeat(time.Hour, time.Hour), tank.WithLimits(tank.Limits{
		Connections: math.MaxInt, Subscriptions: math.MaxInt,
		MessagesPerSecond: math.MaxInt, MessageBurst: math.MaxInt,
	}))
	go m.Start()
	server := httptest.NewServer(m)
	b.Cleanup(server.Close)
	b.Cleanup(func() { m.Shutdown(context.Background()) })
	return m, server.Listener.Addr().String()
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkChanges has 200 clients each send 100 commands at once, over 50 topics, and waits until all took effect: each operation is
// one change of a subscription. What the clients need for writing is included.
func BenchmarkChanges(b *testing.B) {
	const clients, times, topics = 200, 50, 50
	for name, command := range map[string]string{"v1": "%s:room%d", "v2": `{"id":1,"%s":"room%d"}`} {
		b.Run(name, func(b *testing.B) {
			m, addr := unlimited(b)
			conns := make([]*wstest.Conn, clients)
			bursts := make([][]byte, clients)
			for i := range conns {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					b.Fatal(err)
				}
				defer conn.Close()
				h := wstest.Handshake{}
				if name == "v2" {
					h.Header = "Sec-WebSocket-Protocol: tank.v2\r\n"
				}
				if conns[i], err = wstest.Upgrade(conn, h); err != nil {
					b.Fatal(err)
				}
				go discard(conns[i])
				for j := range times {
					for _, verb := range []string{"sub", "unsub"} {
						bursts[i] = append(bursts[i], frame(opText, fmt.Sprintf(command, verb, (i+j)%topics))...)
					}
				}
			}
			for m.GetClientCount() < clients {
			}
			b.ReportAllocs()
			b.ResetTimer()
			before, done := cpuTime(b), m.Stats().MessagesIn
			changes := 0
			for changes < b.N {
				for i, conn := range conns {
					if _, err := conn.Write(bursts[i]); err != nil {
						b.Fatal(err)
					}
				}
				changes += clients * 2 * times
				for m.Stats().MessagesIn < done+uint64(changes) {
					time.Sleep(time.Millisecond)
				}
				m.GetTopicSubscriberCount("room0") // behind all that was posted
			}
			b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(changes), "cpu-ns/change")
			b.ReportMetric(float64(changes)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}

// discard reads what comes.
func discard(c *wstest.Conn) {
	buf := make([]byte, 64<<10)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

// BenchmarkConnects has so many clients connect, from 64 goroutines: each operation is one connection, from dialing until it is
// registered. What the clients need is included. There are two file descriptors for each, and 9,000 connections at most.
func BenchmarkConnects(b *testing.B) {
	const most, dialers = 9000, 64
	m, addr := unlimited(b)
	n := min(b.N, most)
	conns := make([]*wstest.Conn, n)
	b.ResetTimer()
	before := cpuTime(b)
	var wg sync.WaitGroup
	for d := range dialers {
		wg.Go(func() {
			for i := d; i < n; i += dialers {
				conn, err := net.Dial("tcp", addr)
				if err == nil {
					conns[i], err = wstest.Upgrade(conn, wstest.Handshake{})
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for !b.Failed() && m.GetClientCount() < n {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(n), "cpu-ns/connect")
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "connects/s")
	b.StopTimer()
	for _, c := range conns {
		if c != nil {
			c.Close()
		}
	}
}

package hub

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/metrics"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// What the supervisor takes by itself: sessions come from nowhere, nothing is read from their connections, and nothing written to them.

// quiet is an observer and an owner of connections that wants to know nothing.
type quiet struct{}

func (quiet) Event(Event)                {}
func (quiet) Fault(Fault)                {}
func (quiet) Report(any)                 {}
func (quiet) Ended()                     {}
func (quiet) Received([]byte, bool)      {}
func (quiet) Paused()                    {}
func (quiet) Failed(client.Fault, error) {}
func (quiet) Gone(int, string)           {}
func (quiet) CloseBegun()                {}
func (quiet) ReaderDone()                {}

// benchHub is a hub until the benchmark ends.
func benchHub(b *testing.B) *Hub {
	h := New(Config{
		Subscriptions: 1 << 30, SessionsPerUser: 1 << 30, TopicQueueBytes: 1 << 20, TotalOutboxBytes: 1 << 30,
		HeartbeatInterval: time.Hour, HeartbeatTimeout: time.Hour, Refill: 2 * time.Second,
		BatchMessages: metrics.NewHistogram(1), OutboxBytes: metrics.NewHistogram(1), Observer: quiet{},
	})
	go h.Start()
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		h.Shutdown(ctx, Steps{BeforeEnd: func(context.Context) error { return nil }, AfterEnd: func(time.Duration) {}})
	})
	return h
}

// hijacked is an HTTP server's side of a connection.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// benchClients makes clients of connections that nobody reads.
func benchClients(b *testing.B, h *Hub, n int) []*client.Client {
	o := &client.Options{OutboxBytes: 1 << 20, MessageBytes: 32 << 10, Budget: h.Budget(), Counters: &client.Counters{}}
	list := make([]*client.Client, n)
	for i := range list {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		wstest.SetHeader(r.Header)
		_, server := memnet.Pipe(1 << 10)
		conn, err := client.Upgrade(hijacked{httptest.NewRecorder(), server}, r, client.UpgradeOptions{})
		if err != nil {
			b.Fatal(err)
		}
		list[i] = client.New(conn, o, quiet{})
	}
	return list
}

// benchSession registers a session of a client.
func benchSession(b *testing.B, h *Hub, c *client.Client, user string) *Session {
	s := &Session{ID: uuid.NewString(), UserID: user, Client: c}
	if err := h.Register(s, Registration{Address: "192.0.2.1:1"}); err != nil {
		b.Fatal(err)
	}
	return s
}

// cpuTime is what this process has used. It can be compared on a machine that is busy with other things, too.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkChange subscribes and unsubscribes: each operation is one of both.
func BenchmarkChange(b *testing.B) {
	const sessions, topics, commands = 200, 50, maxChanges
	h := benchHub(b)
	list := make([]*Session, sessions)
	for i, c := range benchClients(b, h, sessions) {
		list[i] = benchSession(b, h, c, fmt.Sprint("user", i))
	}
	names := make([]string, topics)
	for i := range names {
		names[i] = fmt.Sprint("room", i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	for n := 0; n < b.N; n += commands {
		s := list[n/commands%sessions]
		c := NewChanges(s)
		for i := range commands / 2 {
			name := names[(n/2+i)%topics]
			c.Subscribe(name, "", nil)
			c.Unsubscribe(name, 0)
		}
		h.Post(c)
		if n%(64*commands) == 0 {
			h.Sync()
		}
	}
	h.Sync()
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// BenchmarkConnect registers sessions, while so many others are there, and ends them: each operation is one of a session's. So many edges
// do that at the same time.
func BenchmarkConnect(b *testing.B) {
	for _, at := range []struct{ others, edges int }{{0, 1}, {0, 100}, {100_000, 100}} {
		b.Run(fmt.Sprintf("%d-others-%d-edges", at.others, at.edges), func(b *testing.B) {
			h := benchHub(b)
			for i, c := range benchClients(b, h, at.others) {
				benchSession(b, h, c, fmt.Sprint("user", i))
			}
			clients := benchClients(b, h, at.edges)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpuTime(b)
			var wg sync.WaitGroup
			for i, c := range clients {
				wg.Go(func() {
					user := fmt.Sprint("newcomer", i)
					for range b.N / at.edges {
						h.Gone(benchSession(b, h, c, user), true, "1006")
					}
				})
			}
			wg.Wait()
			h.Sync()
			b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

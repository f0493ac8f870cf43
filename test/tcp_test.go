package test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// What follows runs on real sockets, because gathering writes, TLS and half-closing exist only there.

// overTCP runs an instance behind a real HTTP server, with TLS or without.
func overTCP(t *testing.T, secure bool, opts ...tank.Option) (*tank.Manager, *httptest.Server) {
	m := tank.NewInstance(opts...)
	go m.Start()
	start := httptest.NewServer
	if secure {
		start = httptest.NewTLSServer
	}
	server := start(m)
	t.Cleanup(server.Close)
	t.Cleanup(func() { m.Shutdown(within(t, 10*time.Second)) })
	return m, server
}

func dialTCP(t *testing.T, server *httptest.Server, user string) *websocket.Conn {
	t.Helper()
	client := server.Client()
	t.Cleanup(client.CloseIdleConnections)
	c, _, err := websocket.Dial(t.Context(), server.URL+"/?user_id="+user, &websocket.DialOptions{HTTPClient: client})
	must(t, err)
	c.SetReadLimit(-1)
	t.Cleanup(func() { c.CloseNow() })
	return c
}

func eachTransport(t *testing.T, test func(t *testing.T, secure bool)) { transports(t, 2, test) }

// aTransport is for tests that take long over each: it is one of them, whichever, or all.
func aTransport(t *testing.T, test func(t *testing.T, secure bool)) { transports(t, 1, test) }

func transports(t *testing.T, few int, test func(t *testing.T, secure bool)) {
	for name, secure := range sample(few, map[string]bool{"TCP": false, "TLS": true}) {
		t.Run(name, func(t *testing.T) { test(t, secure) })
	}
}

func TestBurstOverRealSockets(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure bool) {
		const clients, messages = 20, 3000
		m, server := overTCP(t, secure, tank.WithLimits(tank.Limits{OutboxBytes: 64 << 20}))
		var wg sync.WaitGroup
		for i := range clients {
			c := dialTCP(t, server, fmt.Sprint("u", i))
			must(t, c.Write(t.Context(), websocket.MessageText, []byte("sub:news")))
			wg.Go(func() {
				for i := range messages {
					want := fmt.Sprintf(`{"topic":"news","data":"%d%s"}`, i, strings.Repeat("x", i%300))
					if _, got, err := c.Read(t.Context()); err != nil || string(got) != want {
						t.Errorf("got %q (%v), want %q", got, err, want)
						return
					}
				}
				if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
					t.Errorf("got %v, want close 1001", err)
				}
			})
		}
		for range clients * 2 { // connect and subscribe events
			<-m.ConnEvents
		}
		for i := range messages {
			must(t, m.BroadcastTopicMessage("news", fmt.Sprint(i)+strings.Repeat("x", i%300)))
		}
		must(t, m.Shutdown(within(t, time.Minute)))
		wg.Wait()
		if s := m.Stats(); s.MessagesOut != clients*messages || s.Dropped != 0 {
			t.Fatalf("got %+v", s)
		}
	})
}

func TestFrozenPeerIsCutAtTheEndOfShutdownsContext(t *testing.T) {
	t.Parallel() // it waits, for the most part
	aTransport(t, func(t *testing.T, secure bool) {
		m, server := overTCP(t, secure, tank.WithLimits(tank.Limits{OutboxBytes: 1 << 30, CloseTimeout: time.Hour, WriteTimeout: time.Hour}))
		dialTCP(t, server, "frozen")
		<-m.ConnEvents
		for range 64 { // more than the socket buffers of both sides hold
			must(t, m.BroadcastMessage(make([]byte, 1<<20)))
		}
		mustBe(t, m.Shutdown(within(t, 300*time.Millisecond)), context.DeadlineExceeded)
		if n := m.GetClientCount(); n != 0 {
			t.Fatalf("%d clients", n)
		}
	})
}

func TestProtocolErrorOverRealSocketsDeliversTheCloseFrame(t *testing.T) {
	t.Parallel() // it waits, for the most part
	aTransport(t, func(t *testing.T, secure bool) {
		m, server := overTCP(t, secure)
		c := dialTCP(t, server, "ann")
		<-m.ConnEvents
		go c.Write(t.Context(), websocket.MessageText, make([]byte, 1<<20)) // far over the limit, so much is unread
		if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
			t.Fatalf("got %v, want close 1009", err)
		}
		if e := <-m.ConnEvents; e.EventType != tank.EventDisconnect || !strings.HasPrefix(e.Reason, "1009 ") {
			t.Fatalf("got %+v", e)
		}
	})
}

func TestServerDeadlinesDoNotOutliveTheHandshake(t *testing.T) {
	m := tank.NewInstance()
	go m.Start()
	defer m.Shutdown(context.Background())
	server := httptest.NewUnstartedServer(m)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	server.Start()
	defer server.Close()
	c := dialTCP(t, server, "ann")
	defer c.CloseNow()
	<-m.ConnEvents
	<-time.After(150 * time.Millisecond) // the deadlines have passed; nothing to wait for but time
	must(t, m.BroadcastMessage([]byte("still here")))
	if _, got, err := c.Read(t.Context()); err != nil || string(got) != "still here" {
		t.Fatalf("got %q (%v)", got, err)
	}
}

func TestNothingIsKeptOfClientsThatHaveLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		come := func(n int) {
			for i := range n {
				p := s.dial(fmt.Sprint("user", i))
				p.send("sub:" + strings.Repeat("t", i%200+1))
				p.write(closeFrame(1000, ""))
				for e := s.event(); e.EventType != tank.EventDisconnect; e = s.event() {
				}
				p.conn.Close()
			}
			synctest.Wait()
		}
		come(100) // so that maps and pools have grown
		before := heap()
		come(1000)
		if grown := int(heap()) - int(before); grown > 1<<20 {
			t.Fatalf("the heap has grown by %d bytes for each client that has left", grown/1000)
		}
	})
}

// heap returns the bytes in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what had a finalizer is free now
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestHandlerReturnsWhileTheConnectionLives(t *testing.T) {
	m := tank.NewInstance()
	go m.Start()
	defer m.Shutdown(context.Background())
	returned := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.HandleConnection(w, r)
		close(returned)
	}))
	defer server.Close()
	c := dialTCP(t, server, "ann")
	defer c.CloseNow()
	<-returned // so that net/http gives its goroutine and buffers back
	<-m.ConnEvents
	must(t, m.BroadcastMessage([]byte("x")))
	if _, _, err := c.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
}

package test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// started runs Start in a goroutine and returns a channel that is closed when it returns.
func started(m *tank.Manager) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		m.Start()
		close(done)
	}()
	return done
}

func hasEnded(done <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func TestStartRunsUntilShutdownAndASecondStartWaitsForTheSameEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := tank.NewInstance()
		if m.IsRunning() {
			t.Fatal("running before Start")
		}
		first, second := started(m), started(m)
		if hasEnded(first) || hasEnded(second) {
			t.Fatal("Start returned before Shutdown")
		}
		if !m.IsRunning() {
			t.Fatal("not running after Start")
		}
		must(t, m.Shutdown(t.Context()))
		if m.IsRunning() {
			t.Fatal("running after Shutdown")
		}
		if !hasEnded(first) || !hasEnded(second) {
			t.Fatal("Start did not return after Shutdown")
		}
		m.Start() // at once
	})
}

func TestShutdownBeforeStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := tank.NewInstance()
		must(t, m.Shutdown(t.Context()))
		must(t, m.Shutdown(t.Context()))
		m.Start()
		mustBe(t, m.BroadcastTopicMessage("news", "x"), tank.ErrClosed)
	})
}

func TestCallsBeforeStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := tank.NewInstance()
		defer m.Shutdown(t.Context())
		must(t, m.BroadcastMessage([]byte("x")))
		must(t, m.BroadcastTopicMessage("news", "x"))
		must(t, m.Publish(t.Context(), "news", "x"))
		checkEmpty(t, m)
	})
}

func TestCallsAfterShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var c *tank.Client
		s := serve(t, tank.WithMessageHandler(func(from *tank.Client, _ tank.Message) { c = from }))
		p := s.dial("ann")
		p.subscribe(s, "news")
		p.send("hello")
		synctest.Wait()
		p.conn.Close()
		must(t, s.Shutdown(t.Context()))
		mustBe(t, s.BroadcastMessage([]byte("x")), tank.ErrClosed)
		mustBe(t, s.BroadcastTopicMessage("news", "x"), tank.ErrClosed)
		mustBe(t, s.Publish(t.Context(), "news", "x"), tank.ErrClosed)
		mustBe(t, c.Send(tank.Message{Data: []byte("x")}), tank.ErrClosed)
		mustBe(t, c.Subscribe("news"), tank.ErrClosed)
		mustBe(t, c.Unsubscribe("news"), tank.ErrClosed)
		mustBe(t, c.Close(1000, ""), tank.ErrClosed)
		if topics := c.Topics(); len(topics) != 0 {
			t.Fatalf("client of an instance that is shut down has topics %q", topics)
		}
		checkEmpty(t, s.Manager)
		for range s.Errors { // ends
		}
		for range s.ConnEvents {
		}
	})
}

func checkEmpty(t *testing.T, m *tank.Manager) {
	t.Helper()
	if n := m.GetClientCount(); n != 0 {
		t.Errorf("%d clients", n)
	}
	if n := m.GetTopicSubscriberCount("news"); n != 0 {
		t.Errorf("%d subscribers", n)
	}
	if l := m.GetAllTopics(); len(l) != 0 {
		t.Errorf("topics %v", l)
	}
	if n := m.CloseUser("ann"); n != 0 {
		t.Errorf("closed %d clients", n)
	}
	if s := m.Stats(); s.Clients != 0 || s.Topics != 0 || s.Uptime != 0 {
		t.Errorf("stats %+v", s)
	}
	if m.IsRunning() {
		t.Error("running")
	}
}

func TestRequestBeforeStartWaitsForIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := mount(t, tank.NewInstance())
		go func() {
			time.Sleep(time.Second)
			s.Start()
		}()
		began := time.Now()
		s.dial("ann")
		if waited := time.Since(began); waited != time.Second {
			t.Fatalf("connected after %v, want as soon as Start has run", waited)
		}
		s.expectEvents("connect ann")
	})
}

func TestRequestThatStartDoesNotComeForIsAnswered503(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := mount(t, tank.NewInstance())
		began := time.Now()
		_, resp := s.request(handshake{path: "/"})
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Fatalf("got %s with Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
		}
		if waited := time.Since(began); waited != 2*time.Second {
			t.Fatalf("answered after %v, want 2s", waited)
		}
		s.expectError(tank.CodeUpgrade)
	})
}

func TestRequestAfterShutdownIsAnswered503(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		must(t, s.Shutdown(t.Context()))
		for range 50 {
			if _, resp := s.request(handshake{path: "/"}); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
				t.Fatalf("got %s with Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
			}
		}
	})
}

func TestRequestDuringShutdownIsAnswered503(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		s.dial("ann") // who does not answer the close frame, so that shutting down takes its time
		go s.Shutdown(t.Context())
		synctest.Wait()
		for range 50 {
			if _, resp := s.request(handshake{path: "/"}); resp.StatusCode != 503 {
				t.Fatalf("got %s", resp.Status)
			}
		}
	})
}

func TestShutdownDeliversWhatWasQueuedThenSays1001ToAllInParallel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const clients, messages = 50, 200
		s := serve(t)
		peers := make([]*peer, clients)
		for i := range peers {
			// A buffer that holds only part of what comes, so that shutting down has to wait for the peers.
			peers[i] = s.connect(handshake{path: fmt.Sprintf("/?user_id=u%d", i), buffer: 1 << 10})
			peers[i].subscribe(s, "news")
		}
		for i := range messages {
			must(t, s.BroadcastTopicMessage("news", fmt.Sprint(i)))
		}
		began := time.Now()
		result := make(chan error, 1)
		go func() { result <- s.Shutdown(within(t, time.Minute)) }()
		var wg sync.WaitGroup
		for _, p := range peers {
			wg.Go(func() {
				time.Sleep(time.Second) // every peer takes its time to begin reading
				for i := range messages {
					p.expectTopic("news", fmt.Sprint(i))
				}
				if reason := p.expectClose(1001); reason == "" {
					t.Error("close 1001 without a reason")
				}
			})
		}
		wg.Wait()
		must(t, <-result)
		if took := time.Since(began); took != time.Second {
			t.Fatalf("took %v: as long as one peer took, want all in parallel", took)
		}
	})
}

func TestShutdownCutsWhatIsLeftAtTheEndOfItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{CloseTimeout: time.Hour}))
		frozen := s.connect(handshake{path: "/?user_id=frozen", buffer: 16})
		healthy := s.dial("healthy")
		must(t, s.BroadcastMessage(make([]byte, 1024)))
		healthy.next()
		began := time.Now()
		result := make(chan error, 1)
		go func() { result <- s.Shutdown(within(t, 3*time.Second)) }()
		healthy.expectClose(1001)
		mustBe(t, <-result, context.DeadlineExceeded)
		if took := time.Since(began); took != 3*time.Second {
			t.Fatalf("took %v, want the context's 3s", took)
		}
		if _, err := frozen.conn.Write(frame(opText, "x")); err == nil {
			t.Fatal("the frozen connection was not cut")
		}
		var left []string
		for e := range s.ConnEvents {
			if e.EventType == tank.EventDisconnect {
				left = append(left, e.UserID)
			}
		}
		if len(left) != 2 {
			t.Fatalf("disconnect events of %q, want of both clients", left)
		}
	})
}

func TestShutdownGivesUpOnAPeerThatIgnoresTheCloseFrame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		s.dial("ann")
		began := time.Now()
		must(t, s.Shutdown(t.Context()))
		if took := time.Since(began); took != tank.DefaultCloseTimeout {
			t.Fatalf("took %v, want the close timeout", took)
		}
	})
}

func TestShutdownIsIdempotentAndSafeConcurrently(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if err := s.Shutdown(within(t, time.Minute)); err != nil {
					t.Error(err)
				}
				mustBe(t, s.BroadcastMessage(nil), tank.ErrClosed)
			})
			wg.Go(s.Start)
		}
		p.expectClose(1001)
		wg.Wait()
	})
}

func TestShutdownAfterTheFirstWaitsNoLongerThanItsOwnContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		s := serve(t)
		s.SetHTTPServer(&http.Server{Handler: http.NotFoundHandler()})
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release })}
		listener := serveOn(t, server)
		s.SetHTTPServer(server)
		conn, err := listener.Dial(1024)
		must(t, err)
		defer conn.Close()
		conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		synctest.Wait()
		first := make(chan error, 1)
		go func() { first <- s.Shutdown(context.Background()) }()
		synctest.Wait()
		began := time.Now()
		mustBe(t, s.Shutdown(within(t, time.Second)), context.DeadlineExceeded)
		if took := time.Since(began); took != time.Second {
			t.Fatalf("the second call took %v, want 1s", took)
		}
		close(release)
		must(t, <-first)
	})
}

func TestShutdownShutsTheHTTPServerDownAfterTheClients(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		s.SetHTTPServer(s.http)
		p := s.dial("ann")
		clients := atomic.Int64{}
		clients.Store(-1)
		s.http.RegisterOnShutdown(func() { clients.Store(int64(s.GetClientCount())) })
		result := make(chan error, 1)
		go func() { result <- s.Shutdown(within(t, time.Minute)) }()
		p.expectClose(1001)
		must(t, <-result)
		synctest.Wait()
		if n := clients.Load(); n != 0 {
			t.Fatalf("HTTP server shut down with %d clients connected (-1: not at all)", n)
		}
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			t.Fatalf("HTTP server still serves: %v", err)
		}
	})
}

func TestShutdownFromACallbackReturns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		result := make(chan error, 1)
		var s *server
		s = serve(t, tank.WithMessageHandler(func(*tank.Client, tank.Message) {
			result <- s.Shutdown(context.Background())
		}))
		p := s.dial("ann")
		p.send("shut yourself down")
		p.expectClose(1001)
		mustBe(t, <-result, tank.ErrBusy)
		if s.GetClientCount() != 0 {
			t.Fatal("clients are left")
		}
	})
}

func TestShutdownWaitsForARunningCallback(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var returned atomic.Bool
		s := serve(t, tank.WithMessageHandler(func(*tank.Client, tank.Message) {
			time.Sleep(5500 * time.Millisecond) // past the close timeout, within the grace behind it
			returned.Store(true)
		}))
		p := s.dial("ann")
		p.send("work")
		synctest.Wait()
		must(t, s.Shutdown(t.Context()))
		if !returned.Load() {
			t.Fatal("Shutdown returned while a callback was running")
		}
	})
}

func TestStartAndShutdownRacing(t *testing.T) {
	for range 200 {
		m := tank.NewInstance()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(m.Start)
			wg.Go(func() { must(t, m.Shutdown(context.Background())) })
			wg.Go(func() {
				if err := m.BroadcastTopicMessage("news", "x"); err != nil && !errors.Is(err, tank.ErrClosed) {
					t.Error(err)
				}
				m.GetAllTopics()
				m.Stats()
			})
		}
		wg.Wait()
		if m.IsRunning() {
			t.Fatal("running after Shutdown")
		}
	}
}

// TestStatesComeInOrder: Stats.State goes forward only, and says "draining" only where WithDrain was given.
func TestStatesComeInOrder(t *testing.T) {
	order := []tank.State{"new", "running", "draining", "closing", "closed"}
	for range 100 {
		m := tank.NewInstance()
		var wg sync.WaitGroup
		wg.Go(m.Start)
		for range 2 {
			wg.Go(func() {
				for at := 0; order[at] != "closed"; {
					state := m.Stats().State
					now := slices.Index(order, state)
					if now < at || state == "draining" {
						t.Errorf("after %s came %s", order[at], state)
						return
					}
					at = now
				}
			})
		}
		wg.Go(func() { must(t, m.Shutdown(context.Background())) })
		wg.Wait()
	}
}

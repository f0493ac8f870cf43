package test

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// handled serves with a message handler that runs the function named by each message, in the connection's goroutine.
func handled(t *testing.T, actions map[string]func(*tank.Client), opts ...tank.Option) *server {
	return serve(t, append(opts, tank.WithMessageHandler(func(c *tank.Client, m tank.Message) {
		actions[string(m.Data)](c)
	}))...)
}

func TestClientMethodsFromAHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var s *server
		var p *peer
		s = handled(t, map[string]func(*tank.Client){
			"identify": func(c *tank.Client) {
				if len(c.ID()) != 36 || c.UserID() != "ann" || c.RemoteAddr() != p.conn.LocalAddr().String() || !strings.Contains(c.String(), c.ID()) {
					t.Errorf("got %v at %q", c, c.RemoteAddr())
				}
			},
			"subscribe": func(c *tank.Client) {
				must(t, c.Subscribe("news"))
				must(t, c.Subscribe("news"))
				must(t, c.Subscribe("apples"))
				must(t, s.BroadcastTopicMessage("news", "sees its own"))
				if got := strings.Join(c.Topics(), " "); got != "apples news" {
					t.Errorf("topics are %q", got)
				}
			},
			"unsubscribe": func(c *tank.Client) {
				must(t, c.Unsubscribe("news"))
				mustBe(t, c.Unsubscribe("news"), tank.ErrNotFound)
				must(t, s.BroadcastTopicMessage("news", "too late"))
			},
			"invalid": func(c *tank.Client) {
				mustBe(t, c.Subscribe(""), tank.ErrInvalidTopic)
				mustBe(t, c.Unsubscribe("\n"), tank.ErrInvalidTopic)
				mustBe(t, c.Send(tank.Message{Data: []byte("\xff")}), tank.ErrInvalidData)
				mustBe(t, c.Close(1005, ""), tank.ErrInvalidClose)
				mustBe(t, c.Close(4000, strings.Repeat("x", 124)), tank.ErrInvalidClose)
			},
			"send": func(c *tank.Client) {
				must(t, c.Send(tank.Message{Data: []byte("text")}))
				must(t, c.Send(tank.Message{Data: []byte{0xff}, Binary: true}))
			},
			"close": func(c *tank.Client) {
				must(t, c.Send(tank.Message{Data: []byte("last words")}))
				must(t, c.Close(4001, "because"))
				mustBe(t, c.Close(4002, "again"), tank.ErrClosed)
				mustBe(t, c.Send(tank.Message{Data: []byte("too late")}), tank.ErrClosed)
			},
		})
		p = s.dial("ann")
		p.send("identify")
		p.send("subscribe")
		p.expectTopic("news", "sees its own")
		p.send("unsubscribe")
		p.send("invalid")
		p.send("send")
		p.expect("text")
		if op, got := p.next(); op != opBinary || got != "\xff" {
			t.Fatalf("got %d %q", op, got)
		}
		p.send("close")
		p.expect("last words")
		if reason := p.expectClose(4001); reason != "because" {
			t.Fatalf("reason %q", reason)
		}
		s.expectEvents("connect ann", "subscribe ann news", "subscribe ann apples", "unsubscribe ann news")
		if e := s.event(); e.EventType != tank.EventDisconnect || e.Reason != "4001 because" {
			t.Fatalf("got %+v", e)
		}
		s.expectNoErrors()
	})
}

func TestHandlerMayKeepTheData(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var kept [][]byte
		s := serve(t, tank.WithMessageHandler(func(_ *tank.Client, m tank.Message) { kept = append(kept, m.Data) }))
		p := s.dial("ann")
		for _, text := range []string{"first", "other", "third"} {
			p.send(text)
		}
		synctest.Wait()
		if got := string(bytes.Join(kept, []byte(" "))); got != "first other third" {
			t.Fatalf("kept %q", got)
		}
	})
}

func TestCloseUserFromACallback(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var s *server
		s = handled(t, map[string]func(*tank.Client){
			"kick me": func(c *tank.Client) {
				must(t, c.Send(tank.Message{Data: []byte("you go")}))
				if n := s.CloseUser(c.UserID()); n != 1 {
					t.Errorf("closed %d", n)
				}
			},
		})
		p := s.dial("ann")
		p.send("kick me")
		p.expect("you go")
		p.expectClose(1000)
	})
}

func TestBlockedHandlerHoldsUpNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		s := handled(t, map[string]func(*tank.Client){"block": func(*tank.Client) { <-release }})
		blocked, free := s.dial("blocked"), s.dial("free")
		blocked.subscribe(s, "news")
		free.subscribe(s, "news")
		blocked.send("block")
		blocked.send("sub:later")
		synctest.Wait()
		must(t, s.BroadcastTopicMessage("news", "x"))
		free.expectTopic("news", "x")
		blocked.expectTopic("news", "x") // its reader is blocked, its writer is not
		if n := s.GetTopicSubscriberCount("later"); n != 0 {
			t.Fatal("the message behind the blocked one was handled")
		}
		close(release)
		synctest.Wait()
		if n := s.GetTopicSubscriberCount("later"); n != 1 {
			t.Fatal("the message behind the blocked one was lost")
		}
	})
}

func TestHandlerThatEndsItsGoroutineClosesItsClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := handled(t, map[string]func(*tank.Client){"exit": func(*tank.Client) { runtime.Goexit() }})
		p := s.dial("ann")
		p.send("exit")
		p.expectClose(1011)
		s.expectError(tank.CodeInternal)
	})
}

// records is a slog.Handler that remembers, and blocks while it is told to.
type records struct {
	mu    sync.Mutex
	lines []string
	block chan struct{}
	panic bool
}

func (r *records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *records) WithGroup(string) slog.Handler            { return r }
func (r *records) Handle(_ context.Context, rec slog.Record) error {
	<-r.block
	if r.panic {
		panic("logger is broken")
	}
	var b strings.Builder
	b.WriteString(rec.Level.String() + " " + rec.Message)
	rec.Attrs(func(a slog.Attr) bool {
		b.WriteString(" " + a.String())
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, b.String())
	return nil
}

func TestLogger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := &records{block: make(chan struct{})}
		s := serve(t, tank.WithLogger(slog.New(log)), tank.WithPublishAuthorizer(func(*tank.Client, *tank.Publication) error { return nil }))
		p := s.dial("ann")
		p.subscribe(s, "news") // although the logger blocks
		p.send(`{"topic":"news","data":"the secret payload"}`)
		p.expectTopic("news", "the secret payload")
		p.write(frame(opText, "\xff the secret payload"))
		p.expectClose(1007)
		close(log.block)
		must(t, s.Shutdown(t.Context()))
		got := strings.Join(log.lines, "\n")
		for _, want := range []string{"DEBUG connect client=", "DEBUG subscribe", "user=ann topic=news", "WARN client broke the protocol code=1002", "DEBUG disconnect client=", "reason=1007"} {
			if !strings.Contains(got, want) {
				t.Errorf("log lacks %q:\n%s", want, got)
			}
		}
		if strings.Contains(got, "secret") {
			t.Errorf("log has a payload:\n%s", got)
		}
	})
}

func TestLoggerThatBlocksForEverOrPanics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := &records{block: make(chan struct{})}
		s := serve(t, tank.WithLogger(slog.New(log)))
		for range 2000 {
			s.Publish(t.Context(), "news", "\xff")
		}
		synctest.Wait()
		for range 1024 {
			s.expectError(tank.CodeSerialization)
		}
		const most = 2 * (2000 - 1024) // Errors holds 1024, and the logger as many, perhaps beside the one that blocks it
		if n := s.Stats().EventsDropped; n != most && n != most-1 {
			t.Fatalf("%d events dropped, want %d or one less", n, most)
		}
		began := time.Now()
		must(t, s.Shutdown(t.Context()))
		if took := time.Since(began); took > time.Second {
			t.Fatalf("Shutdown took %v", took)
		}
		log.panic = true
		close(log.block)
		synctest.Wait()
		if n := s.Stats().PanicsRecovered; n < 1000 {
			t.Fatalf("%d panics of the logger recovered", n)
		}
	})
}

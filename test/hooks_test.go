package test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// diary is what happens, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

// add waits until what happened before has been written.
func (d *diary) add(format string, args ...any) {
	if !strings.HasPrefix(format, "event") {
		time.Sleep(time.Millisecond)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *diary) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.lines, want) {
		t.Fatalf("happened:\n%s\nwant:\n%s", strings.Join(d.lines, "\n"), strings.Join(want, "\n"))
	}
}

// follow writes the connection events into the diary as they come.
func (d *diary) follow(s *server) {
	for e := range s.ConnEvents {
		slices.Sort(e.Topics)
		d.add("event %s %s%v", e.EventType, e.Topic, e.Topics)
	}
}

// keepDiary writes all callbacks into the diary. greet runs in the connect handler, behind its line.
func keepDiary(d *diary, greet func(*tank.Client, *http.Request) error) []tank.Option {
	return []tank.Option{
		tank.WithConnectHandler(func(c *tank.Client, r *http.Request) error {
			d.add("connect handler")
			return greet(c, r)
		}),
		tank.WithSubscribeAuthorizer(func(_ *tank.Client, topic string) error {
			d.add("authorizer %s", topic)
			return nil
		}),
		tank.WithMessageHandler(func(_ *tank.Client, m tank.Message) { d.add("message %s", m.Data) }),
		tank.WithDisconnectHandler(func(_ *tank.Client, how tank.Disconnect) {
			d.add("disconnect handler %d %q %v", how.Code, how.Reason, how.Topics)
		}),
	}
}

func TestHooksComeInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &diary{}
		s := serve(t, keepDiary(d, func(c *tank.Client, r *http.Request) error {
			if r.URL.Path != "/ws" || r.Header.Get("Session") != "of ann" {
				t.Errorf("the request is %v", r)
			}
			time.Sleep(time.Minute) // meanwhile nothing that ann sends is looked at, and the heartbeat spares her
			must(t, c.Subscribe("welcome"))
			must(t, c.SendTopic("welcome", "snapshot"))
			return c.Send(tank.Message{Data: []byte("hello")})
		})...)
		go d.follow(s)
		early := append(frame(opText, "sub:news"), frame(opText, "first words")...)
		ann := s.connect(handshake{path: "/ws?user_id=ann", header: http.Header{"Session": {"of ann"}}, early: early})
		time.Sleep(time.Second)
		d.want(t, "event connect []", "connect handler")
		ann.expectTopic("welcome", "snapshot")
		ann.expect("hello")
		s.BroadcastTopicMessage("welcome", "live")
		ann.expectTopic("welcome", "live")
		ann.write(closeFrame(4001, "bye"))
		ann.expectClose(4001)
		time.Sleep(time.Second)
		d.want(t, "event connect []", "connect handler", "event subscribe welcome[]", "authorizer news", "event subscribe news[]", "message first words",
			"event disconnect [news welcome]", `disconnect handler 4001 "bye" [news welcome]`)
	})
}

func TestConnectHandlerRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		code   int
		reason string
	}{
		"an error":                      {errors.New("the secret reason"), 3003, "refused"},
		"a code":                        {&tank.CloseError{Code: 4321, Reason: "go away"}, 4321, "go away"},
		"a wrapped code":                {fmt.Errorf("secret: %w", &tank.CloseError{Code: 4001, Reason: "full"}), 4001, "full"},
		"a code that may not be sent":   {&tank.CloseError{Code: 1006}, 3003, "refused"},
		"a reason that does not fit":    {&tank.CloseError{Code: 4000, Reason: strings.Repeat("x", 124)}, 3003, "refused"},
		"a nil close error":             {(*tank.CloseError)(nil), 3003, "refused"},
		"an error whose methods panic":  {brokenError{}, 3003, "refused"},
		"a code, after a subscription":  {&tank.CloseError{Code: tank.CloseTryAgainLater, Reason: "later"}, 1013, "later"},
		"nothing but the limit is full": {&tank.CloseError{Code: tank.CloseUnauthorized, Reason: "who are you?"}, 3000, "who are you?"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t,
					tank.WithConnectHandler(func(c *tank.Client, _ *http.Request) error {
						must(t, c.Subscribe("news"))
						return tt.err
					}),
					tank.WithMessageHandler(func(*tank.Client, tank.Message) { t.Error("a message of one that is refused is looked at") }),
					tank.WithDisconnectHandler(func(*tank.Client, tank.Disconnect) {
						t.Error("the disconnect handler is called for one that is refused")
					}))
				p := s.connect(handshake{path: "/?user_id=ann", early: frame(opText, "hello")})
				if reason := p.expectClose(tt.code); reason != tt.reason {
					t.Errorf("the reason is %q, want %q", reason, tt.reason)
				}
				if e := s.expectError(tank.CodeForbidden); e.UserID != "ann" || e.Message != "connection refused" || !errors.Is(e.Err, tank.ErrForbidden) {
					t.Errorf("reported %+v", e)
				}
				s.expectEvents("connect ann", "subscribe ann news", "disconnect ann")
			})
		})
	}
}

// The context of the request outlives ServeHTTP, and ends when the connection begins to close.
func TestConnectHandlersContext(t *testing.T) {
	type key struct{}
	for name, end := range map[string]func(s *server, p *peer){
		"the peer vanishes":      func(_ *server, p *peer) { p.conn.Close() },
		"the server closes":      func(s *server, _ *peer) { s.CloseUser("ann") },
		"the heartbeat gives up": nil,
		"shutdown":               func(s *server, _ *peer) { go s.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var got *http.Request
				m := tank.NewInstance(tank.WithConnectHandler(func(_ *tank.Client, r *http.Request) error {
					got = r
					return r.Context().Err()
				}))
				s := mountHandler(t, m, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					ctx, cancel := context.WithCancel(context.WithValue(r.Context(), key{}, "value"))
					defer cancel()
					m.ServeHTTP(w, r.WithContext(ctx))
				}))
				go m.Start()
				p := s.connect(handshake{path: "/?user_id=ann"})
				synctest.Wait()
				if err := got.Context().Err(); err != nil || got.Context().Value(key{}) != "value" {
					t.Fatalf("the context has %v, and the value %v", err, got.Context().Value(key{}))
				}
				if end != nil {
					end(s, p)
				} else {
					time.Sleep(2 * time.Minute)
				}
				synctest.Wait()
				if got.Context().Err() == nil {
					t.Error("the context has not ended")
				}
			})
		})
	}
}

// A hook that waits for the end of its request's context holds nobody up.
func TestHookThatWaitsForItsContextEndsWithTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithConnectHandler(func(_ *tank.Client, r *http.Request) error {
			<-r.Context().Done()
			return r.Context().Err()
		}))
		p := s.dial("ann")
		began := time.Now()
		done := make(chan error)
		go func() { done <- s.Shutdown(context.Background()) }()
		p.expectClose(1001)
		must(t, <-done)
		if took := time.Since(began); took > time.Second {
			t.Errorf("Shutdown took %v", took)
		}
	})
}

func TestDisconnectHandlerIsCalledOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(s *server, c *tank.Client, p *peer)
		want tank.Disconnect
	}{
		"the peer says goodbye": {func(_ *server, _ *tank.Client, p *peer) { p.write(closeFrame(1000, "thanks")); p.expectClose(1000) },
			tank.Disconnect{Code: 1000, Reason: "thanks"}},
		"without a code":    {func(_ *server, _ *tank.Client, p *peer) { p.write(frame(opClose, "")) }, tank.Disconnect{Code: tank.CloseNoStatus}},
		"the peer vanishes": {func(_ *server, _ *tank.Client, p *peer) { p.conn.Close() }, tank.Disconnect{Code: tank.CloseAbnormal, Reason: "connection closed without a close frame"}},
		"CloseUser":         {func(s *server, _ *tank.Client, p *peer) { s.CloseUser("ann"); p.expectClose(1000) }, tank.Disconnect{Code: 1000, Reason: "closed by server"}},
		"Close":             {func(_ *server, c *tank.Client, p *peer) { c.Close(4999, "why not"); p.expectClose(4999) }, tank.Disconnect{Code: 4999, Reason: "why not"}},
		"Shutdown":          {func(s *server, _ *tank.Client, p *peer) { go s.Shutdown(context.Background()); p.expectClose(1001) }, tank.Disconnect{Code: 1001, Reason: "server is shutting down, please reconnect"}},
		"a Shutdown that cuts": {func(s *server, _ *tank.Client, _ *peer) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			s.Shutdown(ctx)
		}, tank.Disconnect{Code: tank.CloseAbnormal, Reason: "cut at the deadline of the shutdown"}},
		"no answer to the close frame":  {func(s *server, _ *tank.Client, _ *peer) { s.CloseUser("ann") }, tank.Disconnect{Code: 1000, Reason: "closed by server"}},
		"a message handler that panics": {func(_ *server, _ *tank.Client, p *peer) { p.send("panic"); p.expectClose(1011) }, tank.Disconnect{Code: 1011, Reason: "internal error"}},
		"a message handler that exits":  {func(_ *server, _ *tank.Client, p *peer) { p.send("exit"); p.expectClose(1011) }, tank.Disconnect{Code: 1011, Reason: "internal error"}},
	} {
		for _, drain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/drain=%v", name, drain), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					var got []tank.Disconnect
					opts := []tank.Option{
						tank.WithMessageHandler(func(_ *tank.Client, m tank.Message) {
							switch string(m.Data) {
							case "panic":
								panic("told to")
							case "exit":
								runtime.Goexit()
							}
						}),
						tank.WithDisconnectHandler(func(c *tank.Client, d tank.Disconnect) {
							if !c.Stats().Closing || len(c.Topics()) > 0 {
								t.Error("the connection has not ended")
							}
							got = append(got, d)
						}),
					}
					if drain {
						opts = append(opts, tank.WithDrain(time.Second, 10))
					}
					s := serve(t, opts...)
					p := s.dial("ann")
					p.subscribe(s, "b")
					p.subscribe(s, "a")
					tt.end(s, s.GetAllClients()[0], p)
					time.Sleep(time.Minute)
					synctest.Wait()
					if len(got) != 1 || got[0].Code != tt.want.Code || got[0].Reason != tt.want.Reason || !slices.Equal(got[0].Topics, []string{"a", "b"}) {
						t.Errorf("got %+v, want once %+v with the topics a and b", got, tt.want)
					}
				})
			})
		}
	}
}

// One too many of its user is neither greeted nor missed.
func TestHooksDoNotSeeConnectionsOverTheLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &diary{}
		s := serve(t, append(keepDiary(d, func(*tank.Client, *http.Request) error { return nil }), byQuery,
			tank.WithLimits(tank.Limits{ConnectionsPerUser: 1}))...)
		s.dial("ann")
		time.Sleep(time.Second)
		d.want(t, "connect handler")
		s.dial("ann").expectClose(1008)
		d.want(t, "connect handler")
	})
}

func TestHooksThatPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t,
			tank.WithConnectHandler(func(c *tank.Client, _ *http.Request) error {
				switch c.UserID() {
				case "panics":
					panic(errBroken)
				case "exits":
					runtime.Goexit()
				}
				return nil
			}),
			tank.WithDisconnectHandler(func(c *tank.Client, _ tank.Disconnect) {
				switch c.UserID() {
				case "panics", "exits":
					t.Error("the disconnect handler is called for one that was not accepted")
				case "ann":
					panic(errBroken)
				case "bob":
					runtime.Goexit()
				}
			}))
		for _, name := range []string{"panics", "exits"} {
			s.dial(name).expectClose(1011)
			if e := s.expectError(tank.CodeInternal); e.UserID != name {
				t.Errorf("reported %+v", e)
			}
		}
		for _, name := range []string{"ann", "bob"} {
			p := s.dial(name)
			p.write(closeFrame(1000, ""))
			p.expectClose(1000)
			synctest.Wait()
		}
		if e := s.expectError(tank.CodeInternal); e.UserID != "ann" || e.Message != "disconnect handler panicked" || !errors.Is(e.Err, errBroken) {
			t.Errorf("reported %+v", e)
		}
		must(t, s.Shutdown(t.Context())) // which does not wait for a handler that has exited
	})
}

func TestShutdownWaitsForHooks(t *testing.T) {
	for name, opt := range map[string]func(hook func()) tank.Option{
		"connect": func(hook func()) tank.Option {
			return tank.WithConnectHandler(func(*tank.Client, *http.Request) error { hook(); return nil })
		},
		"disconnect": func(hook func()) tank.Option {
			return tank.WithDisconnectHandler(func(*tank.Client, tank.Disconnect) { hook() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				done := false
				s := serve(t, opt(func() {
					time.Sleep(time.Hour)
					done = true
				}))
				p := s.dial("ann")
				go p.answer()
				must(t, s.Shutdown(context.Background()))
				if !done {
					t.Error("Shutdown has not waited")
				}
			})
			bubble(t, func(t *testing.T) { // and no longer than its context lasts
				s := serve(t, opt(func() { time.Sleep(time.Hour) }))
				p := s.dial("ann")
				go p.answer()
				began := time.Now()
				err := s.Shutdown(within(t, time.Minute))
				mustBe(t, err, tank.ErrBusy)
				if took := time.Since(began); took < time.Minute || took > time.Minute+time.Second {
					t.Errorf("Shutdown took %v", took)
				}
				time.Sleep(time.Hour)
			})
		})
	}
}

// A message handler that does not return holds Shutdown up for a second, as it does without hooks.
func TestHooksDoNotMakeShutdownWaitForOtherCallbacks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ended atomic.Bool
		s := serve(t,
			tank.WithMessageHandler(func(*tank.Client, tank.Message) { time.Sleep(time.Hour) }),
			tank.WithDisconnectHandler(func(*tank.Client, tank.Disconnect) { ended.Store(true) }))
		p := s.dial("ann")
		p.send("hello")
		synctest.Wait()
		began := time.Now()
		mustBe(t, s.Shutdown(context.Background()), tank.ErrBusy)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("Shutdown took %v", took)
		}
		synctest.Wait()
		if ended.Load() {
			t.Error("the disconnect handler was called while the message handler runs")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if !ended.Load() {
			t.Error("the disconnect handler was not called")
		}
	})
}

// The context that a connect handler has is kept as long as the connection lasts, for its end. What middleware has put into it is a
// piece of the request.
func TestIdleConnectionsKeepNothingOfTheContextsOfTheirRequests(t *testing.T) {
	type key struct{}
	m := startTCP(t, tank.WithConnectHandler(func(*tank.Client, *http.Request) error { return nil }))
	addr, _ := tcpServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, r)))
	}))
	before := heap()
	for range retainers {
		exchange(t, addr, handshakeWith("", "Cookie: "+padding+"\r\n"))
		<-m.ConnEvents
	}
	expectKept(t, before)
}

// The connect handler runs beside the middleware that the request came through, so it has a header of its own. A shared one that
// middleware changes on its way back would end the process ("concurrent map read and map write").
func TestConnectHandlerHasAHeaderOfItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		seen := make(chan string, 1)
		m := tank.NewInstance(tank.WithConnectHandler(func(_ *tank.Client, r *http.Request) error {
			time.Sleep(time.Second)
			seen <- r.Header.Get("Token")
			return nil
		}))
		s := mountHandler(t, m, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Token", "secret")
			defer r.Header.Del("Token")
			m.ServeHTTP(w, r)
		}))
		go m.Start()
		s.dial("ann")
		if token := <-seen; token != "secret" {
			t.Errorf("the handler saw the token %q, which middleware has taken away meanwhile", token)
		}
	})
}

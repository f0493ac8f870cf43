package test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// roles is the Value of an identity here.
type roles []string

// identified serves with an authenticator that says for each user, named by the query, who that is.
func identified(t *testing.T, who func(user string) tank.Identity, opts ...tank.Option) *server {
	return serve(t, append(opts, tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
		return who(r.URL.Query().Get("user_id")), nil
	}))...)
}

func TestIdentity(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			who           tank.Identity
			status        int
			authenticated bool
		}{
			"a user":                 {tank.Identity{UserID: "ann", Value: roles{"admin"}}, 101, true},
			"with an end":            {tank.Identity{UserID: "ann", Expires: time.Now().Add(1)}, 101, true},
			"nobody":                 {tank.Identity{}, 401, false},
			"nobody, and a value":    {tank.Identity{Value: 1}, 401, false},
			"anonymous":              {tank.Identity{Anonymous: true, Value: roles{"guest"}}, 101, false},
			"anonymous with a label": {tank.Identity{UserID: "ann", Anonymous: true}, 101, false},
			"expired":                {tank.Identity{UserID: "ann", Expires: time.Now().Add(-1)}, 401, false},
			"expired now":            {tank.Identity{UserID: "ann", Expires: time.Now()}, 401, false},
			"an id that is too long": {tank.Identity{UserID: strings.Repeat("x", 129)}, 400, false},
			"a control character":    {tank.Identity{UserID: "a\nb"}, 400, false},
		} {
			s := identified(t, func(string) tank.Identity { return tt.who })
			_, resp := s.request(handshake{path: "/"})
			if resp.StatusCode != tt.status {
				t.Errorf("%s: answered with %s, want %d", name, resp.Status, tt.status)
				continue
			}
			synctest.Wait()
			if tt.status != 101 {
				if e := <-s.Errors; tt.status == 401 && (e.Code != tank.CodeAuth || !errors.Is(e.Err, tank.ErrForbidden)) {
					t.Errorf("%s: reported %+v", name, e)
				}
				continue
			}
			c := s.GetAllClients()[0]
			wantID := tt.who.UserID
			if wantID == "" {
				wantID = c.ID()
			}
			value, ok := tank.ValueOf[roles](c)
			want, isRoles := tt.who.Value.(roles)
			if c.UserID() != wantID || c.Authenticated() != tt.authenticated || ok != isRoles || !slices.Equal(value, want) {
				t.Errorf("%s: user %q, authenticated %v, value %v", name, c.UserID(), c.Authenticated(), c.Value())
			}
			if _, ok := tank.ValueOf[string](c); ok {
				t.Errorf("%s: the value is a string", name)
			}
		}
		if _, ok := tank.ValueOf[roles](nil); ok {
			t.Error("a nil client has a value")
		}
		s := serve(t)
		s.dial("ann")
		if c := s.GetAllClients()[0]; c.Authenticated() || c.Value() != nil {
			t.Errorf("without an authenticator: authenticated %v, value %v", c.Authenticated(), c.Value())
		}
	})
}

// Whatever the heartbeat's interval is, a connection ends within a second after its credentials.
func TestCredentialsExpire(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, 25 * time.Second, 24 * time.Hour} {
		t.Run(interval.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				began := time.Now()
				s := identified(t, func(user string) tank.Identity {
					switch user {
					case "never":
						return tank.Identity{UserID: user}
					case "in ages":
						return tank.Identity{UserID: user, Expires: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
					}
					after, err := time.ParseDuration(user)
					must(t, err)
					return tank.Identity{UserID: user, Expires: began.Add(after)}
				}, tank.WithHeartbeat(interval, time.Hour), tank.WithLimits(tank.Limits{CloseTimeout: time.Millisecond}))
				never := s.dial("never")
				ends := []string{"1m30s", "500ms", "10s", "10.1s", "10.2s", "10.9s", "1m59s", "2m", "10s", "1ns"}
				for _, user := range ends {
					go s.dial(user).answer()
				}
				for _, p := range []*peer{never, s.dial("in%20ages")} {
					go p.answer()
				}
				for range len(ends) {
					var e *tank.ConnEvent
					for e = s.event(); e.EventType != tank.EventDisconnect; e = s.event() {
					}
					after, err := time.ParseDuration(e.UserID)
					must(t, err)
					if late := time.Since(began.Add(after)); late < 0 || late > time.Second+10*time.Millisecond || e.Reason != "3000 credentials expired" {
						t.Errorf("%s ended %v late, with %s", e.UserID, late, e.Reason)
					}
				}
				if s.GetClientCount() != 2 {
					t.Errorf("%d clients are left, want those that do not expire", s.GetClientCount())
				}
			})
		})
	}
}

func TestRenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		began := time.Now()
		in := func(d time.Duration) tank.Identity {
			return tank.Identity{UserID: "ann", Value: roles{"admin"}, Expires: began.Add(d)}
		}
		s := identified(t, func(string) tank.Identity { return in(time.Minute) },
			tank.WithSubscribeAuthorizer(func(c *tank.Client, topic string) error {
				if have, _ := tank.ValueOf[roles](c); topic == "admin" && !slices.Contains(have, "admin") {
					return errors.New("not an admin")
				}
				return nil
			}), tank.WithHeartbeat(1000*time.Hour, 1000*time.Hour))
		p := s.dial("ann")
		p.subscribe(s, "news")
		p.subscribe(s, "admin")
		s.expectEvents("connect ann", "subscribe ann news", "subscribe ann admin")
		c := s.GetAllClients()[0]
		for name, who := range map[string]tank.Identity{
			"another user":  {UserID: "bob"},
			"nobody":        {},
			"anonymous":     {UserID: "ann", Anonymous: true},
			"expired":       {UserID: "ann", Expires: time.Now()},
			"anonymous too": {Anonymous: true},
		} {
			if err := c.Renew(who); !errors.Is(err, tank.ErrInvalidIdentity) {
				t.Errorf("%s: %v", name, err)
			}
		}
		time.Sleep(30 * time.Second)
		must(t, c.Renew(in(2*time.Hour)))
		time.Sleep(time.Hour - 30*time.Second)
		must(t, c.Renew(in(2*time.Hour)))
		if topics := c.Topics(); len(topics) != 2 {
			t.Errorf("the topics are %v", topics)
		}

		less := in(2*time.Hour + time.Minute)
		less.Value = roles{"customer"}
		must(t, c.Renew(less))
		p.expectRefusal("forbidden", "admin")
		s.expectEvents("unsubscribe ann admin")
		if e := s.expectError(tank.CodeForbidden); e.Topic != "admin" || e.Message != "subscription ended" {
			t.Errorf("reported %+v", e)
		}
		if got, _ := tank.ValueOf[roles](c); !slices.Equal(got, roles{"customer"}) || !slices.Equal(c.Topics(), []string{"news"}) {
			t.Errorf("the value is %v, the topics %v", c.Value(), c.Topics())
		}
		less.Expires = time.Time{} // never
		must(t, c.Renew(less))
		time.Sleep(100 * time.Minute)
		less.Expires = time.Now().Add(10 * time.Second)
		must(t, c.Renew(less))
		time.Sleep(11 * time.Second)
		if reason := p.expectClose(3000); reason != "credentials expired" {
			t.Errorf("the reason is %q", reason)
		}
		mustBe(t, c.Renew(in(10*time.Hour)), tank.ErrClosed)
	})
}

func TestAnonymousRenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := identified(t, func(user string) tank.Identity { return tank.Identity{UserID: user, Anonymous: true} })
		s.dial("")
		s.dial("label")
		for _, c := range s.GetAllClients() {
			must(t, c.Renew(tank.Identity{Anonymous: true, Value: 1}))
			must(t, c.Renew(tank.Identity{UserID: c.UserID(), Anonymous: true, Value: 2}))
			if c.Value() != 2 {
				t.Errorf("the value is %v", c.Value())
			}
			mustBe(t, c.Renew(tank.Identity{UserID: c.UserID()}), tank.ErrInvalidIdentity)
			mustBe(t, c.Renew(tank.Identity{UserID: "other", Anonymous: true}), tank.ErrInvalidIdentity)
		}
	})
}

// A subscription that is authorized while a renewal takes the right away does not stay.
func TestRenewalRacesWithSubscriptions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		asking, go_ := make(chan struct{}), make(chan struct{})
		var once sync.Once
		s := identified(t, func(string) tank.Identity { return tank.Identity{UserID: "ann", Value: true} },
			tank.WithSubscribeAuthorizer(func(c *tank.Client, _ string) error {
				may := c.Value() == true
				once.Do(func() {
					close(asking)
					<-go_
				})
				if !may {
					return errors.New("no")
				}
				return nil
			}))
		p := s.dial("ann")
		p.send("sub:admin")
		<-asking
		c := s.GetAllClients()[0]
		must(t, c.Renew(tank.Identity{UserID: "ann", Value: false})) // while the authorizer has seen the old value
		close(go_)
		synctest.Wait()
		if topics := c.Topics(); len(topics) > 0 {
			t.Errorf("it is subscribed to %v", topics)
		}
		p.expectRefusal("forbidden", "admin")
	})
}

// Renewals and expiry of many connections at once.
func TestRenewalsUnderStorms(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const clients = 200
		var ended atomic.Int64
		s := identified(t, func(user string) tank.Identity {
			return tank.Identity{UserID: user, Expires: time.Now().Add(time.Minute)}
		}, tank.WithLimits(tank.Limits{CloseTimeout: time.Second}), tank.WithDisconnectHandler(func(c *tank.Client, d tank.Disconnect) {
			if d.Code != tank.CloseUnauthorized {
				t.Errorf("%v ended with %+v", c, d)
			}
			ended.Add(1)
		}), tank.WithHeartbeat(time.Hour, time.Hour))
		for i := range clients {
			s.dial(fmt.Sprint(i))
		}
		var all sync.WaitGroup
		for i, c := range s.GetAllClients() {
			all.Go(func() {
				for n := range i % 10 {
					time.Sleep(time.Duration(n) * time.Second)
					must(t, c.Renew(tank.Identity{UserID: c.UserID(), Expires: time.Now().Add(time.Minute + time.Duration(i)*time.Second)}))
				}
			})
		}
		all.Wait()
		time.Sleep(10 * time.Minute)
		if n := ended.Load(); n != clients {
			t.Errorf("%d of %d have ended", n, clients)
		}
	})
}

func TestAnAuthorizerWithoutAnAuthenticatorIsLogged(t *testing.T) {
	allow := tank.WithSubscribeAuthorizer(func(*tank.Client, string) error { return nil })
	for name, tt := range map[string]struct {
		opts []tank.Option
		want bool
	}{
		"authorizer alone": {[]tank.Option{allow}, true},
		"both":             {[]tank.Option{allow, byQuery}, false},
		"none":             {nil, false},
	} {
		bubble(t, func(t *testing.T) {
			log := &records{block: make(chan struct{})}
			close(log.block)
			s := serve(t, append(tt.opts, tank.WithLogger(slog.New(log)))...)
			must(t, s.Shutdown(t.Context()))
			if logged := strings.Contains(strings.Join(log.lines, "\n"), "user_id is no proof"); logged != tt.want {
				t.Errorf("%s: logged %v", name, log.lines)
			}
		})
	}
}

// What middleware has put into the request is the client's address everywhere.
func TestRemoteAddrIsWhatMiddlewareHasLeft(t *testing.T) {
	for addr, want := range map[string]string{
		"203.0.113.7:1234":                  "203.0.113.7:1234",
		"203.0.113.7":                       "203.0.113.7", // as some middleware writes it
		"2001:db8::1":                       "2001:db8::1",
		"":                                  "", // nothing known: the connection's own
		"evil\n" + strings.Repeat("x", 200): "",
	} {
		bubble(t, func(t *testing.T) {
			m := tank.NewInstance()
			s := mountHandler(t, m, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.RemoteAddr = addr
				m.ServeHTTP(w, r)
			}))
			go m.Start()
			s.dial("ann")
			c := s.GetAllClients()[0]
			got := c.RemoteAddr()
			switch {
			case want != "" && got != want, got != c.Stats().RemoteAddr, got == "", strings.Contains(got, "\n"), len(got) > 140:
				t.Errorf("with %.20q the address is %q", addr, got)
			}
		})
	}
}

// Renew returns ErrClosed when the connection is about to end, as it is when its credentials have expired.
func TestRenewalOfAConnectionThatIsClosing(t *testing.T) {
	for name, end := range map[string]func(s *server, c *tank.Client){
		"expired":   func(*server, *tank.Client) { time.Sleep(time.Minute + time.Second) },
		"closed":    func(_ *server, c *tank.Client) { c.Close(4000, "") },
		"shut down": func(s *server, _ *tank.Client) { go s.Shutdown(context.Background()); synctest.Wait() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := identified(t, func(user string) tank.Identity {
					return tank.Identity{UserID: user, Expires: time.Now().Add(time.Minute)}
				}, tank.WithHeartbeat(time.Hour, time.Hour))
				s.dial("ann") // who does not answer the close frame
				c := s.GetAllClients()[0]
				end(s, c)
				if !c.Stats().Closing {
					t.Fatal("it is not closing")
				}
				mustBe(t, c.Renew(tank.Identity{UserID: "ann", Value: "new"}), tank.ErrClosed)
			})
		})
	}
}

// An authorizer that renews its client, such as one that has looked its roles up, is not called by itself.
func TestRenewalInTheAuthorizerDoesNotRecur(t *testing.T) {
	bubble(t, func(t *testing.T) {
		depth, deepest := 0, 0
		s := identified(t, func(user string) tank.Identity { return tank.Identity{UserID: user} },
			tank.WithSubscribeAuthorizer(func(c *tank.Client, _ string) error {
				depth++
				defer func() { depth-- }()
				if deepest = max(deepest, depth); depth > 100 {
					return errors.New("enough") // else the process would end: a stack overflow cannot be recovered from
				}
				return c.Renew(tank.Identity{UserID: c.UserID(), Value: "roles"})
			}))
		p := s.dial("ann")
		p.send("sub:news")
		synctest.Wait()
		if deepest > 2 {
			t.Errorf("the authorizer was called by itself, %d deep", deepest)
		}
	})
}

// What a renewal's user id is a piece of is not kept.
func TestRenewalKeepsNothingOfWhatTheUserIDIsAPieceOf(t *testing.T) {
	m := startTCP(t, tank.WithAuthenticator(func(*http.Request) (tank.Identity, error) { return tank.Identity{UserID: "ann"}, nil }),
		tank.WithLimits(tank.Limits{ConnectionsPerUser: retainers}))
	addr, _ := tcpServer(t, m)
	for range retainers {
		exchange(t, addr, handshakeWith("", ""))
		<-m.ConnEvents
	}
	before := heap()
	for _, c := range m.GetAllClients() {
		token := "ann" + strings.Clone(padding)
		must(t, c.Renew(tank.Identity{UserID: token[:3]}))
	}
	expectKept(t, before)
}

// An authorizer that ends the goroutine has not allowed anything. Where the reader calls it, the client is closed with 1011. So it is
// where Renew does: else the client keeps all of its subscriptions, those behind this one included.
func TestRenewalWhoseAuthorizerExitsEndsTheSubscriptions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		exit := false
		s := identified(t, func(user string) tank.Identity { return tank.Identity{UserID: user} },
			tank.WithSubscribeAuthorizer(func(*tank.Client, string) error {
				if exit {
					runtime.Goexit()
				}
				return nil
			}))
		p := s.dial("ann")
		p.subscribe(s, "a")
		p.subscribe(s, "b")
		exit = true
		c := s.GetAllClients()[0]
		go c.Renew(tank.Identity{UserID: "ann"})
		synctest.Wait()
		if topics := c.Topics(); len(topics) > 0 && !c.Stats().Closing {
			t.Errorf("it is still subscribed to %v, and not closing", topics)
		}
	})
}

package test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

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

// The disconnect handler is called after all other callbacks have returned, those that Renew has called included.
func TestDisconnectHandlerComesAfterTheAuthorizersOfRenew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var asking atomic.Bool
		slow := false
		s := identified(t, func(user string) tank.Identity { return tank.Identity{UserID: user} },
			tank.WithSubscribeAuthorizer(func(*tank.Client, string) error {
				if slow {
					asking.Store(true)
					time.Sleep(time.Minute)
					asking.Store(false)
				}
				return nil
			}),
			tank.WithDisconnectHandler(func(*tank.Client, tank.Disconnect) {
				if asking.Load() {
					t.Error("the disconnect handler is called while an authorizer runs")
				}
			}))
		p := s.dial("ann")
		p.subscribe(s, "news")
		slow = true
		c := s.GetAllClients()[0]
		go c.Renew(tank.Identity{UserID: "ann"})
		synctest.Wait()
		p.conn.Close()
		time.Sleep(time.Hour)
	})
}

// A loop ends soon after its context, and does not go through all that is queued first.
func TestLoopInsideTheProgramEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		ctx, cancel := context.WithCancel(t.Context())
		steps, after := 0, 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for _, err := range s.Subscribe(ctx, "news") {
				if err != nil {
					mustBe(t, err, context.Canceled)
					return
				}
				steps++
				if ctx.Err() != nil {
					after++
				}
				time.Sleep(time.Second)
			}
		}()
		synctest.Wait()
		for i := range 1000 {
			must(t, s.BroadcastTopicMessage("news", fmt.Sprint(i)))
		}
		time.Sleep(10*time.Second + time.Millisecond)
		cancel()
		<-done
		if after > 1 {
			t.Errorf("%d steps, of them %d after the end of the context", steps, after)
		}
	})
}

// What a renewal's user id is a piece of is not kept.
func TestRenewalKeepsNothingOfWhatTheUserIDIsAPieceOf(t *testing.T) {
	m := startTCP(t, tank.WithAuthenticator(func(*http.Request) (tank.Identity, error) { return tank.Identity{UserID: "ann"}, nil }))
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

// The connect handler runs beside the middleware that the request came through, so it has a header of its own: else one that
// middleware changes on its way back ends the process ("concurrent map read and map write").
func TestConnectHandlerHasAHeaderOfItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var token string
		m := tank.NewInstance(tank.WithConnectHandler(func(_ *tank.Client, r *http.Request) error {
			time.Sleep(time.Second)
			token = r.Header.Get("Token")
			return nil
		}))
		s := mountHandler(t, m, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Token", "secret")
			defer r.Header.Del("Token")
			m.ServeHTTP(w, r)
		}))
		go m.Start()
		s.dial("ann")
		time.Sleep(2 * time.Second)
		if token != "secret" {
			t.Errorf("the handler saw the token %q, which middleware has taken away meanwhile", token)
		}
	})
}

// A client that is closing holds memory, too. When it has the most queued bytes, no other is closed in its stead.
func TestClientsThatAreClosingDoNotCostOthersTheirConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithHeartbeat(time.Hour, time.Hour),
			tank.WithLimits(tank.Limits{TotalOutboxBytes: 100_000, CloseTimeout: time.Minute, WriteTimeout: time.Hour}))
		send := func(user string, bytes int) {
			s.connect(handshake{path: "/?user_id=" + user, buffer: 16})
			if n := s.SendToUser(user, tank.Message{Data: []byte(strings.Repeat("x", bytes))}); n != 1 {
				t.Fatalf("sent to %d", n)
			}
			synctest.Wait()
		}
		send("slow", 90_000)
		s.CloseUser("slow")
		synctest.Wait()
		send("ann", 20_000)
		if n := s.SendToUser("ann", tank.Message{}); n != 1 {
			t.Error("ann, who has 20 kB, is closed, while one that is closing has 90 kB")
		}
	})
}

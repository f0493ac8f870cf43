package tanktest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// restricted is a service with an authenticator, and a limit to one connection.
func restricted() *tank.Manager {
	return tank.NewInstance(
		tank.WithLimits(tank.Limits{Connections: 1}),
		tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
			cookie, err := r.Cookie("session")
			if err != nil {
				return tank.Identity{}, err
			}
			return tank.Identity{UserID: "user of " + cookie.Value}, nil
		}))
}

func TestRefusedHandshakes(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		m := restricted()
		s := tanktest.Serve(t, m)
		session := tanktest.Header("Cookie", "session=s1")
		check := func(status int, opts ...tanktest.DialOption) {
			t.Helper()
			answer := s.DialRefused("/ws", opts...)
			body, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != status || !strings.Contains(string(body), http.StatusText(status)) {
				t.Errorf("got %s, %q (%v), want %d", answer.Status, body, err, status)
			}
		}
		check(401)
		check(403, session, tanktest.Header("Origin", "https://elsewhere.example"))
		c := s.Dial("/ws", session, tanktest.Header("Origin", s.URL))
		if user := c.Conn().UserID(); user != "user of s1" {
			t.Errorf("it is %q", user)
		}
		check(503, session)
		c.Close(1000, "")
		for m.GetClientCount() > 0 { // the client sees the end before the instance counts it
			runtime.Gosched()
		}
		s.Dial("/ws", session, tanktest.Header("Host", "public.example"), tanktest.Header("Origin", "http://public.example")).Cut()
	})
}

func TestResponse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := tank.NewInstance(tank.WithUpgrader(tank.Upgrader{Subprotocols: []string{"v2", "v1"}}))
		s := tanktest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "seen", Value: r.URL.Query().Get("page")})
			m.ServeHTTP(w, r)
		}), m)
		c := s.Dial("/ws?page=7", tanktest.Subprotocols("v1", "v2", "v3"))
		answer := c.Response()
		if got := answer.Header.Get("Sec-WebSocket-Protocol"); answer.StatusCode != 101 || got != "v2" {
			t.Errorf("got %s with %q", answer.Status, got)
		}
		if cookies := answer.Cookies(); len(cookies) != 1 || cookies[0].Value != "7" {
			t.Errorf("got %v", cookies)
		}
	})
}

func TestRoutesOfOnesOwn(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		customers, staff := tank.NewInstance(), tank.NewInstance()
		mux := http.NewServeMux()
		mux.Handle("GET /ws/customers", customers)
		mux.Handle("GET /ws/staff", staff)
		mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
			order, err := io.ReadAll(r.Body)
			if err == nil {
				err = staff.Publish(r.Context(), "orders", string(order))
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
		mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, customers.IsRunning(), staff.IsRunning())
		})
		s := tanktest.ServeHandler(t, mux, customers, staff)
		answer, err := s.Client().Get(s.URL + "/healthz")
		must(t, err)
		body, err := io.ReadAll(answer.Body)
		must(t, err)
		must(t, answer.Body.Close())
		if string(body) != "true true" {
			t.Errorf("the instances are running: %s", body)
		}
		customer, clerk := s.Dial("/ws/customers"), s.Dial("/ws/staff")
		customer.Subscribe("orders")
		clerk.Subscribe("orders")
		answer, err = s.Client().Post(s.URL+"/orders", "text/plain", strings.NewReader("one coffee"))
		must(t, err)
		must(t, answer.Body.Close())
		if answer.StatusCode != 200 {
			t.Errorf("got %s", answer.Status)
		}
		clerk.Expect("orders", "one coffee")
		customer.ExpectNothing()
		if s.DialRefused("/ws/nowhere").StatusCode != 404 {
			t.Error("there is something nowhere")
		}
	})
}

func TestAddressesCanBeTakenApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := tank.NewInstance()
		seen := make(map[netip.AddrPort]bool)
		s := tanktest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			addr, err := netip.ParseAddrPort(r.RemoteAddr)
			must(t, err)
			seen[addr] = true
			m.ServeHTTP(w, r)
		}), m)
		for range 3 {
			c := s.Dial("/")
			if addr := netip.MustParseAddrPort(c.Conn().RemoteAddr()); !seen[addr] {
				t.Errorf("%v is not among the addresses of the requests", addr)
			}
		}
		if len(seen) != 3 {
			t.Errorf("3 clients have the addresses %v", seen)
		}
	})
}

func TestAClientOfAnotherLibrary(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, m := serve(t)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		ws, _, err := websocket.Dial(ctx, s.URL+"/?user_id=ann", &websocket.DialOptions{HTTPClient: s.Client()})
		must(t, err)
		defer ws.CloseNow()
		<-m.ConnEvents
		must(t, m.BroadcastMessage([]byte("hello")))
		if _, data, err := ws.Read(ctx); err != nil || string(data) != "hello" {
			t.Errorf("got %q, %v", data, err)
		}
	})
}

func TestTheServerEndsWithTheTest(t *testing.T) {
	var s *tanktest.Server
	var m *tank.Manager
	wantPass(t, record(t, func(t testing.TB) {
		s, m = serve(t)
		c := s.Dial("/")
		c.Subscribe("news")
		c.Freeze()
		s.Dial("/").ReadSlowly(1)
		answer, err := s.Client().Get(s.URL)
		must(t, err)
		if answer.StatusCode != http.StatusUpgradeRequired { // its body is left open
			t.Errorf("got %s", answer.Status)
		}
	}))
	if m.IsRunning() || !errors.Is(m.BroadcastMessage(nil), tank.ErrClosed) {
		t.Error("the instance is running")
	}
	if _, err := s.DialContext(t.Context(), "tcp", "x:80"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the test, DialContext returns %v", err)
	}
	wantFatal(t, record(t, func(t testing.TB) {
		s, _ := serve(t)
		s.Dial("/").Subscribe("news")
		s.Dial("/").Freeze()
		t.Fatalf("the test fails midway")
	}), "midway")
}

func TestAnInstanceThatTheTestHasShutDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, m := serve(t)
		c := s.Dial("/")
		c.Freeze()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) { // and that is no failure of the test's
			t.Errorf("got %v", err)
		}
		if got := s.DialRefused("/").Header.Get("Retry-After"); got != "1" {
			t.Errorf("got Retry-After %q", got)
		}
		c.Thaw()
		c.Rest()
		if m := tank.NewInstance(); m.Shutdown(t.Context()) == nil {
			if got := tanktest.Serve(t, m).DialRefused("/"); got.StatusCode != 503 {
				t.Errorf("got %s", got.Status)
			}
		}
	})
}

func TestAnInstanceThatRunsAlready(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := tank.NewInstance()
		go m.Start()
		synctest.Wait()
		one, two := tanktest.Serve(t, m), tanktest.Serve(t, m)
		a, b := one.Dial("/"), two.Dial("/")
		a.Subscribe("news")
		b.Subscribe("news")
		must(t, m.BroadcastTopicMessage("news", "x"))
		a.Expect("news", "x")
		b.Expect("news", "x")
	})
}

func TestACallbackThatOutlivesTheTestFailsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		r := record(t, func(t testing.TB) {
			s, _ := serve(t, tank.WithMessageHandler(func(*tank.Client, tank.Message) { <-release }))
			s.Dial("/").Send("hello")
			synctest.Wait()
		})
		if len(r.errors) != 1 || !strings.Contains(r.errors[0], "one of its callbacks has not returned") {
			t.Errorf("got %q, want that the callback has not returned", r.errors)
		}
		close(release)
	})
}

func TestARequestThatOutlivesTheTestFailsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		r := record(t, func(t testing.TB) {
			m := tank.NewInstance()
			s := tanktest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/waits" {
					<-r.Context().Done() // and goes then
					return
				}
				m.ServeHTTP(w, r)
				<-release
			}), m)
			s.Dial("/stuck?user_id=ann")
			go s.Client().Get(s.URL + "/waits")
			synctest.Wait()
		})
		if len(r.errors) != 1 || !strings.Contains(r.errors[0], `GET "/stuck?user_id=ann" is still being handled`) {
			t.Errorf("got %q, want that the request is still being handled", r.errors)
		}
		close(release)
	})
}

func TestServingWithoutATestPanics(t *testing.T) {
	for want, serve := range map[string]func(*tank.Manager){
		"tanktest: Serve: t is nil":        func(m *tank.Manager) { tanktest.Serve(nil, m) },
		"tanktest: ServeHandler: t is nil": func(m *tank.Manager) { tanktest.ServeHandler(nil, m, m) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); got != want {
					t.Errorf("panicked with %q, want %q", got, want)
				}
			}()
			serve(tank.NewInstance())
		}()
	}
}

func TestUser(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, _ := serve(t)
		for _, name := range []string{"ann", "小林 & co", "a=b#c?d%20"} {
			for _, path := range []string{"/", "/ws?room=7"} {
				c := s.Dial(path, tanktest.User(name))
				if got := c.Conn().UserID(); got != name {
					t.Errorf("at %s, %q is %q", path, name, got)
				}
				if got := c.Response().Request.URL.Query().Get("room"); strings.Contains(path, "room") != (got == "7") {
					t.Errorf("at %s, the room is %q", path, got)
				}
			}
		}
	})
}

// TestRemoteAddr: the handler sees it, and nothing of how it came there; several clients with the same address are told apart.
func TestRemoteAddr(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		m := tank.NewInstance()
		s := tanktest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for name := range r.Header {
				if strings.Contains(name, "Tanktest") {
					t.Errorf("the handler sees the header %s", name)
				}
			}
			m.ServeHTTP(w, r)
		}), m)
		const addr = "198.51.100.7:4711"
		clients := []*tanktest.Client{
			s.Dial("/", tanktest.User("0")), s.Dial("/", tanktest.User("1"), tanktest.RemoteAddr(addr)),
			s.Dial("/", tanktest.RemoteAddr(addr), tanktest.User("2")), s.Dial("/", tanktest.User("3")),
		}
		for i, c := range clients {
			if got := c.Conn(); got.UserID() != fmt.Sprint(i) || (got.RemoteAddr() == addr) != (i == 1 || i == 2) {
				t.Errorf("client %d is %v, of %s", i, got, got.RemoteAddr())
			}
		}
	})
}

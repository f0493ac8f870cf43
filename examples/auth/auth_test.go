package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/fanqie/tank-websocket-go-server/examples/internal/servertest"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const lifetime = time.Minute

// fixture is the service, served in a bubble.
type fixture struct {
	*testing.T
	*service
	server *tanktest.Server
	logged *bytes.Buffer
}

func bubble(t *testing.T, test func(*fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{T: t, logged: new(bytes.Buffer)}
		f.service = newService(slog.New(slog.NewTextHandler(f.logged, &slog.HandlerOptions{Level: slog.LevelDebug})), lifetime)
		f.server = tanktest.ServeHandler(t, f.handler(), f.tkws)
		f.server.Patience = 2 * lifetime
		go f.watch()
		t.Cleanup(f.sessions.endAll)
		test(f)
	})
}

// post sends a form, with a cookie if there is one.
func (f *fixture) post(path, cookie string, form url.Values, header ...string) *http.Response {
	f.Helper()
	r, err := http.NewRequestWithContext(f.Context(), http.MethodPost, "http://auth.test"+path, strings.NewReader(form.Encode()))
	if err != nil {
		f.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if cookie != "" {
		r.AddCookie(&http.Cookie{Name: cookieName, Value: cookie})
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := f.server.Client().Do(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { answer.Body.Close() })
	return answer
}

func (f *fixture) logIn(name string) login {
	f.Helper()
	answer := f.post("/login", "", url.Values{"name": {name}, "password": {accounts[name].password}})
	var l login
	if err := json.NewDecoder(answer.Body).Decode(&l); err != nil || answer.StatusCode != http.StatusOK {
		f.Fatalf("%s is answered with %s: %v", name, answer.Status, err)
	}
	cookie := answer.Cookies()
	if len(cookie) != 1 || cookie[0].Value != l.Token || !cookie[0].HttpOnly || cookie[0].SameSite != http.SameSiteLaxMode {
		f.Errorf("the cookie is %+v", cookie)
	}
	return l
}

func (f *fixture) connect(l login) *tanktest.Client {
	f.Helper()
	return f.server.Dial("/ws", tanktest.Subprotocols(bearer+l.Token, subprotocol))
}

func inCookie(token string) tanktest.DialOption {
	return tanktest.Header("Cookie", cookieName+"="+token)
}

func TestATokenLetsIn(t *testing.T) {
	bubble(t, func(f *fixture) {
		l := f.logIn("alice")
		for _, c := range []*tanktest.Client{f.connect(l), f.server.Dial("/ws", inCookie(l.Token))} {
			c.Subscribe("news")
			c.Subscribe("orders:alice")
			f.tkws.BroadcastTopicMessage("orders:alice", "shipped")
			c.Expect("orders:alice", "shipped")
			c.Cut()
		}
	})
}

func TestOthersAreRefused(t *testing.T) {
	bubble(t, func(f *fixture) {
		l := f.logIn("alice")
		forged := l.claims
		forged.Role = "admin"
		payload, _, _ := strings.Cut(key("another key").sign(forged), ".")
		_, signature, _ := strings.Cut(l.Token, ".")
		expired := l.claims
		expired.Expires = time.Now()
		nobody := l.claims
		nobody.Session = "never begun"
		for name, token := range map[string]string{
			"none":                 "",
			"not a token":          "hello",
			"no signature":         strings.Split(l.Token, ".")[0],
			"too long":             l.Token + "A",
			"signed by others":     key("another key").sign(l.claims),
			"forged":               payload + "." + signature,
			"expired":              f.sessions.key.sign(expired),
			"of no session":        f.sessions.key.sign(nobody),
			"another alphabet":     strings.ReplaceAll(l.Token, ".", "+"),
			"signature of no JSON": "e30." + encode(f.sessions.key.mac([]byte("{}")))[1:],
		} {
			if answer := f.server.DialRefused("/ws", tanktest.Subprotocols(bearer+token, subprotocol)); answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("token %s in the subprotocol is answered with %s", name, answer.Status)
			}
			if answer := f.server.DialRefused("/ws", inCookie(token)); answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("token %s in the cookie is answered with %s", name, answer.Status)
			}
		}
		elsewhere := tanktest.Header("Origin", "https://elsewhere.test")
		if answer := f.server.DialRefused("/ws", inCookie(l.Token), elsewhere); answer.StatusCode != http.StatusForbidden {
			t.Errorf("a page of another site is answered with %s", answer.Status)
		}
	})
}

func TestTopicsAreTheirOwners(t *testing.T) {
	bubble(t, func(f *fixture) {
		alice, root := f.connect(f.logIn("alice")), f.connect(f.logIn("root"))
		for _, topic := range []string{"orders:root", "orders:", "admin:audit", "newsx", "orders"} {
			alice.Send("sub:" + topic)
			alice.ExpectRefusal("forbidden", topic)
		}
		root.Subscribe("admin:audit")
		root.Subscribe("orders:root")
		root.Send("sub:orders:alice")
		root.ExpectRefusal("forbidden", "orders:alice")
	})
}

func TestConnectionsEndWhenTheirTokenExpires(t *testing.T) {
	bubble(t, func(f *fixture) {
		began := time.Now()
		first := f.connect(f.logIn("alice"))
		time.Sleep(10 * time.Second)
		second := f.connect(f.logIn("alice")) // another session
		time.Sleep(lifetime - 10*time.Second - 1)
		synctest.Wait()
		if !first.EndedAt().IsZero() {
			t.Fatal("it ended before its token expired")
		}
		if reason := first.ExpectClose(closeExpired); reason != "token expired" {
			t.Errorf("the reason is %q", reason)
		}
		if got := first.EndedAt().Sub(began); got != lifetime {
			t.Errorf("it ended after %v, want %v", got, lifetime)
		}
		second.Subscribe("news") // goes on
		second.ExpectClose(closeExpired)
		if got := second.EndedAt().Sub(began); got != lifetime+10*time.Second {
			t.Errorf("the other ended after %v, want %v", got, lifetime+10*time.Second)
		}
	})
}

func TestRenewalKeepsTheConnection(t *testing.T) {
	bubble(t, func(f *fixture) {
		l := f.logIn("alice")
		c := f.connect(l)
		for range 10 {
			time.Sleep(lifetime / 2)
			c.Send("renew")
			var got struct{ Renewed login }
			if err := json.Unmarshal([]byte(c.Next().Data), &got); err != nil || !got.Renewed.Expires.Equal(time.Now().Add(lifetime)) {
				t.Fatalf("got %+v, %v", got, err)
			}
			l = got.Renewed
		}
		f.connect(l).Subscribe("news") // the new token is good
		c.Send("whatever")
		c.ExpectNothing()
		c.ExpectClose(closeExpired)
	})
}

func TestLoggingOutEndsAllConnectionsOfTheUser(t *testing.T) {
	bubble(t, func(f *fixture) {
		l := f.logIn("alice")
		one, two, root := f.connect(l), f.connect(f.logIn("alice")), f.connect(f.logIn("root"))
		f.post("/logout", "nonsense", nil)
		f.post("/logout", "", nil)
		one.ExpectNothing()
		answer := f.post("/logout", l.Token, nil)
		if answer.StatusCode != http.StatusNoContent || answer.Cookies()[0].MaxAge >= 0 {
			t.Errorf("answered with %s, %+v", answer.Status, answer.Cookies())
		}
		for _, c := range []*tanktest.Client{one, two} {
			if reason := c.ExpectClose(closeExpired); reason != "logged out" {
				t.Errorf("the reason is %q", reason)
			}
		}
		root.Subscribe("news")
		if answer := f.server.DialRefused("/ws", inCookie(l.Token)); answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("the token is still good: %s", answer.Status)
		}
	})
}

func TestLogins(t *testing.T) {
	bubble(t, func(f *fixture) {
		for name, form := range map[string]url.Values{
			"wrong password": {"name": {"alice"}, "password": {"toor"}},
			"no password":    {"name": {"alice"}},
			"unknown":        {"name": {"bob"}, "password": {""}},
			"nobody":         {},
			"huge":           {"name": {"alice"}, "password": {strings.Repeat("x", 10_000)}},
		} {
			if answer := f.post("/login", "", form); answer.StatusCode != http.StatusUnauthorized || len(answer.Cookies()) > 0 {
				t.Errorf("%s is answered with %s", name, answer.Status)
			}
		}
		right := url.Values{"name": {"alice"}, "password": {"wonderland"}}
		if answer := f.post("/login", "", right, "Sec-Fetch-Site", "cross-site"); answer.StatusCode != http.StatusForbidden {
			t.Errorf("a form of another site is answered with %s", answer.Status)
		}
		time.Sleep(time.Second) // net/http hangs up on who sends too much only then
	})
}

// TestTokensAreTold to nobody but their owner.
func TestTokensAreTold(t *testing.T) {
	bubble(t, func(f *fixture) {
		l := f.logIn("alice")
		f.connect(l).Send("sub:orders:root")
		f.server.DialRefused("/ws", inCookie(l.Token+"A"))
		f.server.DialRefused("/ws", tanktest.Subprotocols(bearer+l.Token+"A", subprotocol))
		answer := f.server.DialRefused("/ws", inCookie(l.Token), tanktest.Header("Origin", "https://elsewhere.test"))
		for name, values := range answer.Header {
			if strings.Contains(strings.Join(values, " "), l.Token) {
				t.Errorf("the header %s has the token", name)
			}
		}
		synctest.Wait()
		if log := f.logged.String(); strings.Contains(log, l.Token) || !strings.Contains(log, "authentication failed") {
			t.Errorf("the log is %s", log)
		}
	})
}

func TestSlowPeersAreCutOff(t *testing.T) {
	s := newService(slog.New(slog.DiscardHandler), time.Hour)
	go s.tkws.Start()
	go s.watch()
	defer s.sessions.endAll()
	defer s.tkws.Shutdown(context.Background())
	servertest.Check(t, newServer(s.handler()), func(addr string) (alive func()) {
		_, token := s.sessions.begin("alice", "customer")
		ws, answer, err := websocket.Dial(t.Context(), "ws://"+addr+"/ws", &websocket.DialOptions{Subprotocols: []string{bearer + token, subprotocol}})
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.Header.Get("Sec-WebSocket-Protocol"); got != subprotocol {
			t.Errorf("the subprotocol is %q", got)
		}
		return func() {
			defer ws.CloseNow()
			if err := ws.Write(t.Context(), websocket.MessageText, []byte("renew")); err != nil {
				t.Fatal(err)
			}
			if _, text, err := ws.Read(t.Context()); err != nil || !strings.HasPrefix(string(text), `{"renewed":`) {
				t.Errorf("got %s, %v", text, err)
			}
		}
	})
}

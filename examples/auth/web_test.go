package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/fanqie/tank-websocket-go-server/examples/internal/servertest"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

func TestLogins(t *testing.T) {
	bubble(t, func(f *fixture) {
		for name, form := range map[string]url.Values{
			"wrong password": {"name": {"alice"}, "password": {"toor"}},
			"no password":    {"name": {"alice"}},
			"unknown":        {"name": {"bob"}, "password": {""}},
			"nobody":         {},
			"huge":           {"name": {"alice"}, "password": {strings.Repeat("x", 10_000)}},
		} {
			if answer := f.request(http.MethodPost, "/login", form); answer.StatusCode != http.StatusUnauthorized || len(answer.Cookies()) > 0 {
				t.Errorf("%s is answered with %s", name, answer.Status)
			}
		}
		time.Sleep(time.Second) // net/http hangs up on who sends too much only then
	})
}

// TestOtherSitesDoNotAct for a visitor of theirs.
func TestOtherSitesDoNotAct(t *testing.T) {
	bubble(t, func(f *fixture) {
		cookie := f.logInByCookie("alice")
		c := f.server.Dial("/ws", inCookie(cookie.Value))
		form := url.Values{"name": {"root"}, "password": {"toor"}, "way": {"cookie"}}
		for _, path := range []string{"/login", "/renew", "/logout"} {
			for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://elsewhere.test"}} {
				answer := f.request(http.MethodPost, path, form, append(header, asBrowser(cookie.Value)...)...)
				if answer.StatusCode != http.StatusForbidden || len(answer.Cookies()) > 0 {
					t.Errorf("%s from another site (%s) is answered with %s", path, header[0], answer.Status)
				}
			}
		}
		c.ExpectNothing()
	})
}

// TestAPageFindsItsSessionAgain, with the cookie after a reload and with its token after a broken connection.
func TestAPageFindsItsSessionAgain(t *testing.T) {
	bubble(t, func(f *fixture) {
		l, cookie := f.logIn("alice"), f.logInByCookie("root")
		time.Sleep(lifetime / 4)
		for user, header := range map[string][]string{"alice": asPage(l.Token), "root": asBrowser(cookie.Value)} {
			got := f.login(f.request(http.MethodGet, "/session", nil, header...))
			if got.User != user || got.Role != accounts[user].role || got.ExpiresIn != 0.75*lifetime.Seconds() || got.Token != "" {
				t.Errorf("%s is told %+v", user, got)
			}
		}
		time.Sleep(lifetime)
		for _, header := range [][]string{nil, asPage(l.Token), asBrowser(cookie.Value), asPage("nonsense")} {
			answer := f.request(http.MethodGet, "/session", nil, header...)
			if answer.StatusCode != http.StatusNoContent || answer.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%v is answered with %s, %v", header, answer.Status, answer.Header)
			}
		}
	})
}

func TestCookiesAreSecureBehindTLS(t *testing.T) {
	bubble(t, func(f *fixture) {
		for proto, want := range map[string]bool{"https": true, "HTTPS, http": true, "http": false, "http, https": false} {
			if c := f.logInByCookie("alice", "X-Forwarded-Proto", proto); c.Secure != want {
				t.Errorf("behind %s the cookie is %v", proto, c)
			}
		}
		if c := f.logInByCookie("alice"); c.Secure {
			t.Errorf("without TLS the browser would not keep %v", c)
		}
	})
}

// TestTokensAreTold to nobody but their owner.
func TestTokensAreTold(t *testing.T) {
	bubble(t, func(f *fixture) {
		l := f.logIn("alice")
		c := f.connect(l)
		c.Send("sub:orders:root")
		told := []http.Header{c.Response().Header}
		for _, refused := range [][]tanktest.DialOption{
			{inCookie(l.Token + "AAAA")},
			{tanktest.Subprotocols(bearer+l.Token+"AAAA", subprotocol)},
			{inCookie(l.Token), tanktest.Header("Origin", "https://elsewhere.test")},
		} {
			told = append(told, f.server.DialRefused("/ws", refused...).Header)
		}
		for _, header := range told {
			for name, values := range header {
				if strings.Contains(strings.Join(values, " "), l.Token) {
					t.Errorf("the header %s has the token", name)
				}
			}
		}
		synctest.Wait()
		if log := f.logged.String(); strings.Contains(log, l.Token) || !strings.Contains(log, "authentication failed") {
			t.Errorf("the log is %s", log)
		}
	})
}

func TestThePageIsNotFramed(t *testing.T) {
	bubble(t, func(f *fixture) {
		answer := f.request(http.MethodGet, "/", nil)
		if policy := answer.Header.Get("Content-Security-Policy"); answer.StatusCode != http.StatusOK || policy != "frame-ancestors 'none'" {
			t.Errorf("answered with %s, %q", answer.Status, policy)
		}
	})
}

func TestSlowPeersAreCutOff(t *testing.T) {
	s := newService(slog.New(slog.DiscardHandler), time.Hour)
	go s.tkws.Start()
	defer s.tkws.Shutdown(context.Background())
	servertest.Check(t, newServer(s.handler()), func(addr string) (alive func()) {
		_, token := s.sessions.begin("alice", "customer", false)
		ws, answer, err := websocket.Dial(t.Context(), "ws://"+addr+"/ws", &websocket.DialOptions{Subprotocols: []string{bearer + token, subprotocol}})
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.Header.Get("Sec-WebSocket-Protocol"); got != subprotocol {
			t.Errorf("the subprotocol is %q", got)
		}
		return func() {
			defer ws.CloseNow()
			if err := ws.Write(t.Context(), websocket.MessageText, []byte("token:"+token)); err != nil {
				t.Fatal(err)
			}
			if _, text, err := ws.Read(t.Context()); err != nil || !strings.HasPrefix(string(text), `{"renewed":`) {
				t.Errorf("got %s, %v", text, err)
			}
		}
	})
}

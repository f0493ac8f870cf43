package test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

func TestUserIDFromTheQuery(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		for query, want := range map[string]string{
			"?user_id=ann":                              "ann",
			"?user_id=%E4%B8%96%E7%95%8C":               "世界",
			"?x=1&user_id=a%20b":                        "a b",
			"?user_id=" + strings.Repeat("x", 128):      strings.Repeat("x", 128),
			"?user_id=first&user_id=second":             "first",
			"?other=" + strings.Repeat("unrelated", 99): "",
			"?user_id=":                                 "",
			"":                                          "",
		} {
			s.connect(handshake{path: "/" + query})
			e := s.event()
			if want == "" {
				want = e.ClientID
			}
			if e.UserID != want || len(e.ClientID) != 36 {
				t.Errorf("query %q makes user %q of client %q, want %q", query, e.UserID, e.ClientID, want)
			}
		}
		for _, query := range []string{"?user_id=" + strings.Repeat("x", 129), "?user_id=a%0d%0aSet-Cookie:x", "?user_id=%ff", "?user_id=%00"} {
			_, resp := s.request(handshake{path: "/" + query})
			if resp.StatusCode != http.StatusBadRequest {
				t.Errorf("query %q is answered with %s, want 400", query, resp.Status)
			}
			mustBe(t, s.expectError(tank.CodeUpgrade), tank.ErrInvalidUserID)
		}
	})
}

func TestSameUserTwiceIsTwoIndependentConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		first, second := s.dial("ann"), s.dial("ann")
		if a, b := s.event(), s.event(); a.ClientID == b.ClientID {
			t.Fatal("both connections have the same client id")
		}
		first.subscribe(s, "news")
		must(t, s.BroadcastTopicMessage("news", "x"))
		first.expectTopic("news", "x")
		second.expectNothing()
		first.conn.Close()
		s.expectEvents("subscribe ann news", "disconnect ann")
		must(t, s.BroadcastMessage([]byte("y")))
		second.expect("y")
	})
}

// brokenError is an error whose methods must not be called by the goroutines of others.
type brokenError struct{}

func (brokenError) Error() string { return "broken" }
func (brokenError) As(any) bool   { panic("As is broken") }
func (brokenError) Is(error) bool { panic("Is is broken") }

func TestAuthenticator(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
			switch token := r.Header.Get("Token"); token {
			case "":
				return named("", errors.New("the secret reason"))
			case "panic":
				panic("authenticator is broken")
			case "error that panics":
				return named("", brokenError{})
			default:
				return named(token, nil)
			}
		}))
		header := func(token string) handshake {
			return handshake{path: "/?user_id=liar", header: http.Header{"Token": {token}}}
		}
		s.connect(header("ann"))
		s.expectEvents("connect ann")
		for token, want := range map[string]struct {
			status int
			code   tank.ErrorCode
		}{
			"":                       {401, tank.CodeAuth},
			"panic":                  {500, tank.CodeInternal},
			"error that panics":      {401, tank.CodeAuth},
			strings.Repeat("x", 129): {400, tank.CodeUpgrade},
		} {
			_, resp := s.request(header(token))
			text, _ := io.ReadAll(resp.Body)
			body := string(text)
			if resp.StatusCode != want.status || strings.Contains(body, "secret") || strings.Contains(body, "broken") {
				t.Errorf("token %q is answered with %s %q, want %d and no internals", token, resp.Status, body, want.status)
			}
			s.expectError(want.code)
		}
		if n := s.GetClientCount(); n != 1 {
			t.Fatalf("%d clients", n)
		}
	})
}

func TestOriginIsCheckedByDefault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		check := func(want int, header http.Header) {
			t.Helper()
			_, resp := s.request(handshake{path: "/", header: header})
			if resp.StatusCode != want {
				t.Errorf("%v is answered with %s, want %d", header, resp.Status, want)
			}
			if want == http.StatusForbidden {
				mustBe(t, s.expectError(tank.CodeUpgrade), tank.ErrForbidden)
			}
		}
		origin := func(o string) http.Header { return http.Header{"Origin": {o}} }
		check(101, http.Header{}) // not a browser
		check(101, origin("http://example.test"))
		check(101, origin("http://EXAMPLE.test:80"))
		for _, bad := range []string{"null", "", "http://evil.test", "https://example.test", "http://example.test:8080",
			"http://user@example.test", "http://example.test/", "ftp://example.test", "ws://example.test",
			"file://", "data:text/html,x", "javascript:x", "chrome-extension://example.test", "http:example.test", "//example.test",
			"http://:pw@example.test", "http://example.test?q", "http://example.test#f", "http://example.test.evil.test", "://", "http://"} {
			check(403, origin(bad))
		}
		check(403, http.Header{"Origin": {"http://example.test", "http://evil.test"}})
		check(403, http.Header{"Origin": {"http://example.test http://evil.test"}})
		proxied := http.Header{"Origin": {"https://example.test"}, "X-Forwarded-Proto": {"https"}}
		check(101, proxied)
		proxied.Set("Origin", "http://example.test")
		check(403, proxied)
	})
}

// TestPortsThatAreNotSaid: an empty port is the scheme's default one, RFC 3986 section 3.2.3.
func TestPortsThatAreNotSaid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		for _, c := range []struct {
			host, proto, origin string
			want                int
		}{
			{"a.test:", "", "http://a.test", 101},
			{"a.test:", "", "http://a.test:80", 101},
			{"a.test:", "", "http://a.test:", 101},
			{"a.test", "", "http://a.test:", 101},
			{"a.test:80", "", "http://a.test:", 101},
			{"a.test:", "https", "https://a.test", 101},
			{"a.test:443", "https", "https://a.test:", 101},
			{"[::1]:", "", "http://[::1]", 101},
			{"[::1]", "", "http://[::1]:80", 101},
			{"a.test:", "", "http://a.test:8080", 403},
			{"a.test:8080", "", "http://a.test:", 403},
			{"a.test:", "https", "https://a.test:80", 403},
			{"a.test:80:", "", "http://a.test:80", 403},
		} {
			h := wstest.Handshake{Host: c.host, Header: "Origin: " + c.origin + "\r\nX-Forwarded-Proto: " + c.proto + "\r\n"}
			if _, resp := s.raw(h.String(), defaultBuffer); resp.StatusCode != c.want {
				t.Errorf("host %q, scheme %q, origin %q: %s, want %d", c.host, c.proto, c.origin, resp.Status, c.want)
			}
		}
	})
}

func TestCheckOriginReplacesTheDefault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithUpgrader(tank.Upgrader{CheckOrigin: func(r *http.Request) bool {
			if r.Header.Get("Origin") == "panic" {
				panic("CheckOrigin is broken")
			}
			return r.Header.Get("Origin") == "http://friend.test"
		}}))
		for origin, want := range map[string]int{"http://friend.test": 101, "http://example.test": 403, "panic": 500} {
			if _, resp := s.request(handshake{path: "/", header: http.Header{"Origin": {origin}}}); resp.StatusCode != want {
				t.Errorf("origin %q is answered with %s, want %d", origin, resp.Status, want)
			}
		}
	})
}

func TestOriginOfATLSRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := tank.NewInstance()
		s := mount(t, m)
		s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.TLS = &tls.ConnectionState{}
			m.ServeHTTP(w, r)
		})
		go m.Start()
		for origin, want := range map[string]int{"https://example.test": 101, "http://example.test": 403} {
			if _, resp := s.request(handshake{path: "/", header: http.Header{"Origin": {origin}}}); resp.StatusCode != want {
				t.Errorf("origin %q is answered with %s, want %d", origin, resp.Status, want)
			}
		}
	})
}

func TestRequestsThatAreNoHandshakeAreRefused(t *testing.T) {
	good := wstest.Handshake{}.String()
	with := func(old, replacement string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("there is no %q to replace", old)
		}
		return strings.Replace(good, old, replacement, 1)
	}
	ending := func(more string) string { return with("==\r\n\r\n", "==\r\n"+more) }
	bubble(t, func(t *testing.T) {
		s := serve(t)
		for name, c := range map[string]struct {
			request string
			want    int
			header  http.Header // in the answer
		}{
			"plain GET":               {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426, upgradeHeader},
			"HTTP/1.0":                {with("HTTP/1.1", "HTTP/1.0"), 426, http.Header{"Upgrade": {"websocket"}}}, // net/http closes it
			"plain POST with a body":  {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", 426, upgradeHeader},
			"version 8":               {with("Version: 13", "Version: 8"), 426, versionHeader},
			"version of another kind": {with("Version: 13", "Version: x"), 426, versionHeader},
			"no version":              {with("Sec-WebSocket-Version: 13\r\n", ""), 400, http.Header{"Sec-Websocket-Version": {"13"}}},
			"an empty version":        {with("Version: 13", "Version:"), 426, versionHeader},
			"versions 13 and 8":       {ending("Sec-WebSocket-Version: 8\r\n\r\n"), 400, http.Header{"Sec-Websocket-Version": {"13"}}},
			"versions 13 and 13":      {ending("Sec-WebSocket-Version: 13\r\n\r\n"), 400, nil},
			"versions 8 and 13":       {with("Version: 13", "Version: 8\r\nSec-WebSocket-Version: 13"), 400, nil},
			"versions 13, 8 in one":   {with("Version: 13", "Version: 13, 8"), 400, nil},
			"versions 8, 13 in one":   {with("Version: 13", "Version: 8, 13"), 400, nil},
			"no key":                  {with("Sec-WebSocket-Key: "+wstest.Key+"\r\n", ""), 400, nil},
			"POST":                    {with("GET", "POST"), 405, http.Header{"Allow": {"GET"}}},
			"a body":                  {ending("Content-Length: 2\r\n\r\nhi"), 400, nil},
			"a body in chunks":        {ending("Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), 400, nil},
			"an empty body in chunks": {ending("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400, nil},
			"no body":                 {ending("Content-Length: 0\r\n\r\n"), 101, nil},
		} {
			conn, resp := s.raw(c.request, defaultBuffer)
			conn.Close()
			if resp.StatusCode != c.want {
				t.Errorf("%s is answered with %s, want %d", name, resp.Status, c.want)
			}
			for key := range c.header {
				if got := resp.Header.Get(key); got != c.header.Get(key) {
					t.Errorf("%s is answered with %s %q, want %q", name, key, got, c.header.Get(key))
				}
			}
			if c.want == http.StatusBadRequest && resp.Header.Get("Upgrade") != "" {
				t.Errorf("%s is answered with an Upgrade", name)
			}
			if c.want == http.StatusSwitchingProtocols {
				s.expectError(tank.CodeRead) // the connection has been closed
			} else {
				s.expectError(tank.CodeUpgrade)
			}
		}
	})
}

// What a request with another version is answered, RFC 6455 section 4.2.2 and RFC 9110 section 15.5.22.
var (
	upgradeHeader = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}}
	versionHeader = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}}
)

func TestMiddleware(t *testing.T) {
	type opaque struct{ http.ResponseWriter }
	for name, c := range map[string]struct {
		wrap func(http.ResponseWriter) http.ResponseWriter
		want int
	}{
		"that can be looked through": {func(w http.ResponseWriter) http.ResponseWriter { return unwrappable{w} }, 101},
		"that hides the connection":  {func(w http.ResponseWriter) http.ResponseWriter { return opaque{w} }, 501},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m := tank.NewInstance()
				s := mount(t, m)
				s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.ServeHTTP(c.wrap(w), r) })
				go m.Start()
				if _, resp := s.request(handshake{path: "/"}); resp.StatusCode != c.want {
					t.Fatalf("answered with %s, want %d", resp.Status, c.want)
				}
			})
		})
	}
}

type unwrappable struct{ http.ResponseWriter }

func (u unwrappable) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func TestHostileOriginAndUserAreQuotedAndShortened(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		hostile := strings.Repeat("\u202ex", 10_000)
		s.request(handshake{path: "/", header: http.Header{"Origin": {"http://" + hostile}}})
		text := s.expectError(tank.CodeUpgrade).Error()
		s.request(handshake{path: "/?user_id=" + url.QueryEscape(hostile+"\r\n")})
		text += s.expectError(tank.CodeUpgrade).Error()
		if len(text) > 1000 || strings.ContainsAny(text, "\u202e\r\n") {
			t.Fatalf("%d bytes: %q", len(text), text)
		}
	})
}

func TestInvalidQueryWithoutAUserIDIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		if _, resp := s.request(handshake{path: "/?user_id=%zz"}); resp.StatusCode != http.StatusBadRequest {
			t.Fatal(fmt.Sprint("answered with ", resp.Status))
		}
	})
}

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const lifetime = time.Minute

// fixture is the service, served in a bubble.
type fixture struct {
	*testing.T
	*service
	server   *tanktest.Server
	logged   *bytes.Buffer
	onHijack func() // what happens between a handshake's authentication and its connection
}

func bubble(t *testing.T, test func(*fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{T: t, logged: new(bytes.Buffer)}
		f.service = newService(slog.New(slog.NewTextHandler(f.logged, &slog.HandlerOptions{Level: slog.LevelDebug})), lifetime)
		site := f.handler()
		f.server = tanktest.ServeHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			site.ServeHTTP(hijacked{w, f}, r)
		}), f.tkws)
		f.server.Patience = 2 * lifetime
		test(f)
	})
}

// hijacked calls onHijack before a connection is taken from the HTTP server.
type hijacked struct {
	http.ResponseWriter
	f *fixture
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if h.f.onHijack != nil {
		h.f.onHijack()
	}
	return http.NewResponseController(h.ResponseWriter).Hijack()
}

// request makes a request with some headers, given as names and values.
func (f *fixture) request(method, path string, form url.Values, header ...string) *http.Response {
	f.Helper()
	r, err := http.NewRequestWithContext(f.Context(), method, "http://auth.test"+path, strings.NewReader(form.Encode()))
	if err != nil {
		f.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
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

func (f *fixture) post(path string, header ...string) *http.Response {
	f.Helper()
	return f.request(http.MethodPost, path, nil, header...)
}

// asPage and asBrowser are the headers of a request whose token a page has, or a browser's cookie.
func asPage(token string) []string    { return []string{"Authorization", "Bearer " + token} }
func asBrowser(token string) []string { return []string{"Cookie", cookieName + "=" + token} }

// logIn returns what a page is told that keeps the token itself.
func (f *fixture) logIn(name string) login {
	f.Helper()
	answer := f.request(http.MethodPost, "/login", url.Values{"name": {name}, "password": {accounts[name].password}})
	l := f.login(answer)
	if l.User != name || l.Token == "" || len(answer.Cookies()) > 0 {
		f.Fatalf("%s is told %+v, with the cookies %v", name, l, answer.Cookies())
	}
	return l
}

// logInByCookie returns the token that is in the cookie and nowhere else.
func (f *fixture) logInByCookie(name string, header ...string) *http.Cookie {
	f.Helper()
	form := url.Values{"name": {name}, "password": {accounts[name].password}, "way": {"cookie"}}
	return f.cookie(f.request(http.MethodPost, "/login", form, header...))
}

// login reads what an answer says about the session.
func (f *fixture) login(answer *http.Response) (l login) {
	f.Helper()
	if err := json.NewDecoder(answer.Body).Decode(&l); err != nil || answer.StatusCode != http.StatusOK {
		f.Fatalf("answered with %s: %v", answer.Status, err)
	}
	if l.ExpiresIn <= 0 || l.ExpiresIn > l.Lifetime || l.Lifetime != lifetime.Seconds() || answer.Header.Get("Cache-Control") != "no-store" {
		f.Errorf("told %+v, with the headers %v", l, answer.Header)
	}
	return l
}

// cookie reads the token that an answer sets, which is for the browser alone.
func (f *fixture) cookie(answer *http.Response) *http.Cookie {
	f.Helper()
	l, cookies := f.login(answer), answer.Cookies()
	if l.Token != "" || len(cookies) != 1 {
		f.Fatalf("a script is told %+v, and the browser %v", l, cookies)
	}
	c := cookies[0]
	if c.Name != cookieName || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.MaxAge != int(lifetime.Seconds()) {
		f.Errorf("the cookie is %v", c)
	}
	return c
}

func (f *fixture) connect(l login) *tanktest.Client {
	f.Helper()
	return f.server.Dial("/ws", tanktest.Subprotocols(bearer+l.Token, subprotocol))
}

// connectPage is a connection as a page makes it.
func (f *fixture) connectPage(l login) *tanktest.ClientV2 {
	f.Helper()
	return f.server.DialV2("/ws", tanktest.Subprotocols(bearer+l.Token))
}

// renew asks for another token in place of one.
func (f *fixture) renew(l login) login {
	f.Helper()
	renewed := f.login(f.post("/renew", asPage(l.Token)...))
	if renewed.Token == "" || renewed.Token == l.Token || renewed.ExpiresIn != lifetime.Seconds() {
		f.Errorf("told %+v", renewed)
	}
	return renewed
}

// renewOver renews a plain socket with another token.
func (f *fixture) renewOver(c *tanktest.Client, l login) login {
	f.Helper()
	renewed := f.renew(l)
	c.Send("token:" + renewed.Token)
	if told := f.told(c); told.Token != "" {
		f.Errorf("the token is repeated: %+v", told)
	}
	return renewed
}

// claims reads a token of the service.
func (f *fixture) claims(token string) claims {
	f.Helper()
	c, err := f.sessions.key.verify(token, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	return c
}

// expires expects a connection to be closed because its credentials have expired.
func (f *fixture) expires(c *tanktest.Client) {
	f.Helper()
	if reason := c.ExpectClose(int(tank.CloseUnauthorized)); reason != "credentials expired" {
		f.Errorf("the reason is %q", reason)
	}
}

// told reads what a connection is told about a renewal.
func (f *fixture) told(c *tanktest.Client) login {
	f.Helper()
	var got struct{ Renewed login }
	if err := json.Unmarshal([]byte(c.Next().Data), &got); err != nil || got.Renewed.ExpiresIn != lifetime.Seconds() {
		f.Fatalf("got %+v, %v", got, err)
	}
	return got.Renewed
}

func inCookie(token string) tanktest.DialOption {
	return tanktest.Header("Cookie", cookieName+"="+token)
}

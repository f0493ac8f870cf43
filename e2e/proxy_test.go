package e2e

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// behindTLS is the same program, behind a proxy that ends TLS and puts everything under a path.
func (s *server) behindTLS(path string) *server {
	s.t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	proxy := httptest.NewTLSServer(http.StripPrefix(path, &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
	}))
	s.t.Cleanup(proxy.Close)
	s.t.Cleanup(proxy.CloseClientConnections)
	return &server{t: s.t, url: proxy.URL + path + "/"}
}

// TestPagesUnderAPath find what they need there, and their sockets.
func TestPagesUnderAPath(t *testing.T) {
	t.Parallel()
	for program, works := range map[string]string{
		"single": lines("times") + `.length > 0`,
		"multi":  lines("public") + `.length > 0 && ` + lines("staff") + `.length > 0`,
		"echo":   element("state") + `?.dataset.state === 'open'`,
		"auth":   element("state") + `?.textContent === 'connected'`,
		"orders": orderCount + ` === 3 && ` + element("result-orders:ada") + `.textContent === 'subscribed'`,
		"ticker": cardsOfTicker + `[0]?.points.length > 5`,
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			p := open(t, start(t, program, "127.0.0.1:0").behindTLS("/apps/"+program), program, look{})
			if program == "auth" {
				p.logIn("alice", "wonderland")
			}
			p.wait(works)
		})
	}
}

// TestPagesSayThatTheyAreRefused, and do not try again.
func TestPagesSayThatTheyAreRefused(t *testing.T) {
	t.Parallel()
	for program, text := range map[string]string{
		"single": "refused by the server", "multi": "refused by the server", "echo": "refused by the server",
		"auth": "closed by the server: 3003 refused", "orders": "refused by the server", "ticker": "refused",
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			refusing := tank.NewInstance(
				tank.WithConnectHandler(func(*tank.Client, *http.Request) error { return errors.New("not today") }),
				tank.WithLogger(slog.New(slog.DiscardHandler)))
			go refusing.Start()
			target, err := url.Parse(start(t, program, "127.0.0.1:0").url)
			if err != nil {
				t.Fatal(err)
			}
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Upgrade") != "" {
					refusing.ServeHTTP(w, r)
				} else {
					httputil.NewSingleHostReverseProxy(target).ServeHTTP(w, r)
				}
			}))
			t.Cleanup(func() {
				proxy.Close()
				refusing.Shutdown(context.Background())
			})
			p := open(t, &server{t: t, url: proxy.URL + "/"}, program, look{})
			if program == "auth" {
				p.logIn("alice", "wonderland")
			}
			p.wait(`[...document.querySelectorAll('[role=status]')].every((e) => e.textContent === ` + quote(text) + `)`)
			p.screenshot("refused-" + program)
			sockets := refusing.Stats().Accepted
			p.run(`new Promise((resolve) => setTimeout(resolve, 2000))`)
			if again := refusing.Stats().Accepted; again != sockets {
				t.Errorf("it has tried %d times", again)
			}
		})
	}
}

// The page finds its socket behind a proxy that ends TLS and puts everything under a path of its own, and the server
// takes the page's origin for its own, given Host and X-Forwarded-Proto.
func TestBehindTLSProxyUnderAPath(t *testing.T) {
	t.Parallel()
	s := start(t, "chat", "127.0.0.1:0")
	ada, bo := openChat(t, s.behindTLS("/apps/chat"), "Ada", look{}), openChat(t, s, "Bo", look{})
	if got := eval[string](ada, `location.protocol + location.pathname`); got != "https:/apps/chat/" {
		t.Errorf("the page is at %s", got)
	}
	ada.write("composer", "through the proxy")
	bo.waitMessage("Ada", "through the proxy")
	bo.write("composer", "and back")
	ada.waitMessage("Bo", "and back")
}

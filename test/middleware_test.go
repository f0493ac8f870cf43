package test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// wrapped serves an instance behind middleware, in a bubble.
func wrapped(t *testing.T, middleware func(http.Handler) http.Handler, opts ...tank.Option) *server {
	m := tank.NewInstance(opts...)
	s := mount(t, m)
	s.http.Handler = middleware(m)
	go m.Start()
	return s
}

// holdingWriter keeps status and body back until the handler has returned, as a compressing writer does that waits for the
// length of the body. Its Hijack forgets what it has kept.
type holdingWriter struct {
	http.ResponseWriter
	status   int
	body     bytes.Buffer
	hijacked bool
}

func (w *holdingWriter) WriteHeader(status int)      { w.status = status }
func (w *holdingWriter) Write(p []byte) (int, error) { return w.body.Write(p) }

func (w *holdingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, brw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.hijacked = err == nil
	return conn, brw, err
}

func holding(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		held := &holdingWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(held, r)
		if !held.hijacked {
			w.WriteHeader(held.status)
			w.Write(held.body.Bytes())
		}
	})
}

// TestWritersThatHoldBackTheStatus: the answer of the handshake comes first, whatever a writer does with a status.
func TestWritersThatHoldBackTheStatus(t *testing.T) {
	for name, early := range map[string][]byte{"nothing": nil, "a frame": frame(opText, "sub:news")} {
		t.Run(name+" behind the handshake", func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := wrapped(t, holding, tank.WithMessageHandler(func(c *tank.Client, m tank.Message) { c.Send(m) }))
				p := s.connect(handshake{path: "/", early: early})
				if early == nil {
					p.send("sub:news")
				}
				synctest.Wait()
				must(t, s.BroadcastTopicMessage("news", "x"))
				p.expectTopic("news", "x")
				p.send("up")
				p.expect("up")
			})
		})
	}
}

func TestWritersThatHoldBackARefusal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := wrapped(t, holding)
		_, resp := s.raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n", defaultBuffer)
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusUpgradeRequired || resp.Header.Get("Upgrade") != "websocket" || !strings.Contains(string(body), "Connection") {
			t.Fatalf("answered with %s %v %q", resp.Status, resp.Header, body)
		}
	})
}

// hijackingWriter has a Hijack method of its own.
type hijackingWriter struct {
	http.ResponseWriter
	hijack func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error)
}

func (w hijackingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.hijack(w.ResponseWriter)
}

// asserted hijacks as much middleware does: without asking whether that can be done.
func asserted(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
	return w.(http.Hijacker).Hijack()
}

func hijackingBy(hijack func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(hijackingWriter{w, hijack}, r) })
	}
}

func failingWith(err error) func(http.Handler) http.Handler {
	return hijackingBy(func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) { return nil, nil, err })
}

// within1s puts a handler under http.TimeoutHandler, which hides the connection.
func within1s(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Second, "") }

func TestHijackThatFails(t *testing.T) {
	broken := errors.New("hijack is broken")
	for name, c := range map[string]struct {
		middleware func(http.Handler) http.Handler
		status     int
		code       tank.ErrorCode
		err        error
	}{
		"is not supported":              {failingWith(http.ErrNotSupported), 501, tank.CodeUpgrade, http.ErrNotSupported},
		"is not supported, in words":    {failingWith(fmt.Errorf("here: %w", http.ErrNotSupported)), 501, tank.CodeUpgrade, http.ErrNotSupported},
		"is hidden":                     {within1s, 501, tank.CodeUpgrade, http.ErrNotSupported},
		"returns an error":              {failingWith(broken), 500, tank.CodeUpgrade, broken},
		"returns nothing":               {failingWith(nil), 500, tank.CodeUpgrade, nil},
		"panics":                        {hijackingBy(func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) { panic(broken) }), 500, tank.CodeInternal, broken},
		"panics below TimeoutHandler":   {func(h http.Handler) http.Handler { return within1s(hijackingBy(asserted)(h)) }, 500, tank.CodeInternal, nil},
		"asks below TimeoutHandler":     {func(h http.Handler) http.Handler { return within1s(holding(h)) }, 501, tank.CodeUpgrade, http.ErrNotSupported},
		"is not supported, but is held": {func(h http.Handler) http.Handler { return holding(failingWith(http.ErrNotSupported)(h)) }, 501, tank.CodeUpgrade, http.ErrNotSupported},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := wrapped(t, c.middleware, tank.WithUpgrader(tank.Upgrader{Subprotocols: []string{"chat"}, EnableCompression: true}))
				h := offer.Clone()
				h.Set("Sec-WebSocket-Protocol", "chat")
				_, resp := s.request(handshake{path: "/", header: h})
				if resp.StatusCode != c.status {
					t.Errorf("answered with %s, want %d", resp.Status, c.status)
				}
				for key := range resp.Header {
					if key == "Upgrade" || key == "Connection" || strings.HasPrefix(key, "Sec-Websocket-") {
						t.Errorf("the answer has %s: %q", key, resp.Header[key])
					}
				}
				e := s.expectError(c.code)
				if c.err != nil {
					mustBe(t, e, c.err)
				}
				s.expectNoErrors()
				if got := s.Stats(); got.Clients != 0 || got.Refused != 1 {
					t.Errorf("%d clients, %d refused", got.Clients, got.Refused)
				}
			})
		})
	}
}

// TestHeadersOfMiddleware: what middleware says about the answer is in it, but for what makes no sense without a body or
// would contradict the handshake.
func TestHeadersOfMiddleware(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := wrapped(t, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h := w.Header()
				h.Add("Set-Cookie", "a=1")
				h.Add("Set-Cookie", "b=2")
				h.Set("X-Request-Id", "7\r\nSmuggled: x")
				h.Set("Access-Control-Allow-Origin", "*")
				h.Set("Vary", "Accept-Encoding")
				for _, key := range []string{"Content-Type", "Content-Encoding", "Content-Length", "Transfer-Encoding", "Trailer", "Connection",
					"Upgrade", "Keep-Alive", "Sec-WebSocket-Accept", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol",
					"Sec-WebSocket-Version"} {
					h.Set(key, "1")
				}
				h["content-length"] = []string{"1"}
				h["not a header"] = []string{"1"}
				h[http.TrailerPrefix+"X"] = []string{"1"}
				next.ServeHTTP(w, r)
			})
		})
		_, resp := s.request(handshake{path: "/"})
		want := http.Header{
			"Set-Cookie":                  {"a=1", "b=2"},
			"X-Request-Id":                {"7  Smuggled: x"},
			"Access-Control-Allow-Origin": {"*"},
			"Vary":                        {"Accept-Encoding"},
			"Connection":                  {"Upgrade"},
			"Upgrade":                     {"websocket"},
			"Sec-Websocket-Accept":        {wstest.Accept},
		}
		if resp.StatusCode != 101 || len(resp.Header) != len(want) {
			t.Errorf("answered with %s %v", resp.Status, resp.Header)
		}
		for key, values := range want {
			if got := resp.Header[key]; !slices.Equal(got, values) {
				t.Errorf("%s is %q, want %q", key, got, values)
			}
		}
	})
}

// TestPeerThatDoesNotReadTheAnswer holds its handler for the write timeout, and no longer.
func TestPeerThatDoesNotReadTheAnswer(t *testing.T) {
	for name, wrap := range map[string]func(http.Handler) http.Handler{
		"bare":             func(h http.Handler) http.Handler { return h },
		"behind a wrapper": holding,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := wrapped(t, wrap, tank.WithLimits(tank.Limits{WriteTimeout: 3 * time.Second}))
				conn, err := s.listener.Dial(1)
				must(t, err)
				defer conn.Close()
				began := time.Now()
				io.WriteString(conn, wstest.Handshake{}.String())
				mustBe(t, s.expectError(tank.CodeUpgrade), os.ErrDeadlineExceeded)
				if took := time.Since(began); took != 3*time.Second {
					t.Errorf("given up after %v", took)
				}
				rest, err := io.ReadAll(conn)
				if len(rest) > 1 || err != nil {
					t.Errorf("read %q and %v, want the end behind one byte", rest, err)
				}
				synctest.Wait() // the handler returns behind that
				if got := s.Stats(); got.Clients != 0 || got.Refused != 1 || got.Accepted != 0 {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// TestDeadlineOfTheAnswerIsTheAnswersAlone: writes much later do not meet it, nor the server's own.
func TestDeadlineOfTheAnswerIsTheAnswersAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := tank.NewInstance(tank.WithHeartbeat(time.Hour, time.Hour))
		s := &server{Manager: m, t: t, http: &http.Server{Handler: m, ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second}}
		s.listener = serveOn(t, s.http)
		go m.Start()
		defer m.Shutdown(within(t, time.Minute))
		p := s.dial("ann")
		time.Sleep(time.Minute)
		p.subscribe(s, "news")
		must(t, s.BroadcastTopicMessage("news", "x"))
		p.expectTopic("news", "x")
	})
}

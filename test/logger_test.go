package test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// eventfulLife runs an instance in which all kinds of events happen, and shuts it down.
func eventfulLife(t *testing.T, opts ...tank.Option) {
	s := serve(t, append(opts, tank.WithSubscribeAuthorizer(func(_ *tank.Client, topic string) error {
		switch topic {
		case "secrets":
			return errors.New("not for her")
		case "boom":
			panic("the authorizer is broken")
		}
		return nil
	}))...)
	ann := s.dial("ann")
	ann.subscribe(s, "news")
	ann.send("unsub:news")
	ann.send("sub:secrets")
	ann.expectRefusal("forbidden", "secrets")
	ann.send("sub:boom")
	ann.expectClose(1011)
	synctest.Wait()
	bob := s.dial("bob")
	bob.write(frame(opText, "\xff"))
	bob.expectClose(1007)
	synctest.Wait()
	foreign := offer.Clone()
	foreign.Set("Origin", "https://elsewhere.example")
	if _, resp := s.request(handshake{path: "/", header: foreign}); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign origin is answered with %s", resp.Status)
	}
	must(t, s.Shutdown(t.Context()))
}

// TestLoggerGetsEachEventAtItsLevelWithItsAttributes: docs/observability.md promises these names.
func TestLoggerGetsEachEventAtItsLevelWithItsAttributes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := &records{block: make(chan struct{})}
		close(log.block)
		eventfulLife(t, tank.WithLogger(slog.New(log)))
		var got []string
		for _, line := range log.lines {
			line = regexp.MustCompile(`client=[0-9a-f-]{36}`).ReplaceAllString(line, "client=ID")
			line = regexp.MustCompile(`(?s) stack=goroutine .*`).ReplaceAllString(line, " stack=STACK")
			got = append(got, line)
		}
		want := []string{
			`WARN a subscribe authorizer without an authenticator: user_id is no proof of who a client is advice=set WithAuthenticator, or ask the authorizer about topics only`,
			`DEBUG connect client=ID user=ann`,
			`DEBUG subscribe client=ID user=ann topic=news`,
			`DEBUG unsubscribe client=ID user=ann topic=news`,
			`WARN subscription refused code=2007 error=tank: forbidden: not for her client=ID user=ann topic=secrets`,
			`ERROR authorizer panicked code=1011 error=panic: the authorizer is broken client=ID user=ann topic=boom stack=STACK`,
			`DEBUG disconnect client=ID user=ann reason=1011 internal error`,
			`DEBUG connect client=ID user=bob`,
			`WARN client broke the protocol code=1002 error=text message is not valid UTF-8 (RFC 6455, section 8.1) client=ID user=bob`,
			`DEBUG disconnect client=ID user=bob reason=1007 text is not valid UTF-8`,
			`WARN origin refused code=2002 error=tank: forbidden: origin "https://elsewhere.example" is not "http://example.test"` +
				` advice=to accept pages of that origin, set Upgrader.CheckOrigin, see WithUpgrader; localhost and 127.0.0.1 are different hosts; a proxy has to pass Host and X-Forwarded-Proto on`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("logged:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestNothingIsLoggedByDefault: not to the standard loggers, by whomever, nor to standard output or standard error.
func TestNothingIsLoggedByDefault(t *testing.T) {
	var logged bytes.Buffer
	loggerBefore, outputBefore, flagsBefore := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))) // log goes there, too
	defer func() {
		slog.SetDefault(loggerBefore)
		log.SetOutput(outputBefore)
		log.SetFlags(flagsBefore)
	}()
	printed, err := os.CreateTemp(t.TempDir(), "")
	must(t, err)
	defer printed.Close()
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = printed, printed
	bubble(t, func(t *testing.T) { eventfulLife(t) })
	os.Stdout, os.Stderr = stdout, stderr

	if logged.Len() > 0 {
		t.Errorf("logged without a logger:\n%s", &logged)
	}
	_, err = printed.Seek(0, io.SeekStart)
	must(t, err)
	text, err := io.ReadAll(printed)
	must(t, err)
	if len(text) > 0 {
		t.Errorf("printed:\n%s", text)
	}
	log.Print("a line")
	if logged.Len() == 0 {
		t.Error("this test would not see what is logged")
	}
}

// What a refused request meets, and what the log says to do about it.
func TestRefusedRequestsAreLoggedWithAdvice(t *testing.T) {
	foreign := http.Header{"Origin": {"http://localhost:5173"}}
	for name, test := range map[string]struct {
		opts         []tank.Option
		header       http.Header
		started      bool
		status       int
		body, advice string
	}{
		"another origin": {nil, foreign, true, 403,
			"Forbidden: origin \"http://localhost:5173\" is not \"http://example.test\"\n", "set Upgrader.CheckOrigin"},
		"an origin that the application refuses": {[]tank.Option{tank.WithUpgrader(tank.Upgrader{CheckOrigin: func(*http.Request) bool { return false }})},
			foreign, true, 403, "Forbidden\n", ""},
		"no Start":             {nil, nil, false, 503, "Service Unavailable\n", "go tkws.Start()"},
		"too many connections": {[]tank.Option{tank.WithLimits(tank.Limits{Connections: 1})}, nil, true, 503, "Service Unavailable\n", "Limits.Connections"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log bytes.Buffer
				s := mount(t, tank.NewInstance(append(test.opts, tank.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))...))
				if test.started {
					go s.Start()
				}
				if name == "too many connections" {
					s.dial("first")
				}
				_, resp := s.request(handshake{path: "/", header: test.header})
				body, err := io.ReadAll(resp.Body)
				must(t, err)
				if resp.StatusCode != test.status || string(body) != test.body {
					t.Errorf("answered with %d %q", resp.StatusCode, body)
				}
				must(t, s.Shutdown(within(t, time.Minute)))
				if !strings.Contains(log.String(), test.advice) || strings.Contains(log.String(), "advice=") != (test.advice != "") {
					t.Errorf("logged %s, want advice %q", &log, test.advice)
				}
			})
		})
	}
}

func TestLostConnectionIsLoggedAsInformation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log bytes.Buffer
		s := serve(t, tank.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		s.dial("ann").conn.Close()
		synctest.Wait()
		must(t, s.Shutdown(within(t, time.Minute)))
		if !strings.Contains(log.String(), `level=INFO msg="read failed" code=2003`) {
			t.Errorf("logged %s", &log)
		}
	})
}

// A page that comes back while its server drains is nothing to be warned of.
func TestRequestsDuringShutdownAreLoggedAsInformation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := &records{block: make(chan struct{})}
		close(log.block)
		s := serve(t, tank.WithLogger(slog.New(log)), tank.WithDrain(time.Minute, 1))
		s.dial("ann")
		go s.dial("bob").answer()
		go s.Shutdown(context.Background())
		synctest.Wait()
		if _, resp := s.request(handshake{path: "/?user_id=bob"}); resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("answered with %s", resp.Status)
		}
		synctest.Wait()
		if logged := strings.Join(log.lines, "\n"); !strings.Contains(logged, "INFO request refused code=2002 error=tank: closed") {
			t.Errorf("logged:\n%s", logged)
		}
	})
}

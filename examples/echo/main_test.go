package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/servertest"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs the echo behind an HTTP server until the test ends. That it loses patience must not pass for an answer.
func start(t *testing.T, messageBytes int) (*tank.Manager, *httptest.Server) {
	t.Helper()
	l := limits
	l.MessageBytes, l.CloseTimeout = messageBytes, time.Hour
	tkws := newEcho(l)
	go tkws.Start()
	server := httptest.NewServer(newHandler(tkws))
	t.Cleanup(func() {
		server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := tkws.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return tkws, server
}

func TestMessagesComeBack(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tkws, server := start(t, limits.MessageBytes)
	ws, _, err := websocket.Dial(ctx, server.URL+"/any/path", &websocket.DialOptions{
		HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	for _, message := range []struct {
		kind websocket.MessageType
		data string
	}{
		{websocket.MessageText, "hello, 世界"},
		{websocket.MessageText, ""},
		{websocket.MessageBinary, "\x00\xff"},
		{websocket.MessageText, `{"topic":"news","data":"not published"}`},
		{websocket.MessageText, "sub:news"}, // the library's own
		{websocket.MessageText, "the end"},
	} {
		if err := ws.Write(ctx, message.kind, []byte(message.data)); err != nil {
			t.Fatal(err)
		}
		if message.data == "sub:news" {
			continue
		}
		if kind, data, err := ws.Read(ctx); err != nil || kind != message.kind || string(data) != message.data {
			t.Fatalf("got %v %q, %v, want %v %q", kind, data, err, message.kind, message.data)
		}
	}

	done := make(chan error, 1)
	go func() { done <- tkws.Shutdown(ctx) }()
	if _, _, err := ws.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the connection ended with %v, want close 1001", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// TestRequestsComeBack to the page, whatever they look like, and so do messages.
func TestRequestsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tkws := newEcho(limits)
		s := tanktest.ServeHandler(t, newHandler(tkws), tkws)
		c := s.DialV2("/any/path")
		for _, value := range []any{"hello, 世界", "", "sub:news", map[string]any{"topic": "news", "data": "not published"}, []any{1.5, nil}} {
			want, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Request(value); string(got) != string(want) {
				t.Errorf("%s comes back as %s", want, got)
			}
			c.Send(value)
			c.ExpectMessage(value)
		}
		c.SendBinary([]byte("\x00\xff"))
		if m := c.Next(); !m.Binary || m.Data != "\x00\xff" {
			t.Errorf("bytes come back as %v", m)
		}
	})
}

func TestPageIsServed(t *testing.T) {
	for _, path := range []string{"/", "/any/path"} {
		answer := httptest.NewRecorder()
		newHandler(http.NotFoundHandler()).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "tank.request(") {
			t.Errorf("%s: got %d, %.100s", path, answer.Code, answer.Body)
		}
	}
	for _, path := range []string{"/tank.js", "/any/tank.js"} {
		answer := httptest.NewRecorder()
		newHandler(http.NotFoundHandler()).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "tank.v2") {
			t.Errorf("%s: got %d, %.100s", path, answer.Code, answer.Body)
		}
	}
}

func TestSlowPeersAreCutOff(t *testing.T) {
	tkws := newEcho(limits)
	go tkws.Start()
	servertest.Check(t, newServer(newHandler(tkws)), func(addr string) (alive func()) {
		ws, _, err := websocket.Dial(t.Context(), "ws://"+addr, nil)
		if err != nil {
			t.Fatal(err)
		}
		return func() {
			defer ws.CloseNow()
			if err := ws.Write(t.Context(), websocket.MessageText, []byte("still here")); err != nil {
				t.Fatal(err)
			}
			if _, got, err := ws.Read(t.Context()); err != nil || string(got) != "still here" {
				t.Fatalf("got %q (%v)", got, err)
			}
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := tkws.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

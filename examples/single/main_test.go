package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The shared instance can be shut down only once in a process, so the tests bring one of their own.
func TestTimeArrives(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tkws := tank.NewInstance()
	server := httptest.NewServer(newHandler(tkws))
	defer server.Close()
	go tkws.Start()
	publishing, stopPublishing := context.WithCancel(ctx)
	published := make(chan struct{})
	go func() {
		defer close(published)
		publishTime(publishing, tkws, 5*time.Millisecond)
	}()

	ws, _, err := websocket.Dial(ctx, server.URL+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if err := ws.Write(ctx, websocket.MessageText, []byte("sub:time")); err != nil {
		t.Fatal(err)
	}
	var message struct{ Topic, Data string }
	_, data, err := ws.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &message); err != nil || message.Topic != "time" {
		t.Fatalf("got %s, %v", data, err)
	}
	if sent, err := time.Parse(time.RFC3339, message.Data); err != nil || time.Since(sent) > time.Minute {
		t.Errorf("the time is %q, %v", message.Data, err)
	}

	stopPublishing()
	<-published
	shutDownSaysGoodbye(t, ctx, tkws, ws)
}

func shutDownSaysGoodbye(t *testing.T, ctx context.Context, tkws *tank.Manager, ws *websocket.Conn) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- tkws.Shutdown(ctx) }()
	var err error
	for err == nil {
		_, _, err = ws.Read(ctx)
	}
	if websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the connection ended with %v, want close 1001", err)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestSlowPeersAreCutOff(t *testing.T) {
	tkws := tank.NewInstance()
	go tkws.Start()
	defer tkws.Shutdown(context.Background())
	servertest.Check(t, newServer(newHandler(tkws)), func(addr string) (alive func()) {
		ws, _, err := websocket.Dial(t.Context(), "ws://"+addr+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		<-tkws.ConnEvents
		return func() {
			defer ws.CloseNow()
			tkws.BroadcastMessage([]byte("still here"))
			if _, data, err := ws.Read(t.Context()); err != nil || string(data) != "still here" {
				t.Errorf("got %q, %v", data, err)
			}
		}
	})
}

func TestPageIsServed(t *testing.T) {
	answer := httptest.NewRecorder()
	newHandler(tank.NewInstance()).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
	if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "sub:time") {
		t.Errorf("got %d, %.100s", answer.Code, answer.Body)
	}
}

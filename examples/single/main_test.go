package main

import (
	"context"
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

// The shared instance can be shut down only once in a process, so the tests bring one of their own.
func TestTimeArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tkws := tank.NewInstance()
		s := tanktest.ServeHandler(t, newHandler(tkws), tkws)
		publishing, stop := context.WithCancel(t.Context())
		defer stop()
		go publishTime(publishing, tkws, time.Second)
		c := s.Dial("/ws")
		c.Subscribe("time")
		for range 3 {
			m := c.Next()
			if sent, err := time.Parse(time.RFC3339, m.Data); m.Topic != "time" || err != nil || !sent.Equal(time.Now().Truncate(time.Second)) {
				t.Errorf("got %v at %v, %v", m, time.Now(), err)
			}
		}
		stop()
		if err := tkws.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		c.ExpectClose(1001)
	})
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
	if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "live.subscribe('time'") {
		t.Errorf("got %d, %.100s", answer.Code, answer.Body)
	}
}

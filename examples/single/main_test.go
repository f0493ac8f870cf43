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

	"github.com/fanqie/tank-websocket-go-server/examples/internal/servertest"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTimeArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tkws := newInstance()
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

// TestTimesAreKept for a page that is opened, and for one that comes back.
func TestTimesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tkws := newInstance()
		s := tanktest.ServeHandler(t, newHandler(tkws), tkws)
		publishing, stop := context.WithCancel(t.Context())
		defer stop()
		began := time.Now()
		go publishTime(publishing, tkws, time.Second)
		pause := func(d time.Duration) { // in which times are published
			time.Sleep(d)
			synctest.Wait()
		}
		second := func(n int) string { return began.Add(time.Duration(n) * time.Second).Format(time.RFC3339) }

		pause(3 * time.Second)
		c := s.DialV2("/ws")
		c.Subscribe("time", tanktest.Last(2))
		c.ExpectSeq("time", 2, second(2))
		c.ExpectSeq("time", 3, second(3))
		c.Cut()
		pause(30 * time.Second)
		if got := c.Resume()["time"]; !got.Recovered {
			t.Errorf("after half a minute: %+v", got)
		}
		for n := 4; n <= 33; n++ {
			c.ExpectSeq("time", uint64(n), second(n))
		}
		c.Cut()
		pause(2 * time.Minute)
		if got := c.Resume()["time"]; got.Recovered || got.Why != "evicted" {
			t.Errorf("after two minutes: %+v", got)
		}
	})
}

func TestSlowPeersAreCutOff(t *testing.T) {
	tkws := newInstance()
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
	newHandler(newInstance()).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
	if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "tank.subscribe('time'") {
		t.Errorf("got %d, %.100s", answer.Code, answer.Body)
	}
}

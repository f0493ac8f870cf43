package main

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/fanqie/tank-websocket-go-server/examples/internal/servertest"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestInstancesShareNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := newInstances()
		s := tanktest.ServeHandler(t, both.handler(), both.public, both.staff)
		public, staff := s.Dial("/ws/public"), s.Dial("/ws/staff")
		public.Subscribe(topic)
		staff.Subscribe(topic)

		if err := both.staff.BroadcastTopicMessage(topic, "for staff"); err != nil {
			t.Fatal(err)
		}
		staff.Expect(topic, "for staff")
		public.ExpectNothing()
		if err := both.public.BroadcastTopicMessage(topic, "for all"); err != nil {
			t.Fatal(err)
		}
		public.Expect(topic, "for all")
		staff.ExpectNothing()

		publishing, stop := context.WithCancel(t.Context())
		go both.publish(publishing, time.Second)
		for n := range 3 {
			public.Expect(topic, fmt.Sprint("public news ", n+1))
			staff.Expect(topic, fmt.Sprint("staff news ", n+1))
		}
		stop()

		if err := both.shutdown(t.Context()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		public.ExpectClose(1001)
		staff.ExpectClose(1001)
	})
}

// TestEachInstanceKeepsItsOwnNews for a page that comes back.
func TestEachInstanceKeepsItsOwnNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := newInstances()
		s := tanktest.ServeHandler(t, both.handler(), both.public, both.staff)
		publishing, stop := context.WithCancel(t.Context())
		defer stop()
		go both.publish(publishing, time.Second)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for name, path := range map[string]string{"public": "/ws/public", "staff": "/ws/staff"} {
			c := s.DialV2(path)
			c.Subscribe(topic, tanktest.Last(1))
			last := c.Next()
			if want := fmt.Sprintf("%s news %d", name, last.Seq); last.Data != want {
				t.Errorf("%s begins with %v", name, last)
			}
			c.Cut()
			time.Sleep(3 * time.Second)
			synctest.Wait()
			if got := c.Resume()[topic]; !got.Recovered {
				t.Errorf("%s comes back: %+v", name, got)
			}
			for n := last.Seq + 1; n <= last.Seq+3; n++ {
				c.ExpectSeq(topic, n, fmt.Sprintf("%s news %d", name, n))
			}
		}
	})
}

func TestSlowPeersAreCutOff(t *testing.T) {
	both := newInstances()
	both.start()
	defer both.shutdown(context.Background())
	servertest.Check(t, newServer(both.handler()), func(addr string) (alive func()) {
		public, staff := dial(t, "ws://"+addr+"/ws/public"), dial(t, "ws://"+addr+"/ws/staff")
		<-both.public.ConnEvents // from here on, they get what is sent to all
		<-both.staff.ConnEvents
		return func() {
			defer public.CloseNow()
			defer staff.CloseNow()
			both.public.BroadcastMessage([]byte("still here"))
			both.staff.BroadcastMessage([]byte("here, too"))
			expect(t, public, "still here")
			expect(t, staff, "here, too")
		}
	})
}

func dial(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

func expect(t *testing.T, ws *websocket.Conn, want string) {
	t.Helper()
	if _, data, err := ws.Read(t.Context()); err != nil || string(data) != want {
		t.Errorf("got %s, %v, want %q", data, err, want)
	}
}

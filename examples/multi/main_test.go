package main

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/examples/internal/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dial(t *testing.T, ctx context.Context, url string, m *tank.Manager) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ws.CloseNow() })
	if err := ws.Write(ctx, websocket.MessageText, []byte("sub:"+topic)); err != nil {
		t.Fatal(err)
	}
	for e := range m.ConnEvents { // from the subscribe event on, every message is delivered
		if e.EventType == tank.EventSubscribe {
			return ws
		}
	}
	t.Fatal("the instance has ended")
	return nil
}

func expect(t *testing.T, ctx context.Context, ws *websocket.Conn, want string) {
	t.Helper()
	var message struct{ Topic, Data string }
	_, data, err := ws.Read(ctx)
	if err == nil {
		err = json.Unmarshal(data, &message)
	}
	if err != nil || message.Topic != topic || message.Data != want {
		t.Errorf("got %s, %v, want %q", data, err, want)
	}
}

func TestInstancesShareNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	both := newInstances()
	both.start()
	server := httptest.NewServer(both.handler())
	defer server.Close()
	public := dial(t, ctx, server.URL+"/ws/public", both.public)
	staff := dial(t, ctx, server.URL+"/ws/staff", both.staff)

	// What each reads first shows that what the other was sent before did not come.
	if err := both.staff.BroadcastTopicMessage(topic, "for staff"); err != nil {
		t.Fatal(err)
	}
	if err := both.public.BroadcastTopicMessage(topic, "for all"); err != nil {
		t.Fatal(err)
	}
	expect(t, ctx, public, "for all")
	expect(t, ctx, staff, "for staff")

	publishing, stop := context.WithCancel(ctx)
	published := make(chan struct{})
	go func() {
		defer close(published)
		both.publish(publishing, 5*time.Millisecond)
	}()
	expect(t, ctx, public, "public news 1")
	expect(t, ctx, staff, "staff news 1")
	stop()
	<-published

	done := make(chan error, 1)
	go func() { done <- both.shutdown(ctx) }()
	for name, ws := range map[string]*websocket.Conn{"public": public, "staff": staff} {
		var err error
		for err == nil {
			_, _, err = ws.Read(ctx)
		}
		if websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("%s ended with %v, want close 1001", name, err)
		}
	}
	if err := <-done; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

func TestSlowPeersAreCutOff(t *testing.T) {
	both := newInstances()
	both.start()
	defer both.shutdown(context.Background())
	servertest.Check(t, newServer(both.handler()), func(addr string) (alive func()) {
		public := dial(t, t.Context(), "ws://"+addr+"/ws/public", both.public)
		staff := dial(t, t.Context(), "ws://"+addr+"/ws/staff", both.staff)
		return func() {
			defer public.CloseNow()
			defer staff.CloseNow()
			both.public.BroadcastTopicMessage(topic, "still here")
			both.staff.BroadcastTopicMessage(topic, "here, too")
			expect(t, t.Context(), public, "still here")
			expect(t, t.Context(), staff, "here, too")
		}
	})
}

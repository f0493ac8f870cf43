package hub

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// v2Session connects a client of tank.v2.
func v2Session(t *testing.T, x *instance) (*wstest.Conn, *Session) {
	t.Helper()
	conn, err := serveHTTP(t, x).Dial(64 << 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ws, err := wstest.Upgrade(conn, wstest.Handshake{Header: "Sec-WebSocket-Protocol: tank.v2\r\n"})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return ws, x.all()[0]
}

func TestChangesAreMadeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, nil)
		_, s := v2Session(t, x)
		c := NewChanges(s)
		c.Subscribe("a", "", nil)
		c.Subscribe("b", "", nil)
		c.Unsubscribe("a", 0)
		c.Subscribe("c", "", nil)
		x.PostAndSync(c)
		if got := slices.Sorted(slices.Values(x.SubscriptionsOf(s))); !slices.Equal(got, []string{"b", "c"}) {
			t.Errorf("subscribed to %q, want b and c", got)
		}
		<-x.events // that it has connected
		var got []string
		for range 4 {
			e := <-x.events
			got = append(got, map[EventKind]string{Subscribed: "+", Unsubscribed: "-"}[e.Kind]+e.Topic)
		}
		if want := []string{"+a", "+b", "-a", "+c"}; !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
	})
}

func TestAPanicLosesOneChangeAndNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, func(c *Config, _ *client.Options) { c.Subscriptions = 1 })
		ws, s := v2Session(t, x)
		c := NewChanges(s)
		c.Subscribe("a", "", nil)
		c.Subscribe("one too many", "", &Ask{ID: 1, Handed: func() { panic("a bug") }})
		c.Unsubscribe("a", 2)
		x.PostAndSync(c)
		var last string
		for range 3 { // the refusal, where "a" stands, and the answer
			f, err := ws.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			last = string(f.Payload)
		}
		if want := `{"id":2,"ok":{}}`; last != want {
			t.Errorf("the last answer is %s, want %s", last, want)
		}
		if f := <-x.faults; f.Kind != HubPanicked {
			t.Errorf("fault %v, want HubPanicked", f)
		}
		if got := x.SubscriptionsOf(s); len(got) > 0 {
			t.Errorf("subscribed to %q, want nothing", got)
		}
	})
}

func TestChangesThatComeTooLateAreNotWaitedFor(t *testing.T) {
	for name, post := range map[string]func(*instance, *Changes){
		"posted":      func(x *instance, c *Changes) { x.Post(c) },
		"and awaited": func(x *instance, c *Changes) { x.PostAndSync(c) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := start(t, nil)
				_, s := v2Session(t, x)
				if err := x.shutdown(context.Background()); err != nil {
					t.Fatal(err)
				}
				handed := 0
				c := NewChanges(s)
				for range 3 {
					c.Subscribe("a", "", &Ask{ID: 1, Last: 1, Handed: func() { handed++ }})
				}
				post(x, c)
				if handed != 3 {
					t.Errorf("%d were handed over, want 3", handed)
				}
			})
		})
	}
}

package tank

import (
	"context"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/coder/websocket"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// A topic actor panics only over a bug in this library, so this test has to misuse it from inside.
func TestSubscribersOfATopicThatIsGivenUpGetANewOne(t *testing.T) {
	m := NewInstance()
	go m.Start()
	defer m.Shutdown(context.Background())
	server := httptest.NewServer(m)
	defer server.Close()
	c, _, err := websocket.Dial(t.Context(), server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(t.Context(), websocket.MessageText, []byte("sub:news")); err != nil {
		t.Fatal(err)
	}
	<-m.ConnEvents
	<-m.ConnEvents
	find := func(name string) *topic.Topic {
		found, err := actor.Call(t.Context(), m.supervisor, func(r actor.Request[*topic.Topic]) message { return lookup{r, name} })
		if err != nil || found == nil {
			t.Fatalf("no topic %q: %v", name, err)
		}
		return found
	}
	expect := func(want string) {
		t.Helper()
		if _, got, err := c.Read(t.Context()); err != nil || string(got) != want {
			t.Fatalf("got %q (%v), want %q", got, err, want)
		}
	}
	for _, name := range []string{"news", everyone} {
		old := find(name)
		for range actor.DefaultRestarts + 1 {
			old.Join(nil) // which panics
		}
		<-old.Done()
		for range actor.DefaultRestarts + 1 {
			if e := <-m.Errors; e.Code != CodeInternal || e.Topic != name {
				t.Fatalf("got %+v", e)
			}
		}
		if find(name) == old {
			t.Fatalf("topic %q was not replaced", name)
		}
	}
	if n := m.GetTopicSubscriberCount("news"); n != 1 {
		t.Fatalf("%d subscribers", n)
	}
	if err := m.BroadcastTopicMessage("news", "regained"); err != nil {
		t.Fatal(err)
	}
	expect(`{"topic":"news","data":"regained"}`)
	if err := m.BroadcastMessage([]byte("all")); err != nil {
		t.Fatal(err)
	}
	expect("all")
	done := make(chan error, 1)
	go func() { done <- m.Shutdown(t.Context()) }() // waits for exactly the topic actors that live
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Fatalf("got %v, want close 1001", err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A publisher who looks for a topic while it is replaced finds one or the other, and not nobody.
func TestATopicIsFoundWhileItIsReplaced(t *testing.T) {
	m := NewInstance()
	go m.Start()
	done, missed := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-done:
				missed <- n
				return
			default:
				if m.topics.find(everyone) == nil {
					n++
				}
			}
		}
	}()
	for range 100 {
		old := m.topics.find(everyone)
		for range actor.DefaultRestarts + 1 {
			old.Join(nil) // which panics
		}
		for m.topics.find(everyone) == old {
			runtime.Gosched()
		}
	}
	close(done)
	if n := <-missed; n > 0 {
		t.Errorf("the topic was not found %d times", n)
	}
	m.Shutdown(context.Background())
}

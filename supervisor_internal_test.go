package tank

import (
	"context"
	"fmt"
	"maps"
	"net/http/httptest"
	"runtime"
	"slices"
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

// A client that is gone and had very many subscriptions does not hold the supervisor up until all of them are ended.
func TestClientWithManySubscriptionsLeavesInTurns(t *testing.T) {
	m, clients := crowdOf(t, 1, 3*leaveAtOnce+1)
	left := make(chan int)
	m.supervisor.Post(look(func(s *supervisor) {
		gone{clients[0], "test"}.handle(s)
		left <- len(clients[0].subscriptions)
	}))
	if n := <-left; n != 2*leaveAtOnce+1 {
		t.Fatalf("%d subscriptions are left after the first turn", n)
	}
	for range 4 { // each turn comes behind what was posted before
		actor.Call(t.Context(), m.supervisor, func(r actor.Request[struct{}]) message { return fence{r} })
	}
	if n, topics := m.GetClientCount(), m.Stats().Topics; n != 0 || topics != 0 {
		t.Fatalf("%d clients and %d topics are left", n, topics)
	}
}

// A drain's batch of clients with many subscriptions does not hold the supervisor up until all of them are ended.
func TestDrainsBatchLeavesInTurns(t *testing.T) {
	m, clients := crowdOf(t, 5, leaveAtOnce/2)
	count := func() (n int) {
		for _, c := range clients {
			if c.leaving {
				n++
			}
		}
		return n
	}
	first, last := make(chan int, 1), make(chan int, 1)
	left, err := actor.Call(t.Context(), m.supervisor, func(r actor.Request[bool]) message {
		return look(func(s *supervisor) {
			drainSome{r, 4, make(chan struct{})}.handle(s)
			first <- count()
		})
	})
	if n := <-first; n != 2 {
		t.Errorf("%d clients are leaving after the first turn", n)
	}
	m.supervisor.Post(look(func(*supervisor) { last <- count() }))
	if n := <-last; n != 4 || !left || err != nil {
		t.Errorf("%d clients are leaving in the end; left: %v, %v", n, left, err)
	}
}

// crowdOf is an instance with so many clients, each of which has so many subscriptions.
func crowdOf(t *testing.T, n, subscriptions int) (m *Manager, clients []*Client) {
	t.Helper()
	m = NewInstance(WithLimits(Limits{Subscriptions: subscriptions}))
	go m.Start()
	t.Cleanup(func() { m.Shutdown(context.Background()) })
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	for range n {
		conn, _, err := websocket.Dial(t.Context(), server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.CloseNow() })
		<-m.ConnEvents
	}
	found := make(chan []*Client)
	m.supervisor.Post(look(func(s *supervisor) { found <- slices.Collect(maps.Values(s.clients)) }))
	clients = <-found
	for _, c := range clients {
		for i := range subscriptions {
			m.supervisor.Post(subscribe{client: c, topic: fmt.Sprint(i)})
		}
	}
	return m, clients
}

// look is a message for tests that have to see what the supervisor sees.
type look func(*supervisor)

func (l look) handle(s *supervisor) { l(s) }

// LetLeave makes the supervisor take the client for one that is leaving, as it is between a goodbye and the end of its topics.
func LetLeave(m *Manager, c *Client) {
	done := make(chan struct{})
	m.supervisor.Post(look(func(*supervisor) { c.leaving = true; close(done) }))
	<-done
}

package hub

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// A topic actor panics only over a bug in this library, so this test has to misuse it from inside.
func TestSubscribersOfATopicThatIsGivenUpGetANewOne(t *testing.T) {
	m := start(t, nil)
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
	<-m.events
	<-m.events
	find := func(name string) *topic.Topic {
		found, err := actor.Call(t.Context(), m.supervisor, func(r actor.Request[*topic.Topic]) message { return lookup{Request: r, topic: name} })
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
	for _, name := range []string{"news", Broadcast} {
		old := find(name)
		for range actor.DefaultRestarts + 1 {
			old.Join(nil) // which panics
		}
		for range actor.DefaultRestarts + 1 {
			if f := <-m.faults; f.Kind != TopicPanicked || f.Topic != name {
				t.Fatalf("got %+v", f)
			}
		}
		for find(name) == old {
			runtime.Gosched()
		}
	}
	if n := m.CountSubscribers("news"); n != 1 {
		t.Fatalf("%d subscribers", n)
	}
	m.publish(t, "news", "regained")
	expect(`{"topic":"news","data":"regained"}`)
	m.publish(t, Broadcast, "all")
	expect("all")
	done := make(chan error, 1)
	go func() { done <- m.shutdown(t.Context()) }() // waits for exactly the topic actors that live
	if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Fatalf("got %v, want close 1001", err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A publisher who looks for a topic while it is replaced finds one or the other, and not nobody.
func TestATopicIsFoundWhileItIsReplaced(t *testing.T) {
	m := start(t, nil)
	done, missed := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-done:
				missed <- n
				return
			default:
				if m.topics.find(Broadcast) == nil {
					n++
				}
			}
		}
	}()
	for range 100 {
		old := m.topics.find(Broadcast)
		for range actor.DefaultRestarts + 1 {
			old.Join(nil) // which panics
		}
		for m.topics.find(Broadcast) == old {
			runtime.Gosched()
		}
	}
	close(done)
	if n := <-missed; n > 0 {
		t.Errorf("the topic was not found %d times", n)
	}
}

// A client that is gone and had very many subscriptions does not hold the supervisor up until all of them are ended.
func TestClientWithManySubscriptionsLeavesInTurns(t *testing.T) {
	m, clients := crowdOf(t, 1, 3*leaveAtOnce+1)
	left := make(chan int)
	m.supervisor.Post(look(func(s *supervisor) {
		gone{session: clients[0], reason: "test"}.handle(s)
		left <- clients[0].subscriptions.len()
	}))
	if n := <-left; n != 2*leaveAtOnce+1 {
		t.Fatalf("%d subscriptions are left after the first turn", n)
	}
	for range 4 { // each turn comes behind what was posted before
		m.Sync()
	}
	if n, topics := m.Sessions(), m.Topics(); n != 0 || topics != 0 {
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
func crowdOf(t *testing.T, n, subscriptions int) (m *instance, clients []*Session) {
	t.Helper()
	m = start(t, func(c *Config, _ *client.Options) { c.Subscriptions = subscriptions })
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	for range n {
		conn, _, err := websocket.Dial(t.Context(), server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.CloseNow() })
		<-m.events
	}
	clients = m.all()
	for _, c := range clients {
		for i := range subscriptions {
			m.postSubscribe(c, fmt.Sprint(i), "", nil)
		}
	}
	return m, clients
}

// spy notes whether the supervisor's goroutine writes to a connection, or asks it for its address.
type spy struct {
	*memnet.Conn
	writes       atomic.Int32
	bySupervisor atomic.Bool
}

func (c *spy) note() {
	stack := make([]byte, 32<<10)
	stack = stack[:runtime.Stack(stack, false)]
	if strings.Contains(string(stack), "(*supervisor).receive") {
		c.bySupervisor.Store(true)
	}
}

func (c *spy) RemoteAddr() net.Addr { c.note(); return c.Conn.RemoteAddr() }

func (c *spy) TryWrite(p []byte) (int, error) {
	c.note()
	c.writes.Add(1)
	return c.Conn.TryWrite(p)
}

type spies struct {
	net.Listener
	last atomic.Pointer[spy]
}

func (l *spies) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s := &spy{Conn: c.(*memnet.Conn)}
	l.last.Store(s)
	return s, nil
}

// TestSupervisorLeavesTheConnectionToOthers registers a session, and refuses requests that come too late. A session is leaving
// between the goodbye of a drain and the end of its topics.
func TestSupervisorLeavesTheConnectionToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := start(t, nil)
		l := &spies{Listener: memnet.Listen()}
		server := &http.Server{Handler: m}
		go server.Serve(l)
		t.Cleanup(func() { server.Close() })
		dial(t, l.Listener.(*memnet.Listener), "ann", 64<<10)
		session := m.all()[0]
		see(m, func(*supervisor) bool { session.leaving = true; return true })
		before := l.last.Load().writes.Load()
		m.postSubscribe(session, "news", "", nil)
		m.postUnsubscribe(session, "news", 0)
		synctest.Wait()
		if spy := l.last.Load(); spy.writes.Load() == before || spy.bySupervisor.Load() {
			t.Errorf("%d writes, by the supervisor: %v", spy.writes.Load()-before, spy.bySupervisor.Load())
		}
	})
}

// What comes behind the end of an instance changes no count any more.
func TestSessionThatIsGoneTooLate(t *testing.T) {
	m, clients := crowdOf(t, 1, 2)
	m.Sync()
	m.supervisor.Post(look(func(s *supervisor) {
		finish{}.handle(s)
		gone{session: clients[0], reason: "too late"}.handle(s)
	}))
	<-m.supervisor.Done()
	if m.Topics() != 0 || m.Sessions() != 0 {
		t.Errorf("%d topics, %d sessions", m.Topics(), m.Sessions())
	}
}

// Whoever asks for a subscription, or for its end, is answered by the topic, or by the one that replaces it.
func TestSubscriptionsAreAnsweredAlthoughTheirTopicIsGivenUp(t *testing.T) {
	m := start(t, nil)
	server := httptest.NewServer(m)
	defer server.Close()
	for range 2 {
		c, _, err := websocket.Dial(t.Context(), server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		<-m.events
	}
	all := m.all()
	for round := range 100 {
		c := all[round%2]
		stop := make(chan struct{})
		var panicking sync.WaitGroup
		panicking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if found := m.topics.find("news"); found != nil {
						found.Join(nil) // which panics
					}
				}
			}
		})
		if err := m.Subscribe(c, "news", ""); err != nil {
			t.Fatal(err)
		}
		if err := m.Subscribe(all[(round+1)%2], "news", ""); err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if err := m.Unsubscribe(c, "news", ByServer); err != nil {
				t.Fatal(err)
			}
		}
		close(stop)
		panicking.Wait()
	}
	for see(m, func(s *supervisor) int { return s.topicActors }) > 1 { // that of broadcasts
		runtime.Gosched()
	}
	if n := see(m, func(s *supervisor) int { return len(s.topics) }); n != 0 {
		t.Errorf("%d topics are left", n)
	}
}

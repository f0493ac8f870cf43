package tank_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// What the library is for, with the test kit that its users have. The tests of its promises, limits and faults are in test/.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inBubble runs a test with a new instance in a synctest bubble, where time is fake.
func inBubble(t *testing.T, test func(t *testing.T, tkws *tank.Manager, s *tanktest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tkws := tank.NewInstance()
		test(t, tkws, tanktest.Serve(t, tkws))
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSubscribePublishUnsubscribe(t *testing.T) {
	inBubble(t, func(t *testing.T, tkws *tank.Manager, s *tanktest.Server) {
		ann, bob := s.Dial("/?user_id=ann"), s.Dial("/?user_id=bob")
		ann.Subscribe("news")
		must(t, tkws.BroadcastTopicMessage("news", "hello \"世界\"\n"))
		ann.Expect("news", "hello \"世界\"\n")
		bob.ExpectNothing()
		ann.Unsubscribe("news")
		must(t, tkws.BroadcastTopicMessage("news", "too late"))
		ann.ExpectNothing()
	})
}

func TestBroadcastMessageReachesEveryClientVerbatim(t *testing.T) {
	inBubble(t, func(t *testing.T, tkws *tank.Manager, s *tanktest.Server) {
		clients := []*tanktest.Client{s.Dial("/?user_id=ann"), s.Dial("/?user_id=bob"), s.Dial("/")}
		message := []byte(`{"any":"text", 世界}`)
		must(t, tkws.BroadcastMessage(message))
		copy(message, "overwritten by the caller afterwards")
		must(t, tkws.BroadcastMessage([]byte{0xff, 0x00}))
		must(t, tkws.BroadcastMessage(nil))
		for _, c := range clients {
			c.ExpectText(`{"any":"text", 世界}`)
			if got := c.Next(); !got.Binary || got.Data != "\xff\x00" {
				t.Fatalf("bytes that are not UTF-8 came as %v", got)
			}
			c.ExpectText("")
		}
		if topics := tkws.GetAllTopics(); len(topics) != 0 {
			t.Fatalf("the broadcast topic shows in %v", topics)
		}
	})
}

func TestGetSingleInstanceIsTheSameForEveryCaller(t *testing.T) {
	got := make([]*tank.Manager, 64)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i] = tank.GetSingleInstance() })
	}
	wg.Wait()
	for _, m := range got {
		if m == nil || m != got[0] {
			t.Fatal("callers got different instances")
		}
	}
}

func TestInstancesShareNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, a *tank.Manager, sa *tanktest.Server) {
		b := tank.NewInstance()
		ofA, ofB := sa.Dial("/?user_id=ann"), tanktest.Serve(t, b).Dial("/?user_id=ann")
		ofA.Subscribe("news")
		ofB.Subscribe("news")
		must(t, a.BroadcastTopicMessage("news", "of a"))
		ofA.Expect("news", "of a")
		must(t, a.BroadcastMessage([]byte("all of a")))
		ofA.ExpectText("all of a")
		ofB.ExpectNothing()
		if n := b.CloseUser("nobody"); n != 0 {
			t.Fatalf("CloseUser of nobody closed %d", n)
		}
		must(t, a.Shutdown(t.Context()))
		if !b.IsRunning() || b.GetClientCount() != 1 {
			t.Fatal("shutting one instance down affected the other")
		}
	})
}

func TestCloseUserClosesEveryConnectionOfTheUser(t *testing.T) {
	inBubble(t, func(t *testing.T, tkws *tank.Manager, s *tanktest.Server) {
		first, bob, second := s.Dial("/?user_id=ann"), s.Dial("/?user_id=bob"), s.Dial("/?user_id=ann")
		if n := tkws.CloseUser("ann"); n != 2 {
			t.Fatalf("closed %d, want 2", n)
		}
		if n := tkws.CloseUser("ann"); n != 0 {
			t.Fatalf("closed %d that were closing already", n)
		}
		first.ExpectClose(1000)
		second.ExpectClose(1000)
		must(t, tkws.BroadcastMessage([]byte("still here")))
		bob.ExpectText("still here")
	})
}

func TestGetAllTopicsShowsTheTopicActors(t *testing.T) {
	inBubble(t, func(t *testing.T, tkws *tank.Manager, s *tanktest.Server) {
		s.Dial("/?user_id=ann").Subscribe("news", "weather")
		s.Dial("/?user_id=bob").Subscribe("news")
		must(t, tkws.BroadcastTopicMessage("news", "hello"))
		synctest.Wait()
		topics := tkws.GetAllTopics()
		if len(topics) != 2 || topics[0].Name != "news" || topics[1].Name != "weather" {
			t.Fatalf("got %v", topics)
		}
		if news := topics[0]; news.Subscribers != 2 || news.Published != 1 || news.Delivered != 2 || news.MailboxDepth != 0 {
			t.Fatalf("got %+v", news)
		}
	})
}

func TestShutdownDeliversAndSaysGoodbye(t *testing.T) {
	inBubble(t, func(t *testing.T, tkws *tank.Manager, s *tanktest.Server) {
		ann := s.Dial("/?user_id=ann")
		ann.Subscribe("news")
		must(t, tkws.BroadcastTopicMessage("news", "the last one"))
		must(t, tkws.Shutdown(t.Context()))
		ann.Expect("news", "the last one")
		if reason := ann.ExpectClose(1001); reason != "server is shutting down, please reconnect" {
			t.Fatalf("closed with %q", reason)
		}
		for range tkws.ConnEvents { // it is closed, and so ends
		}
		if state := tkws.Stats().State; state != tank.StateClosed {
			t.Fatalf("the instance is %s", state)
		}
	})
}

func TestUnusedInstanceRunsNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	instances := make([]*tank.Manager, 100)
	for i := range instances {
		instances[i] = tank.NewInstance()
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Fatalf("100 unused instances run %d goroutines", after-before)
	}
	must(t, instances[0].Shutdown(context.Background()))
}

package test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

func TestWriteWithoutProgressIsCut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.connect(handshake{path: "/?user_id=ann", buffer: 100})
		s.expectEvents("connect ann")
		must(t, s.BroadcastMessage(make([]byte, 1000)))
		began := time.Now()
		e := s.event()
		if took := time.Since(began); e.Reason != "1006 write timeout" || took != 5*time.Second {
			t.Fatalf("got %+v after %v", e, took)
		}
		s.expectError(tank.CodeWrite)
		if got := s.Stats(); got.Dropped != 1 || got.OutboxMemory != 0 {
			t.Fatalf("got %+v", got)
		}
		p.conn.Close()
	})
}

func TestSlowWriteThatMakesProgressIsNotCut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithHeartbeat(time.Hour, time.Hour))
		p := s.connect(handshake{path: "/", buffer: 10})
		must(t, s.BroadcastMessage([]byte(strings.Repeat("x", 100))))
		for range 102 {
			time.Sleep(4 * time.Second)
			if _, err := p.conn.Conn.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		must(t, s.BroadcastMessage([]byte("and on")))
		p.expect("and on")
		s.expectNoErrors()
	})
}

func TestBudgetOfAllOutboxesClosesTheLargestFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const budget = 1<<20 + 16<<10
		clients := map[string]*tank.Client{}
		s := serve(t, tank.WithLimits(tank.Limits{TotalOutboxBytes: budget, WriteTimeout: time.Hour}),
			tank.WithMessageHandler(func(c *tank.Client, _ tank.Message) { clients[c.UserID()] = c }))
		connect := func(name string) {
			s.connect(handshake{path: "/?user_id=" + name, buffer: 16}).send("hello")
			synctest.Wait()
		}
		for _, name := range []string{"small", "large", "medium"} {
			connect(name)
		}
		send := func(name string, kilobytes int) {
			for range kilobytes / 10 {
				must(t, clients[name].Send(tank.Message{Data: make([]byte, 10<<10), Binary: true}))
			}
			synctest.Wait()
		}
		send("small", 200)
		send("large", 450)
		send("medium", 300)
		s.expectNoErrors()
		if got := s.Stats().OutboxMemory; got < 950<<10 || got > budget {
			t.Fatalf("%d bytes are held", got)
		}
		send("small", 100)
		if e := s.expectError(tank.CodeSlowClient); e.UserID != "large" {
			t.Fatalf("got %+v", e)
		}
		send("small", 300)
		s.expectNoErrors() // that made room enough
		send("medium", 150)
		send("medium", 150)
		if e := s.expectError(tank.CodeSlowClient); e.UserID != "small" && e.UserID != "medium" {
			t.Fatalf("got %+v", e)
		}
		if got := s.Stats(); got.Evicted != 2 || got.OutboxMemory > budget {
			t.Fatalf("got %+v", got)
		}
	})
}

// A hundred clients that wait for the same megabyte take a megabyte.
func TestBudgetCountsWhatIsSharedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{TotalOutboxBytes: 1 << 20, WriteTimeout: time.Hour}))
		for range 100 {
			s.connect(handshake{path: "/", buffer: 16})
		}
		for range 50 {
			must(t, s.BroadcastMessage(make([]byte, 10<<10)))
		}
		synctest.Wait()
		s.expectNoErrors()
		if got := s.Stats().OutboxMemory; got < 500<<10 || got > 600<<10 {
			t.Fatalf("%d bytes are held", got)
		}
		must(t, s.Shutdown(within(t, time.Minute)))
		if got := s.Stats().OutboxMemory; got != 0 {
			t.Fatalf("%d bytes are held at the end", got)
		}
	})
}

func TestOutboxPoliciesLoseMessagesAndCountThem(t *testing.T) {
	for name, test := range map[string]struct {
		policy tank.OutboxPolicy
		want   []string // behind the message that is being written
	}{
		"drop oldest": {tank.OutboxDropOldest, []string{"b4", "a5", "b5"}},
		"keep latest": {tank.OutboxKeepLatest, []string{"a5", "b5"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				message := func(name string) string { return name + strings.Repeat("x", 300) }
				var c *tank.Client
				s := serve(t, tank.WithOutboxPolicy(test.policy), tank.WithLimits(tank.Limits{OutboxBytes: 1500}),
					tank.WithSubscribeAuthorizer(func(client *tank.Client, _ string) error { c = client; return nil }))
				p := s.connect(handshake{path: "/?user_id=slow", buffer: 16})
				healthy := s.dial("healthy")
				for _, topic := range []string{"a", "b"} {
					healthy.subscribe(s, topic)
					p.subscribe(s, topic)
				}
				must(t, s.BroadcastTopicMessage("a", message("first")))
				healthy.expectTopic("a", message("first"))
				synctest.Wait()
				for i := range 6 {
					for _, topic := range []string{"a", "b"} {
						must(t, s.BroadcastTopicMessage(topic, message(fmt.Sprint(topic, i))))
						healthy.expectTopic(topic, message(fmt.Sprint(topic, i)))
						synctest.Wait()
					}
				}
				p.expectTopic("a", message("first"))
				for _, want := range test.want {
					p.expectTopic(want[:1], message(want))
				}
				p.expectNothing()
				lost := uint64(12 - len(test.want))
				perTopic := uint64(0)
				for _, topic := range s.GetAllTopics() {
					perTopic += topic.Dropped
				}
				if c.Stats().Dropped != lost || perTopic != lost || s.Stats().Dropped != lost {
					t.Fatalf("%d are counted by the client, %d by the topics, %d in total; want %d", c.Stats().Dropped, perTopic, s.Stats().Dropped, lost)
				}
				if e := s.expectError(tank.CodeSlowClient); e.UserID != "slow" {
					t.Fatalf("got %+v", e)
				}
				s.expectNoErrors() // it tells once
				if s.Stats().Evicted != 0 || s.GetClientCount() != 2 {
					t.Fatal("a client was closed")
				}
			})
		})
	}
}

// A client that is closing holds memory, too. When it has the most queued bytes, no other is closed in its stead.
func TestClientsThatAreClosingDoNotCostOthersTheirConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithHeartbeat(time.Hour, time.Hour),
			tank.WithLimits(tank.Limits{TotalOutboxBytes: 100_000, CloseTimeout: time.Minute, WriteTimeout: time.Hour}))
		send := func(user string, bytes int) {
			s.connect(handshake{path: "/?user_id=" + user, buffer: 16})
			if n := s.SendToUser(user, tank.Message{Data: []byte(strings.Repeat("x", bytes))}); n != 1 {
				t.Fatalf("sent to %d", n)
			}
			synctest.Wait()
		}
		send("slow", 90_000)
		s.CloseUser("slow")
		synctest.Wait()
		send("ann", 20_000)
		if n := s.SendToUser("ann", tank.Message{}); n != 1 {
			t.Error("ann, who has 20 kB, is closed, while one that is closing has 90 kB")
		}
	})
}

package natsbroker

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// TestInstances: clients of two instances, and a program that knows only NATS, see each other's publications, before and after NATS was
// away, and are told of that.
func TestInstances(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			quiet := slog.New(slog.DiscardHandler)
			instance := func() (*tank.Manager, *tanktest.Server) {
				b, err := New(Options{URL: s.url(), Mode: mode, Logger: quiet})
				must(t, err)
				m := tank.NewInstance(tank.WithBroker(b), tank.WithLogger(quiet))
				return m, tanktest.Serve(t, m)
			}
			one, serverOne := instance()
			two, serverTwo := instance()
			plain, v2 := serverOne.Dial("/?user_id=ann"), serverTwo.DialV2("/?user_id=ann")
			plain.Subscribe("news")
			v2.Subscribe("news")
			for range 3 {
				await(t, "published", func() bool { return one.Publish(context.Background(), "news", "hello") == nil })
				plain.ExpectTopic("news", "hello")
				v2.ExpectTopic("news", "hello")
				await(t, "published back", func() bool { return two.Publish(context.Background(), "news", "and back") == nil })
				plain.ExpectTopic("news", "and back")
				v2.ExpectTopic("news", "and back")
				other := plainClient(t, s.url())
				must(t, other.Publish("tank.c.news", []byte("from elsewhere")))
				must(t, other.Flush())
				plain.ExpectTopic("news", "from elsewhere")
				v2.ExpectTopic("news", "from elsewhere")
				other.Close()
				s.stop()
				v2.ExpectInterrupted(true)
				s.start()
				told := map[string]int{}
				for range 2 { // in any order
					told[v2.Next().Notice]++
				}
				if told["gap"] != 1 || told["interrupted"] != 1 {
					t.Errorf("told %v", told)
				}
			}
			await(t, "both are back", func() bool {
				return two.Publish(context.Background(), "other", "x") == nil && one.Publish(context.Background(), "other", "x") == nil
			})
			if n := one.CloseUser("ann"); n != 1 {
				t.Errorf("%d connections closed here", n)
			}
			await(t, "closed", func() bool { return one.GetClientCount()+two.GetClientCount() == 0 })
		})
	}
}

// TestInstancesThatKeep: a client that comes back to another instance, and after NATS was away, gets what it missed, and is told of nothing.
func TestInstancesThatKeep(t *testing.T) {
	s := startServer(t, withJetStream(t))
	quiet := slog.New(slog.DiscardHandler)
	instance := func() (*tank.Manager, *tanktest.Server) {
		b, err := New(Options{URL: s.url(), Mode: JetStream, Logger: quiet})
		must(t, err)
		m := tank.NewInstance(tank.WithBroker(b), tank.WithLogger(quiet),
			tank.WithTopics("news", tank.TopicOptions{History: tank.History{Messages: 100, Age: time.Hour}}))
		return m, tanktest.Serve(t, m)
	}
	one, serverOne := instance()
	two, serverTwo := instance()
	here, there := serverOne.DialV2("/?user_id=ann"), serverTwo.DialV2("/?user_id=bob")
	for _, c := range []*tanktest.ClientV2{here, there} {
		c.Subscribe("news")
		c.Subscribe("plain")
	}
	for i := range 3 {
		await(t, "published", func() bool { return two.Publish(context.Background(), "plain", "not kept") == nil })
		for _, c := range []*tanktest.ClientV2{here, there} {
			c.ExpectTopic("plain", "not kept")
		}
		var last tank.Position
		for j, m := range []*tank.Manager{one, two} {
			at, err := m.PublishMessage(context.Background(), tank.Publication{Topic: "news", Data: fmt.Sprint(i, j)})
			must(t, err)
			last = at
		}
		for _, c := range []*tanktest.ClientV2{here, there} {
			c.ExpectTopic("news", fmt.Sprint(i, 0))
			c.ExpectTopic("news", fmt.Sprint(i, 1))
			if got := c.Position("news"); got != last {
				t.Errorf("stands at %+v, want %+v", got, last)
			}
		}
		s.stop()
		for _, c := range []*tanktest.ClientV2{here, there} {
			c.ExpectInterrupted(true)
		}
		s.start()
		for _, c := range []*tanktest.ClientV2{here, there} {
			told := make(map[string]int)
			for range 2 { // in any order
				m := c.Next()
				told[m.Notice+" "+m.Topic]++
			}
			if told["gap plain"] != 1 || told["interrupted "] != 1 {
				t.Errorf("told %v", told)
			}
		}
	}
}

package test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// The authorizer sees what a client publishes, and decides what becomes of it.
func TestPublishAuthorizer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var seen []tank.Publication
		s := serve(t, byQuery, tank.WithPublishAuthorizer(func(c *tank.Client, p *tank.Publication) error {
			seen = append(seen, *p)
			switch p.Data {
			case "no":
				return errors.New("the secret reason")
			case "stamp":
				p.Data, p.JSON = fmt.Sprintf(`{"from":%q,"text":"hi"}`, c.UserID()), true
			case "elsewhere":
				p.Topic, p.Key = "elsewhere", "key"
			case "malformed":
				p.Data, p.JSON = `{"from":`, true
			case "not UTF-8":
				p.Data = "\xff"
			case "from another":
				p.From = "the moderator"
			case "from a bell":
				p.From = "\a"
			}
			return nil
		}))
		ann := s.dial("ann")
		for _, topic := range []string{"news", "elsewhere"} {
			ann.subscribe(s, topic)
		}
		for _, tt := range []struct{ data, want string }{
			{"as it is", "as it is"},
			{"stamp", `{"from":"ann","text":"hi"}`},
			{"elsewhere", "elsewhere"}, // on news
			{"from another", "from another"},
		} {
			ann.send(fmt.Sprintf(`{"topic":"news","data":%q}`, tt.data))
			ann.expectTopic("news", tt.want)
		}
		for _, data := range []string{"no", "malformed", "not UTF-8", "from a bell"} {
			ann.send(fmt.Sprintf(`{"topic":"news","data":%q}`, data))
			ann.expectRefusal("forbidden", "news")
			code := tank.CodeSerialization
			if data == "no" {
				code = tank.CodeForbidden
			}
			if e := s.expectError(code); e.UserID != "ann" || e.Topic != "news" {
				t.Errorf("%s: reported %+v", data, e)
			}
		}
		for _, p := range seen {
			if p.Topic != "news" || p.From != "ann" || p.JSON || p.Key != "" {
				t.Errorf("the authorizer saw %+v", p)
			}
		}
	})
	bubble(t, func(t *testing.T) { // nobody vouches for a name from the query
		s := serve(t, tank.WithPublishAuthorizer(func(_ *tank.Client, p *tank.Publication) error {
			if p.From != "" {
				t.Errorf("an unauthenticated client publishes as %q", p.From)
			}
			return nil
		}))
		ann := s.dial("ann")
		ann.subscribe(s, "news")
		ann.send(`{"topic":"news","data":"x"}`)
		ann.expectTopic("news", "x")
	})
}

func TestPublishJSON(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		p.subscribe(s, "news")
		type order struct {
			ID   int    `json:"id"`
			Note string `json:"note"`
		}
		must(t, s.PublishJSON(t.Context(), "news", order{7, `<b> "x"`}))
		p.expect(`{"topic":"news","data":"{\"id\":7,\"note\":\"<b> \\\"x\\\"\"}"}`)
		orders := tank.TopicOf[order](s.Manager, "news")
		must(t, orders.Publish(t.Context(), order{ID: 8}))
		p.expectTopic("news", `{"id":8,"note":""}`)
		if orders.Name() != "news" {
			t.Errorf("the name is %q", orders.Name())
		}
		for _, bad := range []any{math.NaN(), make(chan int), func() {}} {
			mustBe(t, s.PublishJSON(t.Context(), "news", bad), tank.ErrInvalidData)
			if e := s.expectError(tank.CodeSerialization); e.Topic != "news" {
				t.Errorf("reported %+v", e)
			}
		}
		mustBe(t, s.PublishJSON(t.Context(), "a\nb", 1), tank.ErrInvalidTopic)
		mustBe(t, tank.TopicOf[int](s.Manager, "").Publish(t.Context(), 1), tank.ErrInvalidTopic)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		mustBe(t, s.PublishJSON(ended, "news", 1), tank.ErrBusy)
	})
}

// A message to one client alone keeps its place among the topic's, also under compression and a flood.
func TestSendTopicComesInOrder(t *testing.T) {
	for name, offered := range map[string]bool{"plain": false, "compressed": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t, tank.WithCompression(1, 0))
				h := handshake{path: "/?user_id=ann"}
				if offered {
					h.header = offer.Clone()
				}
				ann := s.connect(h)
				bob := s.dial("bob")
				bob.subscribe(s, "news")
				c := s.GetAllClients()[0]
				mustBe(t, c.SendTopic("news", "x"), tank.ErrNotFound)
				mustBe(t, c.SendTopic("", "x"), tank.ErrInvalidTopic)
				mustBe(t, c.SendTopic("news", "\xff"), tank.ErrInvalidData)
				s.expectError(tank.CodeSerialization)
				must(t, c.Subscribe("news"))
				if !c.IsSubscribed("news") || c.IsSubscribed("other") {
					t.Error("IsSubscribed is wrong")
				}
				var want []string
				for i := range 100 {
					must(t, s.BroadcastTopicMessage("news", fmt.Sprint("live ", i)))
					must(t, c.SendTopic("news", fmt.Sprint("snapshot ", i)))
					must(t, c.Send(tank.Message{Data: fmt.Append(nil, "text ", i)}))
					want = append(want, fmt.Sprintf(`{"topic":"news","data":"live %d"}`, i), fmt.Sprintf(`{"topic":"news","data":"snapshot %d"}`, i), fmt.Sprint("text ", i))
					bob.expectTopic("news", fmt.Sprint("live ", i)) // and nothing else
				}
				for _, text := range want {
					ann.expect(text) // too short to be compressed
				}
				must(t, c.SendTopic("news", strings.Repeat("x", 1000)))
				synctest.Wait()
				head, err := ann.conn.R.Peek(1)
				if compressed := head[0] == 0xC1; err != nil || compressed != offered {
					t.Errorf("the frame begins with %x (%v)", head, err)
				}
				must(t, c.Unsubscribe("news"))
				mustBe(t, c.SendTopic("news", "x"), tank.ErrNotFound)
				c.Close(1000, "")
				mustBe(t, c.SendTopic("news", "x"), tank.ErrClosed)
				ann.conn.Close()
				synctest.Wait()
			})
		})
	}
}

// A client whose outbox has no room for the message is closed, and SendTopic says so.
func TestSendTopicToASlowClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{OutboxBytes: 1000, CloseTimeout: time.Second}))
		ann := s.connect(handshake{path: "/?user_id=ann", buffer: 100})
		ann.subscribe(s, "news")
		c := s.GetAllClients()[0]
		var err error
		for range 10 {
			if err = c.SendTopic("news", strings.Repeat("x", 400)); err != nil {
				break
			}
		}
		mustBe(t, err, tank.ErrClosed)
		s.expectError(tank.CodeSlowClient)
	})
}

func TestUsers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		one, two, bob := s.dial("ann"), s.dial("ann"), s.dial("bob")
		if n := s.SendToUser("ann", tank.Message{Data: []byte("hello")}); n != 2 {
			t.Errorf("sent to %d connections", n)
		}
		one.expect("hello")
		two.expect("hello")
		if n := s.SendToUser("ann", tank.Message{Data: []byte("\xff")}); n != 0 {
			t.Errorf("sent to %d connections", n)
		}
		s.expectError(tank.CodeSerialization)
		if n := s.SendToUser("ann", tank.Message{Data: []byte("\xff"), Binary: true}); n != 2 {
			t.Errorf("sent to %d connections", n)
		}
		for _, p := range []*peer{one, two} {
			if op, data := p.next(); op != opBinary || data != "\xff" {
				t.Errorf("got %d %q", op, data)
			}
		}
		one.subscribe(s, "news")
		bob.subscribe(s, "news")
		s.expectEvents("connect ann", "connect ann", "connect bob", "subscribe ann news", "subscribe bob news")
		if n := s.UnsubscribeUser("ann", "news"); n != 1 {
			t.Errorf("unsubscribed %d connections", n)
		}
		s.expectEvents("unsubscribe ann news")
		if n := s.UnsubscribeUser("ann", "news") + s.UnsubscribeUser("nobody", "news") + s.UnsubscribeUser("ann", "") + s.SendToUser("nobody", tank.Message{}); n != 0 {
			t.Errorf("%d connections", n)
		}
		if n := s.GetTopicSubscriberCount("news"); n != 1 {
			t.Errorf("%d subscribers are left", n)
		}
		bob.expectNothing()
		if n := s.CloseUser("ann"); n != 2 {
			t.Errorf("closed %d connections", n)
		}
		one.expectClose(1000)
		two.expectClose(1000)
	})
}

func TestReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := mount(t, tank.NewInstance(tank.WithDrain(time.Minute, 1)))
		mustBe(t, s.Ready(), tank.ErrBusy)
		go s.Start()
		synctest.Wait()
		must(t, s.Ready())
		s.dial("ann")
		s.dial("bob")
		go s.Shutdown(t.Context())
		synctest.Wait()
		if state := s.Stats().State; state != tank.StateDraining {
			t.Fatalf("the state is %v", state)
		}
		mustBe(t, s.Ready(), tank.ErrClosed)
	})
}

func TestNamesOfConstants(t *testing.T) {
	for got, want := range map[string]string{
		fmt.Sprint(tank.OutboxClose):      "OutboxClose",
		fmt.Sprint(tank.OutboxDropOldest): "OutboxDropOldest",
		fmt.Sprint(tank.OutboxKeepLatest): "OutboxKeepLatest",
		fmt.Sprint(tank.OutboxPolicy(9)):  "OutboxPolicy(9)",
		fmt.Sprint(tank.StateRunning):     "running",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

package test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

func TestPublishResults(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		must(t, s.BroadcastTopicMessage("nobody listens", "x"))
		must(t, s.Publish(t.Context(), "nobody listens", "x"))
		for _, name := range []string{"", strings.Repeat("x", 256), "a\nb", "\xff", "a\u0085"} {
			mustBe(t, s.BroadcastTopicMessage(name, "x"), tank.ErrInvalidTopic)
		}
		s.expectNoErrors()
		for _, data := range []string{"\xff", "x\x80", "\xe4\xb8", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"} {
			mustBe(t, s.BroadcastTopicMessage("news", data), tank.ErrInvalidData)
			s.expectError(tank.CodeSerialization)
		}
		mustBe(t, s.BroadcastTopicMessage("news", "\xff"), tank.ErrInvalidData)
		e := s.expectError(tank.CodeSerialization)
		mustBe(t, e, tank.ErrInvalidData)
		if e.Topic != "news" || e.Time.IsZero() {
			t.Fatalf("got %+v", e)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		p := s.dial("ann")
		p.subscribe(s, "news")
		err := s.Publish(ended, "news", "x")
		mustBe(t, err, tank.ErrBusy)
		mustBe(t, err, context.Canceled)
		p.expectNothing()
	})
}

func TestCountsAgreeWithEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		check := func(clients, subscribers int) {
			t.Helper()
			if c, n := s.GetClientCount(), s.GetTopicSubscriberCount("news"); c != clients || n != subscribers {
				t.Fatalf("counts are %d clients, %d subscribers; want %d, %d", c, n, clients, subscribers)
			}
		}
		check(0, 0)
		a, b := s.dial("ann"), s.dial("bob")
		s.expectEvents("connect ann", "connect bob")
		check(2, 0)
		a.send("sub:news")
		s.expectEvents("subscribe ann news")
		check(2, 1)
		b.send("sub:news")
		s.expectEvents("subscribe bob news")
		check(2, 2)
		b.send("unsub:news")
		s.expectEvents("unsubscribe bob news")
		check(2, 1)
		a.conn.Close()
		s.expectEvents("disconnect ann")
		check(1, 0)
		must(t, s.Shutdown(within(t, time.Minute)))
		check(0, 0)
	})
}

func TestGetAllTopics(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		a, b := s.dial("ann"), s.dial("bob")
		created := time.Now()
		for _, topic := range []string{"zebra", "apple", "中文"} {
			a.subscribe(s, topic)
		}
		b.subscribe(s, "apple")
		time.Sleep(time.Second)
		published := time.Now()
		must(t, s.BroadcastTopicMessage("apple", "1"))
		must(t, s.BroadcastTopicMessage("apple", "2"))
		a.expectTopic("apple", "1")
		b.expectTopic("apple", "1")
		synctest.Wait()
		got := s.GetAllTopics()
		want := []tank.TopicStats{
			{Name: "apple", Subscribers: 2, Seq: 2, Published: 2, Delivered: 4, CreatedAt: created, LastPublishedAt: published},
			{Name: "zebra", Subscribers: 1, CreatedAt: created},
			{Name: "中文", Subscribers: 1, CreatedAt: created},
		}
		for i := range want {
			if i >= len(got) || !sameTopic(got[i], want[i]) {
				t.Fatalf("got  %+v\nwant %+v", got, want)
			}
		}
		text, err := json.Marshal(got[0])
		must(t, err)
		for _, key := range []string{"name", "subscribers", "published", "delivered", "dropped", "mailbox_depth", "restarts", "created_at", "last_published_at"} {
			if !strings.Contains(string(text), `"`+key+`":`) {
				t.Errorf("JSON %s lacks %s", text, key)
			}
		}
		a.send("unsub:zebra")
		synctest.Wait()
		if n := len(s.GetAllTopics()); n != 2 {
			t.Fatalf("%d topics live after the last subscriber of one left, want 2", n)
		}
	})
}

func sameTopic(a, b tank.TopicStats) bool {
	times := a.CreatedAt.Equal(b.CreatedAt) && a.LastPublishedAt.Equal(b.LastPublishedAt)
	a.CreatedAt, a.LastPublishedAt = b.CreatedAt, b.LastPublishedAt
	return times && a == b
}

func TestStats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		p.subscribe(s, "news")
		p.send("for nobody")
		must(t, s.BroadcastTopicMessage("news", "x"))
		p.expectTopic("news", "x")
		time.Sleep(time.Second / 2) // less than until the first heartbeat
		got := s.Stats()
		want := tank.Stats{
			State: "running", Clients: 1, Topics: 1, Accepted: 1, MessagesIn: 2, BytesIn: uint64(len("sub:news") + len("for nobody")), MessagesIgnored: 1,
			Published: 1, MessagesOut: 1,
			BytesOut: uint64(2 + len(`{"topic":"news","data":"x"}`)), Uptime: time.Second / 2,
		}
		if got != want {
			t.Fatalf("got  %+v\nwant %+v", got, want)
		}
	})
}

func TestEventsTellOneClientsLifeInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		connect := s.event()
		for i := range 5 {
			p.send(fmt.Sprintf("sub:t%d", i))
		}
		p.send("unsub:t0")
		synctest.Wait()
		p.conn.Close()
		s.expectEvents("subscribe ann t0", "subscribe ann t1", "subscribe ann t2", "subscribe ann t3", "subscribe ann t4", "unsubscribe ann t0")
		last := s.event()
		if connect.EventType != tank.EventConnect || last.EventType != tank.EventDisconnect || last.ClientID != connect.ClientID {
			t.Fatalf("first %+v, last %+v", connect, last)
		}
		if !strings.HasPrefix(last.Reason, "1006 ") {
			t.Fatalf("reason %q, want 1006 for a connection cut without a close frame", last.Reason)
		}
		s.expectError(tank.CodeRead)
		if n := len(s.GetAllTopics()); n != 0 {
			t.Fatalf("%d topics live after their only subscriber left", n)
		}
	})
}

func TestSetCustomUpgraderIsTheDefaultAndWithUpgraderGoesFirst(t *testing.T) {
	defer tank.SetCustomUpgrader(tank.Upgrader{})
	bubble(t, func(t *testing.T) {
		shared, own := serve(t), serve(t, tank.WithUpgrader(tank.Upgrader{Subprotocols: []string{"own"}}))
		tank.SetCustomUpgrader(tank.Upgrader{Subprotocols: []string{"shared"}, ReadBufferSize: 1, WriteBufferSize: 1})
		for _, c := range []struct {
			s    *server
			want string
		}{{shared, "shared"}, {own, "own"}} {
			h := handshake{path: "/", header: map[string][]string{"Sec-Websocket-Protocol": {"own, shared"}}}
			p, resp := c.s.request(h)
			if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != c.want {
				t.Fatalf("negotiated %q, want %q", got, c.want)
			}
			p.subscribe(c.s, "news")
			must(t, c.s.BroadcastTopicMessage("news", "x"))
			p.expectTopic("news", "x")
		}
	})
}

func TestSenselessOptionsPanicNamingTheOption(t *testing.T) {
	for option, f := range map[string]func(){
		"WithHeartbeat":           func() { tank.NewInstance(tank.WithHeartbeat(0, time.Second)) },
		"WithHeartbeat:":          func() { tank.NewInstance(tank.WithHeartbeat(time.Second, -1)) },
		"MessageBytes -1":         func() { tank.NewInstance(tank.WithLimits(tank.Limits{MessageBytes: -1})) },
		"OutboxBytes -1":          func() { tank.NewInstance(tank.WithLimits(tank.Limits{OutboxBytes: -1})) },
		"TopicQueueBytes -1":      func() { tank.NewInstance(tank.WithLimits(tank.Limits{TopicQueueBytes: -1})) },
		"PublishTimeout -1ns":     func() { tank.NewInstance(tank.WithLimits(tank.Limits{PublishTimeout: -1})) },
		"CloseTimeout -1ns":       func() { tank.NewInstance(tank.WithLimits(tank.Limits{CloseTimeout: -1})) },
		"WithErrorBuffer":         func() { tank.NewInstance(tank.WithErrorBuffer(0)) },
		"WithConnEventBuffer":     func() { tank.NewInstance(tank.WithConnEventBuffer(-1)) },
		"WithAuthenticator":       func() { tank.NewInstance(tank.WithAuthenticator(nil)) },
		"WithSubscribeAuthorizer": func() { tank.NewInstance(tank.WithSubscribeAuthorizer(nil)) },
		"WithPublishAuthorizer":   func() { tank.NewInstance(tank.WithPublishAuthorizer(nil)) },
		"WithMessageHandler":      func() { tank.NewInstance(tank.WithMessageHandler(nil)) },
		"WithLogger":              func() { tank.NewInstance(tank.WithLogger(nil)) },
		"WithUpgrader":            func() { tank.NewInstance(tank.WithUpgrader(tank.Upgrader{ReadBufferSize: -1})) },
		"Presence has options":    func() { tank.NewInstance(tank.WithTopics("room", tank.TopicOptions{Presence: tank.Presence{Max: 5}})) },
		"Messages -1": func() {
			tank.NewInstance(tank.WithTopics("room", tank.TopicOptions{History: tank.History{Messages: -1}}))
		},
		"SetCustomUpgrader":   func() { tank.SetCustomUpgrader(tank.Upgrader{WriteBufferSize: -1}) },
		"subprotocol \"a b\"": func() { tank.SetCustomUpgrader(tank.Upgrader{Subprotocols: []string{"a b"}}) },
	} {
		t.Run(option, func(t *testing.T) {
			defer func() {
				if v := fmt.Sprint(recover()); !strings.Contains(v, option) || !strings.HasPrefix(v, "tank: ") {
					t.Fatalf("panicked with %q, want it to name %s", v, option)
				}
			}()
			f()
		})
	}
}

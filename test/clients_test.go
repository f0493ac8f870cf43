package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// users returns who clients are, in order.
func users(clients []*tank.Client) string {
	var names []string
	for _, c := range clients {
		names = append(names, c.UserID())
	}
	return strings.Join(names, " ")
}

func expectUsers(t *testing.T, what string, got []*tank.Client, want string) {
	t.Helper()
	if users(got) != want {
		t.Fatalf("%s are %q, want %q", what, users(got), want)
	}
}

func TestClientsAreListedInTheOrderInWhichTheyConnected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		var want []string
		for i := range 20 {
			name := fmt.Sprint("u", (i*7)%20)
			p := s.dial(name)
			if i%2 == 0 {
				p.subscribe(s, "even")
			}
			want = append(want, name)
			time.Sleep(time.Millisecond)
		}
		expectUsers(t, "clients", s.GetAllClients(), strings.Join(want, " "))
		expectUsers(t, "subscribers", s.GetTopicSubscribers("even"), "u0 u14 u8 u2 u16 u10 u4 u18 u12 u6")
	})
}

func TestSubscribersAreThoseWhoSubscribeNow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		ann, bob := s.dial("ann"), s.dial("bob")
		expectUsers(t, "subscribers", s.GetTopicSubscribers("news"), "")
		ann.subscribe(s, "news")
		bob.subscribe(s, "news")
		expectUsers(t, "subscribers", s.GetTopicSubscribers("news"), "ann bob")
		ann.send("unsub:news")
		synctest.Wait()
		expectUsers(t, "subscribers", s.GetTopicSubscribers("news"), "bob")
		bob.conn.Close()
		synctest.Wait()
		expectUsers(t, "subscribers", s.GetTopicSubscribers("news"), "")
		expectUsers(t, "clients", s.GetAllClients(), "ann")
		expectUsers(t, "subscribers of the topic without a name", s.GetTopicSubscribers(""), "")
	})
}

// TestSubscribersWhileTheirTopicsComeAndGo: whoever is subscribed all the while is always found.
func TestSubscribersWhileTheirTopicsComeAndGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, atWill)
		s.dial("ann")
		ann := s.GetAllClients()[0]
		for range 200 {
			must(t, ann.Subscribe("news"))
			expectUsers(t, "subscribers", s.GetTopicSubscribers("news"), "ann")
			must(t, ann.Unsubscribe("news"))
			expectUsers(t, "subscribers", s.GetTopicSubscribers("news"), "")
		}
	})
}

func TestGetClientFindsWhoIsConnected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		id := s.event().ClientID
		c := s.GetClient(id)
		if c == nil || c.UserID() != "ann" || c.ID() != id {
			t.Fatalf("got %v, want the client %s of ann", c, id)
		}
		must(t, c.Send(tank.Message{Data: []byte("to you alone")}))
		p.expect("to you alone")
		for _, id := range []string{"", "ann", id + "0"} {
			if c := s.GetClient(id); c != nil {
				t.Errorf("got %v for %q, want nil", c, id)
			}
		}
		must(t, c.Close(4001, "enough"))
		p.expectClose(4001)
		synctest.Wait()
		if c := s.GetClient(id); c != nil {
			t.Fatalf("got %v after its end, want nil", c)
		}
	})
}

func TestClientStats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const interval = 10 * time.Second
		s := serve(t, tank.WithHeartbeat(interval, 5*time.Second))
		began := time.Now()
		p := s.connect(handshake{path: "/?user_id=ann", buffer: 100})
		c := s.GetAllClients()[0]
		want := tank.ClientStats{ID: c.ID(), UserID: "ann", Protocol: "v1", RemoteAddr: c.RemoteAddr(), ConnectedAt: began, LastSeen: began}
		check := func(when string) {
			t.Helper()
			got := c.Stats()
			sameTimes := got.ConnectedAt.Equal(want.ConnectedAt) && got.LastSeen.Equal(want.LastSeen)
			got.ConnectedAt, got.LastSeen = want.ConnectedAt, want.LastSeen
			if !sameTimes || got != want {
				t.Fatalf("%s: got\n%+v, want\n%+v", when, c.Stats(), want)
			}
		}
		check("at first")

		if op, payload, err := p.receive(); op != opPing || err != nil {
			t.Fatalf("got %d %q %v, want a ping", op, payload, err)
		}
		time.Sleep(3 * time.Second)
		p.write(frame(opPong, ""))
		synctest.Wait()
		want.RTT, want.LastSeen = 3*time.Second, time.Now()
		check("after it answered a ping")
		p.write(frame(opPong, ""))
		synctest.Wait()
		check("after a pong that nobody asked for")

		time.Sleep(time.Second)
		p.subscribe(s, "news")
		p.subscribe(s, "sports")
		want.Subscriptions, want.LastSeen = 2, time.Now()
		check("after it subscribed")

		must(t, s.BroadcastTopicMessage("news", strings.Repeat("x", 200)))
		synctest.Wait()
		want.OutboxBytes = int64(4 + len(`{"topic":"news","data":""}`) + 200)
		check("while it does not read")

		p.conn.Close()
		synctest.Wait()
		want.OutboxBytes, want.Dropped, want.Subscriptions, want.Closing = 0, 1, 0, true
		check("at the end")
	})
}

// TestRTTIsThePeersAndNotTheHandlers: the pongs of a peer wait while a message handler is busy with what it said, or the rate makes what
// it said wait.
func TestRTTIsThePeersAndNotTheHandlers(t *testing.T) {
	for what, c := range map[string]struct {
		said  []byte
		takes time.Duration
	}{
		"handler":   {frame(opText, "keep busy"), 25 * time.Second},
		"fragments": {append(begun(opText, 0), bytes.Repeat(begun(0, 0), 26*64)...), 0},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t, tank.WithHeartbeat(10*time.Second, 5*time.Second),
					tank.WithLimits(tank.Limits{MessagesPerSecond: 1, MessageBurst: 1, MessageTimeout: time.Minute}),
					tank.WithMessageHandler(func(*tank.Client, tank.Message) { time.Sleep(c.takes) }))
				p := s.connect(handshake{path: "/?user_id=ann", buffer: 1 << 10})
				client := s.GetAllClients()[0]
				go p.write(c.said)
				for range 4 {
					if op, payload, err := p.receive(); op != opPing || err != nil {
						t.Fatalf("got %d %q %v, want a ping", op, payload, err)
					}
					if rtt := client.Stats().RTT; rtt != 0 && rtt != time.Second {
						t.Errorf("RTT is %v of a peer that takes a second", rtt)
					}
					time.Sleep(time.Second)
					p.write(frame(opPong, ""))
					synctest.Wait()
				}
				if client.Stats().RTT == 0 {
					t.Error("there is no RTT in the end")
				}
			})
		})
	}
}

// TestRTTOverRealSockets: there, idle connections are read from in another way.
func TestRTTOverRealSockets(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure bool) {
		m, server := overTCP(t, secure, tank.WithHeartbeat(50*time.Millisecond, 5*time.Second),
			tank.WithMessageHandler(func(c *tank.Client, msg tank.Message) {
				if err := c.Send(msg); err != nil {
					t.Error(err)
				}
			}))
		began := time.Now() // of the connection, too: the first ping comes soon
		ws := dialTCP(t, server, "ann")
		ctx := within(t, 10*time.Second)
		for {
			must(t, ws.Write(ctx, websocket.MessageText, []byte("hello")))
			_, _, err := ws.Read(ctx) // which answers pings
			must(t, err)
			stats := m.GetAllClients()[0].Stats()
			if stats.RTT == 0 {
				continue
			}
			if stats.RTT < 0 || stats.RTT > time.Since(began) || stats.LastSeen.Before(began) {
				t.Fatalf("after %v got %+v", time.Since(began), stats)
			}
			return
		}
	})
}

func TestClientStatsAsJSON(t *testing.T) {
	text, err := json.Marshal(tank.ClientStats{})
	must(t, err)
	const want = `{"id":"","user_id":"","protocol":"","remote_addr":"","subscriptions":0,"outbox_bytes":0,"dropped":0,"rtt":0,"closing":false,` +
		`"connected_at":"0001-01-01T00:00:00Z","last_seen":"0001-01-01T00:00:00Z"}`
	if string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

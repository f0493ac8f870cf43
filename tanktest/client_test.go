package tanktest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

func TestSubscribersGetWhatIsPublished(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, m := serve(t)
		ann, bob := s.Dial("/?user_id=ann"), s.Dial("/?user_id=bob")
		ann.Subscribe("news", "weather")
		bob.Subscribe("news")
		must(t, m.BroadcastTopicMessage("news", "hello"))
		ann.Expect("news", "hello")
		bob.Expect("news", "hello")
		ann.Unsubscribe("news")
		must(t, m.BroadcastTopicMessage("news", "again"))
		must(t, m.BroadcastTopicMessage("weather", "rain"))
		ann.Expect("weather", "rain")
		bob.Expect("news", "again")
		must(t, m.BroadcastMessage([]byte("to all")))
		ann.ExpectText("to all")
		bob.ExpectText("to all")
		ann.ExpectNothing()
		bob.ExpectNothing()
		if got := m.Stats().MessagesIn; got != 4 {
			t.Errorf("the server has counted %d messages from clients, want those 4 of the test", got)
		}
	})
}

func TestSubscribingTakesNoTimeHoweverOften(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, m := serve(t)
		began := time.Now()
		c := s.Dial("/")
		for i := range 60 {
			topic := fmt.Sprint("topic ", i)
			c.Subscribe(topic)
			must(t, m.BroadcastTopicMessage(topic, "x"))
			c.Expect(topic, "x")
			c.Unsubscribe(topic)
			must(t, m.BroadcastTopicMessage(topic, "y"))
		}
		c.ExpectNothing()
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestNextTellsKindsOfMessagesApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, m := serve(t)
		c := s.Dial("/")
		c.Subscribe("news")
		time.Sleep(time.Second)
		came := time.Now()
		must(t, m.BroadcastTopicMessage("news", `"quoted" 你好`))
		if got, want := c.Next(), (tanktest.Message{Topic: "news", Data: `"quoted" 你好`, At: came}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		must(t, c.Conn().Send(tank.Message{Data: []byte{0xff}, Binary: true}))
		if got, want := c.Next(), (tanktest.Message{Data: "\xff", Binary: true, At: came}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		for _, text := range []string{
			"", "plain", "{", "[]", "null", "{}", `{"topic":"news"}`, `{"topic":"news","data":1}`, `{"topic":null,"data":"x"}`,
			`{"topic":"news","data":"x","more":1}`, `{"Topic":"news","Data":"x"}`, `{"error":"x"}`, `{"error":{}}`, `{"error":null}`,
			`{"error":{"code":"forbidden"},"ref":1}`, `{"topic":"news","data":"x"}{}`,
		} {
			must(t, c.Conn().Send(tank.Message{Data: []byte(text)}))
			if got, want := c.Next(), (tanktest.Message{Data: text, At: came}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		c.Send("sub:")
		got := c.Next()
		if got.Refusal == nil || got.Refusal.Code != "invalid_topic" || got.Refusal.Message == "" || !json.Valid([]byte(got.Data)) {
			t.Errorf("got %+v", got)
		}
	})
}

func TestWhatClientsSendArrives(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, _ := serve(t,
			tank.WithPublishAuthorizer(func(*tank.Client, *tank.Publication) error { return nil }),
			tank.WithMessageHandler(func(c *tank.Client, m tank.Message) { must(t, c.Send(m)) }))
		c := s.Dial("/")
		for _, size := range []int{0, 1, 125, 126, 127, 65535, 65536} {
			text := strings.Repeat("é", size/2) + strings.Repeat("x", size%2)
			if size > 32<<10 {
				continue
			}
			c.Send(text)
			c.ExpectText(text)
			c.SendBinary([]byte(text))
			if got := c.Next(); got.Data != text || !got.Binary {
				t.Errorf("got %v", got)
			}
		}
		c.Subscribe("a <topic> & \"more\"")
		c.Publish("a <topic> & \"more\"", "some\ndata \u2028")
		c.Expect("a <topic> & \"more\"", "some\ndata \u2028")
	})
}

func TestLongFrames(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, _ := serve(t, tank.WithLimits(tank.Limits{MessageBytes: 10 << 20, OutboxBytes: 20 << 20}),
			tank.WithMessageHandler(func(c *tank.Client, m tank.Message) { must(t, c.Send(m)) }))
		c := s.Dial("/", tanktest.ReadBuffer(1000))
		for _, size := range []int{65535, 65536, 70_000, 1 << 20} {
			text := strings.Repeat("x", size)
			c.Send(text)
			if got := c.Next(); got.Data != text {
				t.Errorf("got %v, want %d bytes", got, size)
			}
		}
	})
}

func TestMessagesThatNobodyLooksAtAreKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, m := serve(t)
		c := s.Dial("/")
		c.Subscribe("news")
		const messages = 5000
		for i := range messages {
			must(t, m.BroadcastTopicMessage("news", fmt.Sprint(i, strings.Repeat("x", 1000))))
			synctest.Wait()
		}
		if got := m.Stats(); got.Evicted != 0 || got.OutboxMemory != 0 {
			t.Fatalf("got %+v", got)
		}
		for i := range messages {
			c.Expect("news", fmt.Sprint(i, strings.Repeat("x", 1000)))
		}
	})
}

func TestConnIsTheInstancesView(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, m := serve(t)
		ann, bob := s.Dial("/?user_id=ann"), s.Dial("/?user_id=bob")
		if ann.Conn().UserID() != "ann" || bob.Conn().UserID() != "bob" || m.GetClient(ann.Conn().ID()) != ann.Conn() {
			t.Fatalf("got %v and %v", ann.Conn(), bob.Conn())
		}
		must(t, ann.Conn().Subscribe("from within"))
		must(t, m.BroadcastTopicMessage("from within", "x"))
		ann.Expect("from within", "x")
		ann.Cut()
		if id := ann.Conn().ID(); len(id) != 36 {
			t.Errorf("id %q after the end", id)
		}
	})
}

func TestSyncWaitsForCallbacks(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		handled := 0
		s, _ := serve(t, tank.WithMessageHandler(func(*tank.Client, tank.Message) {
			time.Sleep(time.Millisecond)
			handled++
		}))
		c := s.Dial("/")
		for i := range 10 {
			c.Send("one")
			c.Send("two")
			c.Sync()
			if handled != 2*(i+1) {
				t.Fatalf("%d of %d are handled", handled, 2*(i+1))
			}
		}
		c.Freeze()
		c.Send("three")
		c.Sync()
		if handled != 21 {
			t.Fatalf("%d of 21 are handled", handled)
		}
		c.Cut()
		c.Sync()
	})
}

func TestSyncWaitsOutRateLimits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		handled := 0
		s, _ := serve(t, tank.WithLimits(tank.Limits{MessagesPerSecond: 10, MessageBurst: 10}),
			tank.WithMessageHandler(func(*tank.Client, tank.Message) { handled++ }))
		c := s.Dial("/")
		began := time.Now()
		for range 30 {
			c.Send("x")
		}
		c.Sync()
		if took := time.Since(began).Round(100 * time.Millisecond); handled != 30 || took != 2*time.Second {
			t.Errorf("%d are handled after %v", handled, took)
		}
	})
}

func TestPingsAreAnsweredWhileTheTestDoesSomethingElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, m := serve(t)
		c := s.Dial("/")
		time.Sleep(3 * time.Hour)
		must(t, m.BroadcastMessage([]byte("still here")))
		c.ExpectText("still here")
		if rtt := c.Conn().Stats().RTT; rtt == 0 {
			t.Error("no ping was answered")
		}
	})
}

func TestCompression(t *testing.T) {
	for _, offered := range []bool{true, false} {
		t.Run(fmt.Sprint(offered), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, m := serve(t, tank.WithUpgrader(tank.Upgrader{EnableCompression: true}))
				var opts []tanktest.DialOption
				if !offered {
					opts = append(opts, tanktest.Header("Sec-WebSocket-Extensions", ""))
				}
				c := s.Dial("/", opts...)
				c.Subscribe("news")
				long := strings.Repeat("all the same ", 1000)
				for range 3 {
					must(t, m.BroadcastTopicMessage("news", long))
					c.Expect("news", long)
				}
				must(t, m.BroadcastTopicMessage("news", "short"))
				c.Expect("news", "short")
				if sent := m.Stats().BytesOut; sent < 1000 != offered {
					t.Errorf("%d bytes were sent", sent)
				}
			})
		})
	}
}

func TestACrowd(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		const clients, messages = 200, 20
		s, m := serve(t)
		var crowd []*tanktest.Client
		for i := range clients {
			c := s.Dial(fmt.Sprint("/?user_id=", i))
			c.Subscribe("news")
			crowd = append(crowd, c)
		}
		if n := m.GetTopicSubscriberCount("news"); n != clients {
			t.Fatalf("%d are subscribed", n)
		}
		for i := range messages {
			must(t, m.BroadcastTopicMessage("news", fmt.Sprint(i)))
		}
		for _, c := range crowd {
			for i := range messages {
				c.Expect("news", fmt.Sprint(i))
			}
		}
	})
}

func TestRestIsWhatHasNotBeenLookedAt(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, m := serve(t)
		c := s.Dial("/")
		for _, text := range []string{"one", "two", "three"} {
			must(t, m.BroadcastMessage([]byte(text)))
		}
		c.ExpectText("one")
		must(t, m.Shutdown(t.Context()))
		if rest := c.Rest(); len(rest) != 2 || rest[0].Data != "two" || rest[1].Data != "three" {
			t.Errorf("got %v", rest)
		}
		if rest := c.Rest(); len(rest) != 0 {
			t.Errorf("got %v once more", rest)
		}
		if reason := c.ExpectClose(1001); !strings.Contains(reason, "shutting down") {
			t.Errorf("closed because of %q", reason)
		}
	})
}

func TestExpectTopicPassesOverOtherSources(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, m := serve(t)
		c := s.Dial("/")
		c.Subscribe("news", "weather")
		c.Send("sub:")
		c.Sync()
		must(t, m.BroadcastTopicMessage("weather", "rain"))
		must(t, m.BroadcastMessage([]byte("x")))
		must(t, c.Conn().Send(tank.Message{Data: []byte("x"), Binary: true}))
		must(t, m.BroadcastTopicMessage("news", "x"))
		c.ExpectTopic("news", "x")
		must(t, m.BroadcastTopicMessage("news", "y"))
		c.ExpectTopic("news", "y")
	})
}

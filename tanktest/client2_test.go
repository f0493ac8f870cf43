package tanktest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// keeping are options of an instance that keeps 5 messages of a topic, more of "long", and none of those that begin with "off". Clients
// may do everything, but not with topics that begin with "secret".
var keeping = []tank.Option{
	tank.WithTopics("*", tank.TopicOptions{History: tank.History{Messages: 5}}),
	tank.WithTopics("off*", tank.TopicOptions{}),
	tank.WithTopics("long", tank.TopicOptions{History: tank.History{Messages: 100}}),
	tank.WithSubscribeAuthorizer(func(_ *tank.Client, topic string) error { return notSecret(topic) }),
	tank.WithPublishAuthorizer(func(c *tank.Client, p *tank.Publication) error {
		p.From = c.UserID()
		return notSecret(p.Topic)
	}),
	tank.WithTokenHandler(func(_ *tank.Client, token string) (tank.Identity, error) {
		if token == "nobody's" {
			return tank.Identity{}, errors.New("nobody's")
		}
		return tank.Identity{Anonymous: true}, nil
	}),
	tank.WithRequestHandler(func(_ *tank.Client, r tank.Request) (any, error) {
		switch string(r.Data) {
		case `"nothing"`:
			return nil, &tank.RequestError{Code: "not_found", Message: "there is nothing"}
		case `"panic"`:
			panic("as you wish")
		}
		return map[string]any{"asked": r.Data}, nil
	}),
}

func notSecret(topic string) error {
	if strings.HasPrefix(topic, "secret") {
		return errors.New("nobody may")
	}
	return nil
}

func publish(t testing.TB, m *tank.Manager, topic string, values ...any) {
	t.Helper()
	for _, value := range values {
		if text, ok := value.(string); ok {
			must(t, m.Publish(context.Background(), topic, text))
		} else {
			must(t, m.PublishJSON(context.Background(), topic, value))
		}
	}
}

func TestV2SubscribersGetNumberedMessages(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, m := serve(t, keeping...)
		ann, bob := s.DialV2("/?user_id=ann"), s.Dial("/?user_id=bob")
		got := ann.Subscribe("news")
		if at := got.Position; at.Epoch == "" || at.Seq != 0 || got != (tanktest.Subscription{Position: at}) || ann.Position("news") != at {
			t.Errorf("got %+v, and stands at %v", got, ann.Position("news"))
		}
		bob.Subscribe("news")
		publish(t, m, "news", "one", map[string]any{"two": 2}, "three", nil)
		ann.Expect("news", "one")
		ann.ExpectTopic("news", json.RawMessage(` { "two" : 2 } `))
		ann.ExpectSeq("news", 3, "three")
		if m := ann.Next(); m.Topic != "news" || m.Seq != 4 || m.Data != "null" || !m.JSON || m.At.IsZero() {
			t.Errorf("got %+v", m)
		}
		for _, data := range []string{"one", `{"two":2}`, "three", "null"} {
			bob.Expect("news", data)
		}
		must(t, m.BroadcastMessage([]byte("to all")))
		ann.ExpectMessage("to all")
		must(t, ann.Conn().Send(tank.Message{Data: []byte(`{"to":"ann"}`), JSON: true}))
		must(t, ann.Conn().Send(tank.Message{Data: []byte{0xff}, Binary: true}))
		must(t, ann.Conn().SendTopic("news", "a snapshot"))
		ann.ExpectMessage(map[string]string{"to": "ann"})
		if m := ann.Next(); !m.Binary || m.Data != "\xff" {
			t.Errorf("got %+v", m)
		}
		ann.ExpectSeq("news", 0, "a snapshot")
		ann.Unsubscribe("news")
		publish(t, m, "news", "five")
		ann.ExpectNothing()
		if at := ann.Position("news"); at != (tank.Position{}) {
			t.Errorf("stands at %v", at)
		}
	})
}

func TestCutAndResume(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, m := serve(t, keeping...)
		c := s.DialV2("/")
		c.Subscribe("news")
		c.Subscribe("weather")
		c.Subscribe("off")
		c.Subscribe("quiet")
		for _, topic := range []string{"news", "off", "quiet", "weather"} {
			publish(t, m, topic, "one")
			c.ExpectTopic(topic, "one")
		}
		c.Cut()
		at := c.Position("news")
		publish(t, m, "weather", 2, 3, 4, 5, 6, 7)
		publish(t, m, "news", "two", "three")
		publish(t, m, "off", "two")
		got := c.Resume()
		weather, off, quiet := got["weather"].Position, got["off"].Position, got["quiet"].Position
		if want := map[string]tanktest.Subscription{
			"news":    {Position: tank.Position{Epoch: at.Epoch, Seq: 3}, From: 1, Recovered: true},
			"weather": {Position: tank.Position{Epoch: weather.Epoch, Seq: 7}, From: 7, Why: "evicted"},
			"off":     {Position: tank.Position{Epoch: off.Epoch, Seq: 2}, From: 2, Why: "off"},
			"quiet":   {Position: quiet, From: 1, Recovered: true},
		}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		c.ExpectSeq("news", 2, "two")
		c.ExpectSeq("news", 3, "three")
		publish(t, m, "news", "four")
		c.ExpectSeq("news", 4, "four")
		publish(t, m, "weather", "eight")
		c.ExpectSeq("weather", 8, "eight")
		c.ExpectNothing()
	})
}

// TestResumeOfATopicThatHadNoMessageYet, and of which the client was the only subscriber.
func TestResumeOfATopicThatHadNoMessageYet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, m := serve(t, keeping...)
		c := s.DialV2("/")
		c.Subscribe("news")
		c.Cut()
		synctest.Wait()
		publish(t, m, "news", "one", "two")
		if got := c.Resume()["news"]; !got.Recovered {
			t.Errorf("got %+v", got)
		}
		c.ExpectSeq("news", 1, "one")
		c.ExpectSeq("news", 2, "two")
	})
}

// TestWhatHasComeIsNotReplayed, whether the test has looked at it or not.
func TestWhatHasComeIsNotReplayed(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, m := serve(t, keeping...)
		c := s.DialV2("/")
		c.Subscribe("long")
		for i := range 5 {
			publish(t, m, "long", 3*i, 3*i+1) // the client has them, or will
			c.Cut()
			publish(t, m, "long", 3*i+2)
			if got := c.Resume()["long"]; !got.Recovered {
				t.Errorf("got %+v", got)
			}
		}
		for i := range 15 {
			c.ExpectSeq("long", uint64(i+1), i)
		}
		c.ExpectNothing()
	})
}

func TestReplays(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, m := serve(t, keeping...)
		start, err := m.Position("news")
		must(t, err)
		publish(t, m, "news", 1, 2, 3)
		c := s.DialV2("/")
		if got := c.Subscribe("news", tanktest.Since(start)); !got.Recovered || got.From != 0 || got.Position.Seq != 3 {
			t.Errorf("got %+v", got)
		}
		live := func(at ...int) {
			t.Helper()
			for _, n := range at {
				c.ExpectSeq("news", uint64(n), n)
			}
			c.ExpectNothing()
		}
		live(1, 2, 3)
		if got := c.Subscribe("news", tanktest.Last(2)); got.From != 1 || got.Recovered || got.Why != "" { // a replay on a live subscription
			t.Errorf("got %+v", got)
		}
		live(2, 3)
		c.Subscribe("news", tanktest.Since(tank.Position{Epoch: start.Epoch, Seq: 2}))
		live(3)
		c.Subscribe("news") // changes nothing
		c.Subscribe("news", tanktest.Since(tank.Position{}))
		publish(t, m, "news", 4, 5, 6)
		live(4, 5, 6)
		if got := c.Subscribe("news", tanktest.Since(start)); got.Recovered || got.Why != "evicted" || got.From != 6 {
			t.Errorf("got %+v", got)
		}
		if got := c.Subscribe("news", tanktest.Since(start), tanktest.Last(3)); got.Recovered || got.From != 3 {
			t.Errorf("got %+v", got)
		}
		live(4, 5, 6)
		if got := c.Subscribe("news", tanktest.Since(tank.Position{Epoch: "another", Seq: 6})); got.Recovered || got.Why != "epoch" {
			t.Errorf("got %+v", got)
		}
		live()
	})
}

func TestPublishV2(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, _ := serve(t, keeping...)
		ann, bob := s.DialV2("/?user_id=ann"), s.DialV2("/?user_id=bob")
		ann.Subscribe("<news>")
		bob.Subscribe("<news>")
		if got := ann.Publish("<news>", "x & y"); got != (tanktest.Published{Seq: 1}) {
			t.Errorf("got %+v", got)
		}
		if got := ann.Publish("<news>", []int{1}, tanktest.Key("k")); got != (tanktest.Published{Seq: 2}) {
			t.Errorf("got %+v", got)
		}
		if got := ann.Publish("<news>", []int{1}, tanktest.Key("k")); got != (tanktest.Published{Seq: 2, Duplicate: true}) {
			t.Errorf("got %+v", got)
		}
		for _, c := range []*tanktest.ClientV2{ann, bob} {
			if m := c.Expect("<news>", "x & y"); m.From != "ann" || m.Seq != 1 {
				t.Errorf("got %+v", m)
			}
			c.Expect("<news>", []int{1})
			c.ExpectNothing()
		}
		if got := ann.Publish("off", "nobody is there"); got != (tanktest.Published{}) {
			t.Errorf("got %+v", got)
		}
		if why := ann.PublishRefused("forbidden", "secret plan", "x"); why.Topic != "secret plan" || why.Message == "" || why.Retry {
			t.Errorf("got %+v", why)
		}
	})
}

func TestRequestsAndMessagesV2(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, _ := serve(t, append(keeping, tank.WithMessageHandler(func(c *tank.Client, m tank.Message) { must(t, c.Send(m)) }))...)
		c := s.DialV2("/")
		if got := c.Request([]any{"a", nil}); string(got) != `{"asked":["a",null]}` {
			t.Errorf("got %s", got)
		}
		if why := c.RequestRefused("not_found", "nothing"); why != (tanktest.Refusal{Code: "not_found", Message: "there is nothing"}) {
			t.Errorf("got %+v", why)
		}
		c.Send(map[string]string{"a": "<b>"})
		c.ExpectMessage(map[string]string{"a": "<b>"})
		c.Send("text")
		c.ExpectMessage("text")
		c.SendBinary([]byte{0xff})
		if m := c.Next(); !m.Binary || m.Data != "\xff" {
			t.Errorf("got %v", m)
		}
	})
}

func TestRefusalsV2(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, _ := serve(t, tank.WithSubscribeAuthorizer(func(_ *tank.Client, topic string) error { return notSecret(topic) }))
		c := s.DialV2("/")
		if why := c.SubscribeRefused("forbidden", "secret"); why.Topic != "secret" || why.Message == "" {
			t.Errorf("got %+v", why)
		}
		c.SubscribeRefused("invalid_topic", strings.Repeat("x", 1000))
		c.SubscribeRefused("bad_message", "news", tanktest.Last(0))
		c.SubscribeRefused("bad_message", "news", tanktest.Since(tank.Position{Epoch: "?", Seq: 1}))
		c.PublishRefused("unsupported", "news", "x")
		c.RequestRefused("unsupported", "x")
		c.Send("x")
		if why := c.ExpectRefusal("unsupported"); why.Message == "" || why.Topic != "" {
			t.Errorf("got %+v", why)
		}
	})
}

func TestTheServerSubscribesAndUnsubscribes(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, m := serve(t, keeping...)
		publish(t, m, "news", "one")
		c := s.DialV2("/")
		must(t, c.Conn().Subscribe("news"))
		if at := c.ExpectReset("news"); at.Epoch == "" || at.Seq != 1 || c.Position("news") != at {
			t.Errorf("got %v", at)
		}
		publish(t, m, "news", "two")
		c.ExpectSeq("news", 2, "two")
		must(t, m.Reset("news"))
		before := c.Position("news").Epoch
		if at := c.ExpectReset("news"); at.Seq != 0 || at.Epoch == before && at != c.Position("news") {
			t.Errorf("got %v", at)
		}
		publish(t, m, "news", "a new one")
		c.ExpectSeq("news", 1, "a new one")
		must(t, c.Conn().Unsubscribe("news"))
		if why := c.ExpectEnd("unsubscribed", "news"); why.Topic != "news" || why.Message == "" {
			t.Errorf("got %+v", why)
		}
		publish(t, m, "news", "for others")
		c.ExpectNothing()
		c.Cut()
		if got := c.Resume(); len(got) != 0 {
			t.Errorf("got %v", got)
		}
	})
}

func TestByeV2(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, m := serve(t)
		c, other := s.DialV2("/"), s.DialV2("/")
		other.Close(1000, "")
		other.ExpectClose(1000)
		must(t, m.Shutdown(t.Context()))
		if within := c.ExpectBye(1001); within != time.Second {
			t.Errorf("within %v", within)
		}
		if reason := c.ExpectClose(1001); !strings.Contains(reason, "shutting down") {
			t.Errorf("closed because of %q", reason)
		}
	})
}

// TestResumeAfterTheServerHasClosed: a slow reader is evicted, and comes back.
func TestResumeAfterTheServerHasClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, m := serve(t, append(keeping, tank.WithLimits(tank.Limits{OutboxBytes: 1 << 10}))...)
		c := s.DialV2("/", tanktest.ReadBuffer(100))
		c.Subscribe("news")
		c.ReadSlowly(1)
		n := 0
		for ; m.Stats().Evicted == 0; n++ {
			publish(t, m, "news", n)
			synctest.Wait()
		}
		c.Thaw()
		seen := c.Rest()
		c.ExpectBye(1013)
		got := c.Resume()["news"]
		if got.Position.Seq != uint64(n) || got.Recovered != (len(seen) >= n-5) {
			t.Errorf("got %+v behind %d of %d messages", got, len(seen), n)
		}
		publish(t, m, "news", "last")
		c.ExpectSeq("news", uint64(n+1), "last")
	})
}

func TestPingsAreAnsweredAndHeartbeatsPassedOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, m := serve(t)
		c := s.DialV2("/")
		time.Sleep(3 * time.Hour)
		c.ExpectNothing()
		must(t, m.BroadcastMessage([]byte("still here")))
		c.ExpectMessage("still here")
		c.Freeze()
		time.Sleep(time.Minute)
		c.Thaw()
		c.ExpectClose(1006)
		c.Resume()
		c.ExpectNothing()
	})
}

func TestCompressionV2(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, m := serve(t, append(keeping, tank.WithUpgrader(tank.Upgrader{EnableCompression: true}))...)
		c := s.DialV2("/")
		c.Subscribe("news")
		long := strings.Repeat("all the same ", 1000)
		publish(t, m, "news", long)
		c.Expect("news", long)
		if sent := m.Stats().BytesOut; sent > 1000 {
			t.Errorf("%d bytes were sent", sent)
		}
		c.Cut()
		publish(t, m, "news", long)
		c.Resume()
		c.ExpectSeq("news", 2, long)
	})
}

func TestDialV2TakesTheOptionsOfDialEachTime(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		var offered []string
		s, _ := serve(t, tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
			offered = append(offered, r.Header.Get("Sec-WebSocket-Protocol"))
			return tank.Identity{UserID: r.URL.Query().Get("user_id")}, nil
		}))
		c := s.DialV2("/", tanktest.Subprotocols("bearer.x", "chat"), tanktest.User("ann"), tanktest.RemoteAddr("10.0.0.7:4711"))
		for range 2 {
			if conn := c.Conn(); conn.UserID() != "ann" || conn.RemoteAddr() != "10.0.0.7:4711" || conn.Protocol() != tank.V2 {
				t.Errorf("got %v from %v", conn, conn.RemoteAddr())
			}
			first := c.Conn()
			c.Cut()
			c.Resume()
			if c.Conn() == first {
				t.Error("Conn is still the first")
			}
		}
		for _, line := range offered {
			if line != "tank.v2, bearer.x, chat" {
				t.Errorf("offered %q", line)
			}
		}
	})
}

func TestDialV2OfAClientThatIsClosedAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s, _ := serve(t, tank.WithConnectHandler(func(*tank.Client, *http.Request) error { return errors.New("no") }))
		c := s.DialV2("/")
		c.ExpectClose(3003)
	})
}

func TestACrowdV2(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		const clients, messages = 50, 5
		s, m := serve(t, keeping...)
		var crowd []*tanktest.ClientV2
		for i := range clients {
			c := s.DialV2(fmt.Sprint("/?user_id=", i))
			c.Subscribe("news")
			crowd = append(crowd, c)
		}
		for i := range messages {
			publish(t, m, "news", i)
			crowd[i].Cut()
		}
		for i, c := range crowd {
			if i < messages {
				c.Resume()
			}
			for n := range messages {
				c.ExpectSeq("news", uint64(n+1), n)
			}
		}
	})
}

// TestWhatTheServerExplains is no failure: lost messages, gaps and predecessors with other numbers.
func TestWhatTheServerExplains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := strange(scripted(subscribed+strings.Join([]string{
			`{"topic":"news","lost":2,"seq":6}`,
			`["news",7,"a",{"from":"ann","more":1},"more"]`,
			`["news",20,"b",{"prev":7}]`,
			`{"topic":"news","gap":{"seq":30}}`,
			`["news",0,"alone"]`,
			`["news",30,"c",{"prev":25}]`,
			`["news",31,"d"]`,
		}, "\n"), `{"id":2,"ok":{"epoch":"E","seq":31,"from":20,"recovered":true}}`+"\n"+strings.Join([]string{
			`["news",25,"bb",{"prev":20}]`,
			`["news",30,"c",{"prev":25}]`,
			`["news",31,"d"]`,
		}, "\n"), `{"id":3,"ok":{}}`+"\n"+strings.Join([]string{
			`{"topic":"other","end":{"code":"forbidden","message":"no","retry":true}}`,
			`{"topic":"news","here":{"n":3}}`,
			`{"topic":"news","unheard":1}`,
			`{"interrupted":true}`,
			`{"expires":60}`,
			`{}`,
			`{"unheard":1}`,
			`{"error":{"code":"busy","message":"later","retry":true},"more":1}`,
			`{"msg":"\u4f60"}`,
		}, "\n")))(t)
		c := s.DialV2("/")
		stands := func(want uint64) {
			t.Helper()
			if at := c.Position("news"); at != (tank.Position{Epoch: "E", Seq: want}) {
				t.Errorf("stands at %v, want %d", at, want)
			}
		}
		c.Subscribe("news")
		if m := c.Next(); m.Notice != "lost" || m.Topic != "news" {
			t.Errorf("got %+v", m)
		}
		if m := c.ExpectSeq("news", 7, "a"); m.From != "ann" {
			t.Errorf("got %+v", m)
		}
		c.ExpectSeq("news", 20, "b")
		if m := c.Next(); m.Notice != "gap" || m.Topic != "news" {
			t.Errorf("got %+v", m)
		}
		c.ExpectSeq("news", 0, "alone")
		c.ExpectSeq("news", 30, "c")
		c.ExpectSeq("news", 31, "d")
		stands(20) // so that the gap can be healed
		c.Subscribe("news", tanktest.Since(c.Position("news")))
		c.ExpectSeq("news", 25, "bb")
		c.ExpectSeq("news", 30, "c")
		c.ExpectSeq("news", 31, "d")
		stands(31)
		c.Publish("news", "x")
		if why := c.ExpectEnd("forbidden", "other"); why != (tanktest.Refusal{Code: "forbidden", Message: "no", Topic: "other", Retry: true}) {
			t.Errorf("got %+v", why)
		}
		for _, notice := range []string{"here", "unknown", "interrupted", "expires", "unknown"} {
			if m := c.Next(); m.Notice != notice || m.Data[0] != '{' || (m.Topic != "") != strings.Contains(m.Data, "topic") {
				t.Errorf("got %+v, want %s", m, notice)
			}
		}
		if why := c.ExpectRefusal("busy"); !why.Retry {
			t.Errorf("got %+v", why)
		}
		c.ExpectMessage("你")
	})
}

// lossy has a client with an outbox policy that drops messages, to which the numbers from 0 to 99 were published as messages 1 to 100
// while it was frozen. It has looked at what it got before that.
func lossy(t testing.TB, policy tank.OutboxPolicy, then func(*tanktest.ClientV2)) {
	t.Helper()
	s, m := serve(t, append(slices.Clip(keeping), tank.WithLimits(tank.Limits{OutboxBytes: 200}), tank.WithOutboxPolicy(policy))...)
	c := s.DialV2("/", tanktest.ReadBuffer(100))
	c.Subscribe("news")
	c.Freeze()
	for i := range 100 {
		publish(t, m, "news", i)
		synctest.Wait()
	}
	c.Thaw()
	synctest.Wait()
	for i := range 8 {
		c.ExpectSeq("news", uint64(i+1), i)
	}
	then(c)
}

// TestWhatThePolicyDrops is told.
func TestWhatThePolicyDrops(t *testing.T) {
	for _, policy := range []tank.OutboxPolicy{tank.OutboxDropOldest, tank.OutboxKeepLatest} {
		t.Run(policy.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				lossy(t, policy, func(c *tanktest.ClientV2) {
					lost := c.Conn().Stats().Dropped
					if at := c.ExpectLost("news", lost); at.Seq != 8+lost || at.Epoch == "" {
						t.Errorf("%d are lost, up to %+v", lost, at)
					}
					for n := 8 + lost; n < 100; n++ {
						c.ExpectSeq("news", n+1, n)
					}
					if at := c.Position("news"); at.Seq != 100 {
						t.Errorf("stands at %v", at)
					}
				})
			})
		})
	}
}

// TestAGapThatNobodyLooksAt fails the test all the same.
func TestAGapThatNobodyLooksAt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := record(t, func(t testing.TB) {
			c := strange(scripted(subscribed + `["news",6,"x"]`))(t).DialV2("/")
			c.Subscribe("news")
			synctest.Wait()
		})
		if r.fatal != "" || len(r.errors) != 1 || !strings.Contains(r.errors[0], "number 5 is missing") {
			t.Errorf("failed with %q and %q", r.fatal, r.errors)
		}
		wantFatal(t, record(t, func(t testing.TB) {
			c := strange(scripted(subscribed + `["news",6,"x"]`))(t).DialV2("/")
			c.Subscribe("news")
			synctest.Wait()
			c.Cut()
			c.Resume()
		}), "Resume: the server broke the protocol: ")
	})
}

func TestResumeWithANewToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		m := tank.NewInstance(tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) {
			_, token, _ := strings.Cut(r.Header.Get("Sec-WebSocket-Protocol"), "bearer.")
			life, err := time.ParseDuration(token)
			return tank.Identity{UserID: "ann", Expires: began.Add(life)}, err
		}))
		ann := tanktest.Serve(t, m).DialV2("/", tanktest.Subprotocols("bearer.10s"))
		ann.Subscribe("news")
		ann.Cut()
		time.Sleep(20 * time.Second)
		ann.Resume(tanktest.Subprotocols("bearer.30s"))
		ann.Cut()
		ann.Resume() // with the options of the last connection
		ann.Sync()
	})
}

func TestWhoWatchesStillDoesAfterResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tank.NewInstance(tank.WithTopics("*", tank.TopicOptions{Presence: tank.Presence{Enabled: true}}))
		s := tanktest.Serve(t, m)
		ann, bob := s.DialV2("/?user_id=ann"), s.DialV2("/?user_id=bob")
		ann.Subscribe("news", tanktest.Watch())
		ann.Subscribe("weather")
		for i := range 3 {
			if i == 2 {
				must(t, m.Reset("news"))
				ann.ExpectReset("news")
			}
			ann.Cut()
			resumed := ann.Resume()
			if here := resumed["news"].Here; here == nil || here.Users != 1 {
				t.Errorf("after Resume, ann knows of %+v", here)
			}
			if here := resumed["weather"].Here; here != nil {
				t.Errorf("ann has not asked for %+v", here)
			}
		}
		bob.Subscribe("news")
		if here := ann.ExpectHere("news"); here.Users != 2 {
			t.Errorf("got %+v", here)
		}
	})
}

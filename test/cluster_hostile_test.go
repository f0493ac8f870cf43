package test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/broker/brokertest"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// A group of instances whose broker is slow or away, or has strangers, and clients who make the most of it.

// lonely is an instance of a group that has not reached its broker yet, which takes 3 s to subscribe.
func lonely(t *testing.T, opts ...tank.Option) (*brokertest.Network, *clusterNode) {
	t.Helper()
	w := brokertest.NewNetwork()
	w.Cut()
	b := w.Node()
	b.SlowSubscribe(3 * time.Second)
	m := tank.NewInstance(append(opts, tank.WithBroker(b))...)
	n := &clusterNode{m, tanktest.Serve(t, m), b}
	n.Patience = time.Minute
	synctest.Wait()
	return w, n
}

// counter is a Receiver that counts what comes.
type counter struct{ messages, bytes atomic.Int64 }

func (c *counter) Began(string, uint64) {}
func (c *counter) Lost(error)           {}
func (c *counter) Deliver(list []broker.Message) {
	c.messages.Add(int64(len(list)))
	for _, m := range list {
		c.bytes.Add(int64(len(m.Data)))
	}
}

// stranger is somebody at the broker who is no instance.
func stranger(t *testing.T, w *brokertest.Network) *brokertest.Node {
	t.Helper()
	n := w.Node()
	must(t, n.Open(nobody{}))
	t.Cleanup(func() { n.Close(context.Background()) })
	return n
}

func strangerPublishes(t *testing.T, n *brokertest.Node, name, data string) {
	t.Helper()
	_, err := n.Publish(context.Background(), name, broker.Publication{Data: data})
	must(t, err)
}

// TestClientsAreToldThatTheBrokerIsThere: also those who came before it was, whatever is not in force yet.
func TestClientsAreToldThatTheBrokerIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, n := lonely(t)
		early := n.Dial("/", tanktest.Subprotocols("tank.v2"))
		early.Next()
		if got := early.Next().Data; got != `{"interrupted":true}` {
			t.Errorf("told %s", got)
		}
		w.Heal()
		synctest.Wait()
		if got := early.Next().Data; got != `{"interrupted":false}` {
			t.Errorf("told %s", got)
		}
	})
}

// TestSubscribingAgainWaits: a program that tries again after ErrBusy is not told that it is subscribed when it is not in force.
func TestSubscribingAgainWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 2)
		n := nodes[0]
		plain := n.Dial("/")
		synctest.Wait()
		c := n.GetAllClients()[0]
		n.broker.SlowSubscribe(8 * time.Second)
		began := time.Now()
		mustBe(t, c.Subscribe("news"), tank.ErrBusy)
		must(t, c.Subscribe("news"))
		if waited := time.Since(began); waited != 8*time.Second {
			t.Errorf("subscribed after %v", waited)
		}
		publishOn(t, nodes[1], "news", "hello")
		plain.Expect("news", "hello")
	})
}

// TestHistoryAcrossAGap: pages have the numbers that their messages have, and there is an end to them.
func TestHistoryAcrossAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 2, keepAll)
		n := nodes[0]
		before, err := n.Position("news")
		must(t, err)
		publishOn(t, n, "news", "one")
		publishOn(t, n, "news", "two")
		n.broker.Cut()
		n.broker.Heal()
		synctest.Wait()
		publishOn(t, n, "news", "four")
		publishOn(t, n, "news", "five")
		synctest.Wait()
		for _, most := range []int{1, 2, 3, 4, 5} {
			since := before
			var got []string
			for range 10 {
				page, err := n.History(context.Background(), "news", since, most)
				must(t, err)
				if len(page.Messages) == 0 {
					break
				}
				for _, m := range page.Messages {
					got = append(got, m.Data)
				}
				got = append(got, fmt.Sprint(page.First.Seq, "-", page.Last.Seq, " ", page.Whole))
				since = page.Last
			}
			want := map[int]string{
				1: "one 1-1 false two 2-2 false four 4-4 false five 5-5 true",
				2: "one two 1-2 false four five 4-5 false",
				3: "one two four 1-4 false five 5-5 true",
				4: "one two four five 1-5 false",
				5: "one two four five 1-5 false",
			}[most]
			if strings.Join(got, " ") != want {
				t.Errorf("pages of %d: %s, want %s", most, strings.Join(got, " "), want)
			}
		}
	})
}

// TestStrangersWhoTellWhoIsThere cost nobody a connection, and leave.
func TestStrangersWhoTellWhoIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := cluster(t, 1, anyMayPublish, tank.WithTopics("news", tank.TopicOptions{Presence: tank.Presence{Enabled: true}}))
		ann := nodes[0].DialV2("/?user_id=ann")
		ann.Subscribe("news", tanktest.Watch())
		s := stranger(t, w)
		for _, in := range []string{
			"{\"bob\":\"\xff\"}", `{"":{}}`, `{"a\u0000b":{}}`, `{"` + strings.Repeat("x", 200) + `":{}}`, `{"bob":"` + strings.Repeat("x", 2000) + `"}`,
		} {
			strangerPublishes(t, s, "\x00here\x00news", `{"node":"strange","in":`+in+`}`)
		}
		strangerPublishes(t, s, "\x00here\x00news", `{"node":"one","crowd":9223372036854775807}`)
		strangerPublishes(t, s, "\x00here\x00news", `{"node":"two","crowd":9223372036854775807}`)
		strangerPublishes(t, s, "\x00here\x00news", `{"node":"","in":{"eve":{}}}`)
		strangerPublishes(t, s, "\x00here\x00news", `{"node":"good","in":{"bob":{"x":1}}}`)
		time.Sleep(5 * time.Second)
		nodes[0].isThere(t, 0, "2 ann bob")
		reported := 0
		for len(nodes[0].Errors) > 0 {
			if e := <-nodes[0].Errors; e.Code == tank.CodeBroker {
				reported++
			}
		}
		if reported != 8 {
			t.Errorf("%d errors are reported, want 8", reported)
		}
		time.Sleep(20 * time.Second)
		nodes[0].isThere(t, 0, "1 ann")
		ann.Publish("ping", "pong") // it is connected
	})
}

// TestInstancesTellPresenceOnceASecond: somebody who comes and goes in one instance does not have the others tell all that they know each time.
func TestInstancesTellPresenceOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := presentCluster(t, 2, tank.Presence{})
		for i := range 100 {
			nodes[0].Dial(fmt.Sprint("/?user_id=user", i)).Subscribe("news")
		}
		time.Sleep(10 * time.Second)
		flaps := nodes[1].Dial("/?user_id=flaps")
		synctest.Wait()
		var heard counter
		must(t, stranger(t, w).Subscribe(context.Background(), []broker.Subscription{{Name: "\x00here\x00news", To: &heard}}))
		for range 100 {
			flaps.Send("sub:news")
			time.Sleep(100 * time.Millisecond)
			flaps.Send("unsub:news")
			time.Sleep(100 * time.Millisecond)
		}
		if bytes := heard.bytes.Load(); bytes > 60_000 { // 200 times flaps, and once a second everybody
			t.Errorf("%d bytes were told in %d publications", bytes, heard.messages.Load())
		}
	})
}

// TestPublicationsOfClientsBeginNoTopic: also where messages are kept, see the same of an instance that is alone.
func TestPublicationsOfClientsBeginNoTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 1, keepAll, anyMayPublish)
		c := nodes[0].DialV2("/")
		for i := range 20 {
			c.Publish(fmt.Sprint("topic", i), "x")
		}
		if n := len(nodes[0].GetAllTopics()) + nodes[0].Stats().LingeringTopics; n != 0 {
			t.Errorf("there are %d topics", n)
		}
	})
}

// TestWhoeverWaitsForTheBrokerCanDoOtherThings: a client that resumes while its topic is not in force is not deaf meanwhile.
func TestWhoeverWaitsForTheBrokerCanDoOtherThings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 2, keepAll, anyMayPublish, tank.WithRequestHandler(func(*tank.Client, tank.Request) (any, error) { return "answer", nil }))
		n := nodes[0]
		at, err := nodes[1].Position("news")
		must(t, err)
		n.broker.Cut()
		synctest.Wait()
		p := n.Dial("/", tanktest.Subprotocols("tank.v2"))
		p.Next()
		p.Next()
		p.Send(fmt.Sprintf(`{"id":1,"sub":"news","since":[%q,0]}`, at.Epoch))
		p.Send(`{"id":2,"sub":"other","last":5}`)
		p.Send(`{"id":3,"sub":"gone","last":5}`)
		p.Send(`{"id":4,"msg":"question"}`)
		p.Send(`{"id":5,"pub":"news","data":"x"}`)
		p.Send(`{"id":6,"unsub":"gone"}`)
		began := time.Now()
		var answers []string
		for range 4 {
			text := p.Next().Data
			answers = append(answers, text[:min(len(text), 10)])
		}
		if got := fmt.Sprint(answers); got != `[{"id":4,"o {"id":5,"e {"id":3,"e {"id":6,"o]` || time.Since(began) != 0 {
			t.Errorf("answered %s after %v", got, time.Since(began))
		}
		time.Sleep(5 * time.Minute) // it is not taken for dead
		n.broker.Heal()
		synctest.Wait()
		seen := map[string]bool{}
		for range 30 {
			if got := p.Next().Data; got != "{}" {
				seen[got[:min(len(got), 10)]] = true
			}
			if seen[`{"id":1,"o`] && seen[`{"id":2,"o`] {
				return
			}
		}
		t.Errorf("told %v", seen)
	})
}

// TestManyReplaysAtOnce: topics that come in force at the same moment do not replay more than an outbox holds.
func TestManyReplaysAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const topics, outbox = 120, 100_000
		_, nodes := cluster(t, 2, keepAll, tank.WithLimits(tank.Limits{OutboxBytes: outbox, MessagesPerSecond: 1 << 20, MessageBurst: 1 << 20}))
		n := nodes[0]
		n.broker.FailSubscribe(errors.New("scripted")) // half is in force, and what comes there is kept
		n.broker.FailSubscribe(errors.New("scripted"))
		n.broker.SlowSubscribe(time.Second)
		for i := range topics {
			go func() { _ = n.Publish(context.Background(), fmt.Sprint("topic", i), "begins") }()
		}
		synctest.Wait()
		var frames strings.Builder
		for i := range topics {
			fmt.Fprintf(&frames, `{"id":%d,"sub":"topic%d","last":1000}`+"\n", i+1, i)
		}
		p := n.Dial("/", tanktest.Subprotocols("tank.v2"))
		for _, f := range strings.Fields(frames.String()) {
			p.Send(f)
		}
		synctest.Wait()
		time.Sleep(time.Second + 10*time.Millisecond)
		for i := range topics {
			for range 20 {
				_ = nodes[1].Publish(context.Background(), fmt.Sprint("topic", i), strings.Repeat("x", 500))
			}
		}
		synctest.Wait()
		time.Sleep(5 * time.Second)
		answers := 0
		for answers < topics {
			if got := p.Next().Data; strings.HasPrefix(got, `{"id":`) {
				answers++
			}
		}
	})
}

// TestShutdownWithoutABroker answers whoever waits for a subscription.
func TestShutdownWithoutABroker(t *testing.T) {
	for _, drain := range []time.Duration{0, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var opts []tank.Option
			if drain > 0 {
				opts = append(opts, tank.WithDrain(drain, 1))
			}
			_, n := lonely(t, opts...)
			plain, v2 := n.Dial("/"), n.Dial("/", tanktest.Subprotocols("tank.v2"))
			plain.Send("sub:news")
			v2.Send(`{"id":1,"sub":"news","last":3}`)
			synctest.Wait()
			done := make(chan error, 3)
			for _, c := range n.GetAllClients() {
				go func() { done <- c.Subscribe("other") }()
			}
			go func() {
				for _, err := range n.Manager.Subscribe(context.Background(), "third") {
					done <- err
				}
			}()
			synctest.Wait()
			began := time.Now()
			must(t, n.Shutdown(context.Background()))
			if took := time.Since(began); took > drain+time.Second {
				t.Errorf("Shutdown took %v", took)
			}
			for range 3 {
				err := <-done
				if err == nil && drain == 0 { // it has ended
					t.Log("nil")
				}
				if took := time.Since(began); took > drain+time.Second {
					t.Errorf("%v was returned after %v", err, took)
				}
			}
			events := map[tank.EventType]int{}
			for e := range n.ConnEvents {
				events[e.EventType]++
				if e.EventType == tank.EventDisconnect && len(e.Topics) > 0 {
					t.Errorf("was in %v", e.Topics)
				}
			}
			if events[tank.EventSubscribe] != 0 || events[tank.EventDisconnect] != 2 {
				t.Errorf("events are %v", events)
			}
		})
	}
}

// TestFloodsWhileTheBrokerIsSlow: clients who subscribe and unsubscribe as fast as they can do not pile up anything.
func TestFloodsWhileTheBrokerIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 1, atWill)
		n := nodes[0]
		n.broker.SlowSubscribe(time.Minute)
		plain := n.Dial("/")
		plain.Send("sub:first")
		synctest.Wait()
		for range 20 {
			for i := range 100 {
				plain.Send(fmt.Sprint("sub:topic", i))
			}
			for i := range 100 {
				plain.Send(fmt.Sprint("unsub:topic", i))
			}
		}
		plain.Send("sub:last")
		time.Sleep(2 * time.Minute)
		publishOn(t, n, "last", "comes")
		plain.Expect("last", "comes")
		if topics := len(n.GetAllTopics()); topics != 2 {
			t.Errorf("there are %d topics", topics)
		}
	})
}

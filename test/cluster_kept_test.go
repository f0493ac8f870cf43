package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/broker/brokertest"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// Instances behind a broker that keeps what is published.

var keepMany = tank.WithTopics("*", tank.TopicOptions{History: tank.History{Messages: 100, Age: time.Hour}})

// keepingCluster makes a group of so many instances, whose broker keeps what is published.
func keepingCluster(t *testing.T, n int, opts ...tank.Option) (*brokertest.Network, []*clusterNode) {
	t.Helper()
	w := brokertest.NewKeepingNetwork()
	var nodes []*clusterNode
	for range n {
		nodes = append(nodes, joinCluster(t, w, append([]tank.Option{keepMany}, opts...)...))
	}
	synctest.Wait()
	return w, nodes
}

// expectAll expects texts of a topic in that order.
func expectAll(c *tanktest.ClientV2, topic string, texts ...string) {
	for _, text := range texts {
		c.Expect(topic, text)
	}
}

func TestKeptNumbersAreThoseOfAllInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := keepingCluster(t, 3, anyMayPublish)
		var clients []*tanktest.ClientV2
		for _, n := range nodes {
			c := n.DialV2("/")
			c.Subscribe("news")
			clients = append(clients, c)
		}
		var last tank.Position
		for i := range 9 {
			at, err := nodes[i%3].PublishMessage(context.Background(), tank.Publication{Topic: "news", Data: fmt.Sprint(i)})
			must(t, err)
			if at.Epoch == "" || at.Seq <= last.Seq || last.Epoch != "" && at.Epoch != last.Epoch {
				t.Errorf("published at %+v behind %+v", at, last)
			}
			last = at
			publishOn(t, nodes[(i+1)%3], "other", "beside it")
		}
		for _, c := range clients {
			for i := range 9 {
				c.Expect("news", fmt.Sprint(i))
			}
			if got := c.Position("news"); got != last {
				t.Errorf("stands at %+v, want %+v", got, last)
			}
		}
		ack := clients[1].Publish("news", "of a client")
		for _, c := range clients {
			if got := c.Expect("news", "of a client"); got.Seq != ack.Seq || ack.Seq <= last.Seq {
				t.Errorf("number %d, and the answer said %d", got.Seq, ack.Seq)
			}
		}
		at, err := nodes[2].Position("news")
		if must(t, err); at.Seq != ack.Seq {
			t.Errorf("position is %+v, want %d", at, ack.Seq)
		}
	})
}

// TestKeptIsResumedAnywhere: by a client that comes back to an instance that has never had the topic, or has had it for a while.
func TestKeptIsResumedAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := keepingCluster(t, 2)
		c := nodes[0].DialV2("/")
		c.Subscribe("news")
		publishOn(t, nodes[0], "news", "one")
		publishOn(t, nodes[0], "news", "two")
		expectAll(c, "news", "one", "two")
		since := c.Position("news")
		c.Cut()
		for i := range 5 {
			publishOn(t, nodes[i%2], "news", fmt.Sprint("missed ", i))
		}
		joinCluster(t, w, keepMany) // an instance that begins later
		nodes = append(nodes, joinCluster(t, w, keepMany))
		synctest.Wait()
		for _, n := range nodes {
			back := n.DialV2("/")
			got := back.Subscribe("news", tanktest.Since(since))
			if !got.Recovered || got.Position.Epoch != since.Epoch {
				t.Errorf("answered %+v", got)
			}
			for i := range 5 {
				back.Expect("news", fmt.Sprint("missed ", i))
			}
			publishOn(t, nodes[0], "news", "live")
			back.Expect("news", "live")
			all := n.DialV2("/")
			all.Subscribe("news", tanktest.Last(3))
			for _, text := range []string{"missed 3", "missed 4", "live"} {
				all.Expect("news", text)
			}
			since2 := all.Position("news")
			all.Subscribe("news", tanktest.Since(since2))
			publishOn(t, nodes[1], "news", "missed 0")
			back.Expect("news", "missed 0")
			since = since2
			for i := range 4 {
				publishOn(t, nodes[1], "news", fmt.Sprint("missed ", i+1))
			}
		}
	})
}

// TestMuchIsResumedAnywhere: as much as fits into the outbox, on an instance that has never had the topics.
func TestMuchIsResumedAnywhere(t *testing.T) {
	for name, limits := range map[string]tank.Limits{"default": {}, "any number of subscriptions": {Subscriptions: math.MaxInt}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, nodes := keepingCluster(t, 1)
				c := nodes[0].DialV2("/")
				topics := []string{"one", "two", "three"}
				since := make(map[string]tank.Position)
				for _, topic := range topics {
					since[topic] = c.Subscribe(topic).Position
					for range 50 {
						publishOn(t, nodes[0], topic, strings.Repeat("x", 1000))
					}
				}
				fresh := joinCluster(t, w, keepMany, tank.WithLimits(limits))
				synctest.Wait()
				back := fresh.DialV2("/")
				for _, topic := range topics {
					if got := back.Subscribe(topic, tanktest.Since(since[topic])); !got.Recovered {
						t.Errorf("%s is answered %+v", topic, got)
					}
				}
			})
		})
	}
}

// TestKeptIsWhole: a resume is whole at the first number of what is kept, and not before.
func TestKeptIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := keepingCluster(t, 1, tank.WithTopics("few", tank.TopicOptions{History: tank.History{Messages: 5}}))
		c := nodes[0].DialV2("/")
		start := c.Subscribe("few").Position
		positions := []tank.Position{start}
		for i := range 12 {
			at, err := nodes[0].PublishMessage(context.Background(), tank.Publication{Topic: "few", Data: fmt.Sprint(i)})
			must(t, err)
			positions = append(positions, at)
		}
		fresh := joinCluster(t, w, tank.WithTopics("few", tank.TopicOptions{History: tank.History{Messages: 5}}))
		synctest.Wait()
		for _, n := range []*clusterNode{nodes[0], fresh} {
			for i, since := range positions {
				got := n.DialV2("/").Subscribe("few", tanktest.Since(since))
				if want := i >= 7; got.Recovered != want || !want && got.Why != "evicted" {
					t.Errorf("behind %d: %+v", i, got)
				}
			}
		}
		page, err := fresh.History(context.Background(), "few", tank.Position{}, 0)
		if must(t, err); len(page.Messages) != 5 || page.Messages[0].Data != "7" || page.First != positions[8] || page.Last != positions[12] {
			t.Errorf("page is %+v", page)
		}
		page, err = fresh.History(context.Background(), "few", positions[9], 2)
		if must(t, err); !page.Whole || len(page.Messages) != 2 || page.First != positions[10] || page.Last != positions[11] {
			t.Errorf("page is %+v", page)
		}
	})
}

// TestKeptIsResumedBetweenNumbers: where a topic begins on an instance, it stands at a number that none of its messages has. Those who come
// back from there, or to there, miss nothing, and see that.
func TestKeptIsResumedBetweenNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := keepingCluster(t, 1)
		c := nodes[0].DialV2("/")
		c.Subscribe("news")
		publishOn(t, nodes[0], "news", "one")
		c.Expect("news", "one")
		since := []tank.Position{c.Position("news")}
		publishOn(t, nodes[0], "other", "beside it")
		fresh := joinCluster(t, w, keepMany)
		synctest.Wait()
		since = append(since, fresh.DialV2("/").Subscribe("news").Position)
		if since[1].Seq <= since[0].Seq {
			t.Fatalf("the topic stands at %v and %v", since[0], since[1])
		}
		for _, data := range []string{"two", "three"} {
			for _, at := range since {
				for i, n := range []*clusterNode{nodes[0], fresh} {
					back := n.DialV2("/")
					got := back.Subscribe("news", tanktest.Since(at))
					if !got.Recovered || got.From != at.Seq {
						t.Errorf("instance %d, behind %v: %+v", i, at, got)
					}
					if data == "three" {
						back.Expect("news", "two")
					}
					defer back.Expect("news", "three")
					if data == "two" {
						defer back.Expect("news", "two")
					}
				}
			}
			publishOn(t, nodes[0], "news", data)
		}
	})
}

// TestKeptIsWholeForOthers: that something is missing for one who comes back does not mean that it is for another one.
func TestKeptIsWholeForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := keepingCluster(t, 1)
		c := nodes[0].DialV2("/")
		since := []tank.Position{c.Subscribe("news").Position}
		for i := range 5 {
			publishOn(t, nodes[0], "news", fmt.Sprint(i))
			c.Expect("news", fmt.Sprint(i))
			since = append(since, c.Position("news"))
		}
		w.Forget("news", 3)
		fresh := joinCluster(t, w, keepMany)
		synctest.Wait()
		for i, at := range since {
			back := fresh.DialV2("/")
			if got := back.Subscribe("news", tanktest.Since(at)); got.Recovered != (i >= 2) {
				t.Errorf("behind %d: %+v", i, got)
			}
			for missed := i; i >= 2 && missed < 5; missed++ {
				back.Expect("news", fmt.Sprint(missed))
			}
		}
	})
}

// TestKeptIsWholeWhereMoreIsOnItsWay: what an instance does not have yet is not over its limit.
func TestKeptIsWholeWhereMoreIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		few := tank.WithTopics("few", tank.TopicOptions{History: tank.History{Messages: 5}})
		_, nodes := keepingCluster(t, 2, few)
		start := nodes[0].DialV2("/").Subscribe("few").Position
		nodes[0].broker.Lose(1)
		publishOn(t, nodes[1], "few", "lost")
		synctest.Wait()
		nodes[0].broker.Delay(time.Second)
		for range 5 {
			publishOn(t, nodes[1], "few", "late")
		}
		back := nodes[0].DialV2("/")
		if got := back.Subscribe("few", tanktest.Since(start)); !got.Recovered {
			t.Errorf("answered %+v", got)
		}
		expectAll(back, "few", "lost", "late", "late", "late", "late", "late")
	})
}

// TestKeptIsWholeBehindOthers: an instance has as many messages as are to be kept, and none was published before those but to other topics.
func TestKeptIsWholeBehindOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		few := tank.WithTopics("few", tank.TopicOptions{History: tank.History{Messages: 5}})
		w, nodes := keepingCluster(t, 1, few)
		start := nodes[0].DialV2("/").Subscribe("few").Position
		publishOn(t, nodes[0], "other", "beside it")
		fresh := joinCluster(t, w, few)
		synctest.Wait()
		fresh.DialV2("/").Subscribe("few")
		for i := range 6 {
			if got := fresh.DialV2("/").Subscribe("few", tanktest.Since(start)); got.Recovered != (i <= 5) {
				t.Errorf("behind %d messages: %+v", i, got)
			}
			publishOn(t, nodes[0], "few", "message")
			synctest.Wait()
		}
		if got := fresh.DialV2("/").Subscribe("few", tanktest.Since(start)); got.Recovered {
			t.Errorf("behind 6 messages: %+v", got)
		}
		late := joinCluster(t, w, few)
		synctest.Wait()
		late.DialV2("/").Subscribe("few")
		publishOn(t, nodes[0], "other", "beside it")
		end := joinCluster(t, w, few)
		synctest.Wait()
		end.DialV2("/").Subscribe("few")
		for range 5 {
			publishOn(t, nodes[0], "few", "message")
		}
		for _, n := range []*clusterNode{late, end} {
			at := n.DialV2("/").Subscribe("few").Position
			at.Seq -= 35 // 5 messages
			if got := n.DialV2("/").Subscribe("few", tanktest.Since(at)); !got.Recovered {
				t.Errorf("behind %d: %+v", at.Seq, got)
			}
			at.Seq -= 7
			if got := n.DialV2("/").Subscribe("few", tanktest.Since(at)); !got.Recovered {
				t.Errorf("behind %d, which is of another topic: %+v", at.Seq, got)
			}
			at.Seq--
			if got := n.DialV2("/").Subscribe("few", tanktest.Since(at)); got.Recovered {
				t.Errorf("behind %d: %+v", at.Seq, got)
			}
		}
	})
}

// TestKeptIsWholeBehindWhatIsTooOld: one who has the last message comes back when that is not kept any more, behind one who lacks it.
func TestKeptIsWholeBehindWhatIsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		short := tank.WithTopics("short", tank.TopicOptions{History: tank.History{Age: time.Minute}})
		w, nodes := keepingCluster(t, 1, short)
		c := nodes[0].DialV2("/")
		start := c.Subscribe("short").Position
		publishOn(t, nodes[0], "short", "old")
		c.Expect("short", "old")
		publishOn(t, nodes[0], "other", "beside it")
		time.Sleep(2 * time.Minute)
		fresh := joinCluster(t, w, short)
		synctest.Wait()
		if got := fresh.DialV2("/").Subscribe("short", tanktest.Since(start)); got.Recovered {
			t.Errorf("answered %+v", got)
		}
		if got := fresh.DialV2("/").Subscribe("short", tanktest.Since(c.Position("short"))); !got.Recovered {
			t.Errorf("answered %+v", got)
		}
	})
}

// TestKeptPositionsOfOthers: instances stand at different numbers where nothing of a topic is kept, and a client that comes from one to the
// other misses nothing. A number that nothing has been given is ahead.
func TestKeptPositionsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := keepingCluster(t, 1)
		positions := []tank.Position{nodes[0].DialV2("/").Subscribe("orders").Position}
		for range 2 {
			publishOn(t, nodes[0], "other", "beside it")
			nodes = append(nodes, joinCluster(t, w, keepMany))
			synctest.Wait()
			at, err := nodes[len(nodes)-1].Position("orders")
			must(t, err)
			positions = append(positions, at)
		}
		var clients []*tanktest.ClientV2
		for _, n := range nodes {
			for _, at := range positions {
				c := n.DialV2("/")
				if got := c.Subscribe("orders", tanktest.Since(at)); !got.Recovered || got.From != at.Seq {
					t.Errorf("behind %d: %+v", at.Seq, got)
				}
				clients = append(clients, c)
				if page, err := n.History(context.Background(), "orders", at, 0); err != nil || !page.Whole || len(page.Messages) > 0 {
					t.Errorf("behind %d: %+v, %v", at.Seq, page, err)
				}
			}
			bogus := positions[2]
			bogus.Seq += 1000
			if got := n.DialV2("/").Subscribe("orders", tanktest.Since(bogus)); got.Recovered || got.Why != "ahead" {
				t.Errorf("ahead: %+v", got)
			}
		}
		for _, data := range []string{"one", "two"} {
			publishOn(t, nodes[1], "orders", data)
			for _, c := range clients {
				c.Expect("orders", data)
			}
		}
	})
}

// TestKeptPositionsThatAreStillToCome: a client that comes to an instance that has not got yet what the client has waits for that.
func TestKeptPositionsThatAreStillToCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := keepingCluster(t, 2)
		nodes[1].DialV2("/").Subscribe("news")
		c := nodes[0].DialV2("/")
		c.Subscribe("news")
		nodes[1].broker.Delay(time.Second)
		publishOn(t, nodes[0], "news", "one")
		publishOn(t, nodes[0], "news", "two")
		expectAll(c, "news", "one", "two")
		back := nodes[1].DialV2("/")
		if got := back.Subscribe("news", tanktest.Since(c.Position("news"))); !got.Recovered || got.Position != c.Position("news") {
			t.Errorf("answered %+v", got)
		}
		publishOn(t, nodes[0], "news", "three")
		back.Expect("news", "three")
	})
}

// TestKeptPositionsBehindWhatIsStillToCome: what comes late to an instance, and is not kept any more, is not for clients that stand behind it
// because they come from another instance. The others get it.
func TestKeptPositionsBehindWhatIsStillToCome(t *testing.T) {
	run := func(name string, happen func(w *brokertest.Network, n *clusterNode, c *tanktest.ClientV2), come func(stays *tanktest.ClientV2)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, nodes := keepingCluster(t, 2)
				stays := nodes[1].DialV2("/")
				stays.Subscribe("news")
				c := nodes[0].DialV2("/")
				c.Subscribe("news")
				nodes[1].broker.Delay(time.Second)
				happen(w, nodes[0], c)
				publishOn(t, nodes[0], "other", "beside it")
				fresh := joinCluster(t, w, keepMany)
				synctest.Wait()
				higher, err := fresh.Position("news")
				must(t, err)
				if at := c.Position("news"); higher.Seq <= at.Seq {
					t.Fatalf("the topic stands at %v and %v", at, higher)
				}
				var back []*tanktest.ClientV2
				for _, at := range []tank.Position{c.Position("news"), higher} {
					b := nodes[1].DialV2("/")
					for range 2 {
						if got := b.Subscribe("news", tanktest.Since(at)); !got.Recovered || got.Position != at {
							t.Errorf("behind %v: %+v", at, got)
						}
					}
					back = append(back, b)
				}
				asked := nodes[1].DialV2("/")
				asked.Subscribe("news", tanktest.Since(higher))
				asked.Subscribe("news", tanktest.Last(1))
				publishOn(t, nodes[0], "news", "after")
				for _, b := range back {
					b.Expect("news", "after")
				}
				for _, s := range []*tanktest.ClientV2{stays, asked} {
					come(s)
					s.Expect("news", "after")
				}
				must(t, nodes[0].Reset("news"))
				for _, b := range append(back, stays) {
					b.ExpectReset("news")
					b.ExpectNothing()
				}
			})
		})
	}
	run("a reset", func(_ *brokertest.Network, n *clusterNode, c *tanktest.ClientV2) {
		must(t, n.Reset("news"))
		c.ExpectReset("news")
	}, func(s *tanktest.ClientV2) { s.ExpectReset("news") })
	run("messages", func(w *brokertest.Network, n *clusterNode, c *tanktest.ClientV2) {
		publishOn(t, n, "news", "one")
		publishOn(t, n, "news", "two")
		expectAll(c, "news", "one", "two")
		w.Forget("news", 0)
	}, func(s *tanktest.ClientV2) { expectAll(s, "news", "one", "two") })
}

// TestKeptPositionsOfOthersEndWithTheEpoch: in the next one, numbers that are lower than that of the client are news to it.
func TestKeptPositionsOfOthersEndWithTheEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := keepingCluster(t, 2)
		nodes[1].DialV2("/").Subscribe("news")
		for range 2 {
			publishOn(t, nodes[0], "other", "beside it")
		}
		at, err := nodes[0].Position("news")
		must(t, err)
		c := nodes[1].DialV2("/")
		if got := c.Subscribe("news", tanktest.Since(at)); at.Seq == 0 || !got.Recovered {
			t.Errorf("behind %v: %+v", at, got)
		}
		w.Restart()
		synctest.Wait()
		publishOn(t, nodes[0], "news", "anew")
		c.ExpectReset("news")
		if m := c.ExpectTopic("news", "anew"); m.Seq >= at.Seq {
			t.Errorf("number %d in the epoch behind %v proves nothing", m.Seq, at)
		}
	})
}

// TestKeptIsWholeUpToTheLimit: what is loaded together with what has come meanwhile is one message more than is to be kept.
func TestKeptIsWholeUpToTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		few := tank.WithTopics("few", tank.TopicOptions{History: tank.History{Messages: 5}})
		w, nodes := keepingCluster(t, 1, few)
		start := nodes[0].DialV2("/").Subscribe("few").Position
		for range 4 {
			publishOn(t, nodes[0], "few", "before")
		}
		fresh := joinCluster(t, w, few)
		synctest.Wait()
		fresh.DialV2("/").Subscribe("few")
		for range 2 {
			publishOn(t, nodes[0], "few", "live")
		}
		synctest.Wait()
		if got := fresh.DialV2("/").Subscribe("few", tanktest.Since(start)); got.Recovered {
			t.Errorf("answered %+v", got)
		}
	})
}

// TestKeptHistoryOfATopicThatIsNotHere is read on an instance where the topic has not begun.
func TestKeptHistoryOfATopicThatIsNotHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := keepingCluster(t, 2)
		for i := range 3 {
			publishOn(t, nodes[0], "news", fmt.Sprint(i))
		}
		page, err := nodes[1].History(context.Background(), "news", tank.Position{}, 0)
		if must(t, err); len(page.Messages) != 3 || page.Messages[2].Data != "2" {
			t.Errorf("page is %+v", page)
		}
		nodes[1].broker.Cut()
		synctest.Wait()
		if page, err := nodes[1].History(context.Background(), "news", tank.Position{}, 0); err != nil || len(page.Messages) != 3 {
			t.Errorf("page is %+v, %v: what the instance has, it gives without a broker", page, err)
		}
		if _, err := nodes[1].History(context.Background(), "other", tank.Position{}, 0); !errors.Is(err, tank.ErrBroker) {
			t.Errorf("History returned %v without a broker", err)
		}
		w.Heal()
	})
}

// TestKeptGapsAreFilled: what is published while an instance is cut off comes afterwards, in order, and nobody is told of a gap.
func TestKeptGapsAreFilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := keepingCluster(t, 2)
		plain, v2 := nodes[0].subscribe("news")
		publishOn(t, nodes[1], "news", "one")
		v2.Expect("news", "one")
		nodes[0].broker.Cut()
		synctest.Wait()
		v2.ExpectInterrupted(true)
		publishOn(t, nodes[1], "news", "two")
		publishOn(t, nodes[1], "news", "three")
		nodes[0].broker.Heal()
		synctest.Wait()
		publishOn(t, nodes[0], "news", "four")
		for _, text := range []string{"one", "two", "three", "four"} {
			plain.Expect("news", text)
		}
		var texts []string
		for range 4 {
			if m := v2.Next(); m.Notice != "interrupted" { // which may come in front of what is filled, or behind
				texts = append(texts, m.Data)
			}
		}
		if !slices.Equal(texts, []string{"two", "three", "four"}) {
			t.Errorf("got %q", texts)
		}
		if got := nodes[0].Stats().Broker; got.Gaps > 1 { // one may be that of broadcasts, which are not kept
			t.Errorf("stats are %+v", got)
		}
	})
}

// TestKeptGapsAreTold: where the broker has not kept what is missing. A client that stands before is told no, one that stands behind yes.
func TestKeptGapsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := keepingCluster(t, 2)
		c := nodes[0].DialV2("/")
		c.Subscribe("news")
		publishOn(t, nodes[1], "news", "one")
		c.Expect("news", "one")
		before := c.Position("news")
		nodes[0].broker.Cut()
		synctest.Wait()
		for range 5 {
			publishOn(t, nodes[1], "news", "never seen")
		}
		w.Forget("news", 0)
		nodes[0].broker.Heal()
		synctest.Wait()
		notices := make(map[string]int)
		for range 3 { // in any order
			notices[c.Next().Notice]++
		}
		if notices["interrupted"] != 2 || notices["gap"] != 1 {
			t.Errorf("told %v", notices)
		}
		if got := c.Subscribe("news", tanktest.Since(before)); got.Recovered || got.Why == "" {
			t.Errorf("answered %+v", got)
		}
		behind := c.Position("news")
		publishOn(t, nodes[1], "news", "two")
		c.Expect("news", "two")
		for _, n := range nodes {
			late := n.DialV2("/")
			if got := late.Subscribe("news", tanktest.Since(behind)); n == nodes[0] && !got.Recovered {
				t.Errorf("answered %+v", got)
			}
		}
		if got := nodes[0].Stats().Broker; got.Gaps == 0 {
			t.Errorf("stats are %+v", got)
		}
	})
}

// TestKeptIsLostWithTheBroker: its memory. All clients are told of a new numbering, and get what is published in it.
func TestKeptIsLostWithTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := keepingCluster(t, 2)
		_, c := nodes[0].subscribe("news")
		publishOn(t, nodes[1], "news", "one")
		c.Expect("news", "one")
		old := c.Position("news")
		w.Restart()
		synctest.Wait()
		publishOn(t, nodes[1], "news", "two")
		notices := make(map[string]int)
		for range 3 { // in any order
			notices[c.Next().Notice]++
		}
		if notices["interrupted"] != 2 || notices["reset"] != 1 {
			t.Errorf("told %v", notices)
		}
		c.Expect("news", "two")
		if at := c.Position("news"); at.Epoch == old.Epoch {
			t.Errorf("stands at %+v after %+v", at, old)
		}
		if got := nodes[1].DialV2("/").Subscribe("news", tanktest.Since(old)); got.Recovered || got.Why != "epoch" {
			t.Errorf("answered %+v", got)
		}
	})
}

// TestKeptIsReset on all instances, in a place among what is published.
func TestKeptIsReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := keepingCluster(t, 2)
		var clients []*tanktest.ClientV2
		for _, n := range nodes {
			_, c := n.subscribe("news")
			clients = append(clients, c)
		}
		publishOn(t, nodes[0], "news", "private")
		for _, c := range clients {
			c.Expect("news", "private")
		}
		before := clients[0].Position("news")
		must(t, nodes[1].Reset("news"))
		publishOn(t, nodes[0], "news", "after")
		for _, c := range clients {
			if at := c.ExpectReset("news"); at.Seq <= before.Seq {
				t.Errorf("reset to %+v behind %+v", at, before)
			}
			c.Expect("news", "after")
		}
		fresh := joinCluster(t, w, keepMany)
		synctest.Wait()
		for _, n := range append(nodes, fresh) {
			c := n.DialV2("/")
			if got := c.Subscribe("news", tanktest.Since(before), tanktest.Last(10)); got.Recovered {
				t.Errorf("answered %+v", got)
			}
			c.Expect("news", "after")
			c.ExpectNothing()
		}
	})
}

// TestResetsOfOthersWithoutAHistory do not touch the numbers, which are the broker's.
func TestResetsOfOthersWithoutAHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := keepingCluster(t, 1)
		other := joinCluster(t, w)
		c := nodes[0].DialV2("/")
		epoch := c.Subscribe("news").Position.Epoch
		must(t, other.Reset("news"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		at, err := nodes[0].PublishMessage(ctx, tank.Publication{Topic: "news", Data: "one"})
		must(t, err)
		c.Expect("news", "one")
		if now, err := nodes[0].Position("news"); err != nil || now != at || now.Epoch != epoch || ctx.Err() != nil {
			t.Errorf("it stands at %+v, %v, and what is published at %+v in epoch %s (%v)", now, err, at, epoch, ctx.Err())
		}
	})
}

// TestKeptKeys: a repetition on another instance is a duplicate, with the number of the first.
func TestKeptKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := keepingCluster(t, 2)
		_, c := nodes[0].subscribe("news")
		var first tank.Position
		for i, n := range []int{0, 1, 0} {
			at, err := nodes[n].PublishMessage(context.Background(), tank.Publication{Topic: "news", Data: "once", Key: "k"})
			must(t, err)
			if i == 0 {
				first = at
			} else if at != first {
				t.Errorf("at %+v, want %+v", at, first)
			}
		}
		publishOn(t, nodes[0], "news", "next")
		expectAll(c, "news", "once", "next")
		must(t, nodes[1].Reset("news")) // which forgets no keys
		at, err := nodes[0].PublishMessage(context.Background(), tank.Publication{Topic: "news", Data: "once", Key: "k"})
		must(t, err)
		if at != first {
			t.Errorf("after a Reset at %+v, want %+v", at, first)
		}
	})
}

// TestKeptIsLoadedOnce for all who ask for it at the same time, and what was published meanwhile comes behind it.
func TestKeptIsLoadedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := keepingCluster(t, 1)
		c := nodes[0].DialV2("/")
		since := []tank.Position{c.Subscribe("news").Position}
		for i := range 20 {
			at, err := nodes[0].PublishMessage(context.Background(), tank.Publication{Topic: "news", Data: fmt.Sprint(i)})
			must(t, err)
			since = append(since, at)
		}
		fresh := joinCluster(t, w, keepMany)
		synctest.Wait()
		fresh.broker.HoldAfter()
		var clients []*tanktest.ClientV2
		done := make(chan struct{})
		for i := range since {
			c := fresh.DialV2("/")
			clients = append(clients, c)
			go func() {
				if got := c.Subscribe("news", tanktest.Since(since[i])); !got.Recovered {
					t.Errorf("behind %d: %+v", i, got)
				}
				done <- struct{}{}
			}()
		}
		synctest.Wait()
		publishOn(t, nodes[0], "news", "live")
		synctest.Wait()
		fresh.broker.ReleaseAfter()
		for range clients {
			<-done
		}
		for i, c := range clients {
			for missed := i; missed < 20; missed++ {
				c.Expect("news", fmt.Sprint(missed))
			}
			c.Expect("news", "live")
			c.ExpectNothing()
		}
	})
}

// TestKeptIsLoadedLater when the broker does not answer. The client's other commands do not wait for it; one who reads is told.
func TestKeptIsLoadedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := keepingCluster(t, 1)
		c := nodes[0].DialV2("/")
		since := c.Subscribe("news").Position
		publishOn(t, nodes[0], "news", "one")
		c.Expect("news", "one")
		fresh := joinCluster(t, w, keepMany, anyMayPublish)
		synctest.Wait()
		for range 3 {
			fresh.broker.FailAfter(errors.New("scripted"))
		}
		if _, err := fresh.History(context.Background(), "news", tank.Position{}, 0); !errors.Is(err, tank.ErrBroker) || !strings.Contains(err.Error(), "scripted") {
			t.Errorf("History returned %v", err)
		}
		back := fresh.DialV2("/")
		if got := back.Subscribe("news", tanktest.Since(since)); !got.Recovered {
			t.Errorf("answered %+v", got)
		}
		back.Expect("news", "one")
	})
}

// TestKeptIsLoadedUpToTheLimitInBytes: an instance that loads messages keeps as many as one that they have come to, less a block.
func TestKeptIsLoadedUpToTheLimitInBytes(t *testing.T) {
	for _, key := range []string{"", "a key of some length "} {
		synctest.Test(t, func(t *testing.T) {
			keeps := tank.WithTopics("news", tank.TopicOptions{History: tank.History{Bytes: 64 << 10}})
			w := brokertest.NewKeepingNetwork()
			one := joinCluster(t, w, keeps)
			for i := range 3000 {
				p := tank.Publication{Topic: "news", Data: "text"}
				if key != "" {
					p.Key = fmt.Sprint(key, i)
				}
				_, err := one.PublishMessage(context.Background(), p)
				must(t, err)
			}
			came, err := one.History(context.Background(), "news", tank.Position{}, 0)
			must(t, err)
			two := joinCluster(t, w, keeps)
			synctest.Wait()
			loaded, err := two.History(context.Background(), "news", tank.Position{}, 0)
			must(t, err)
			if n, want := len(loaded.Messages), len(came.Messages); n < want*7/8 || n > want*9/8 {
				t.Errorf("with the key %q, %d messages are loaded where %d are kept", key, n, want)
			}
		})
	}
}

// TestKeptIsAsOldAsElsewhere: what an instance gets late, it keeps no longer than others.
func TestKeptIsAsOldAsElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keeps := tank.WithTopics("news", tank.TopicOptions{History: tank.History{Messages: 100, Age: 10 * time.Minute}})
		w := brokertest.NewKeepingNetwork()
		nodes := []*clusterNode{joinCluster(t, w, keeps), joinCluster(t, w, keeps)}
		late := nodes[0].DialV2("/")
		late.Subscribe("news")
		nodes[1].DialV2("/").Subscribe("news")
		nodes[0].broker.Cut()
		synctest.Wait()
		publishOn(t, nodes[1], "news", "old")
		time.Sleep(20 * time.Minute)
		publishOn(t, nodes[1], "news", "middle")
		time.Sleep(8 * time.Minute)
		publishOn(t, nodes[1], "news", "new")
		nodes[0].broker.Heal()
		for _, text := range []string{"old", "middle", "new"} {
			late.ExpectTopic("news", text)
		}
		for _, want := range []string{"middle new", "new", ""} {
			for i, n := range nodes {
				page, err := n.History(context.Background(), "news", tank.Position{}, 0)
				must(t, err)
				var got []string
				for _, p := range page.Messages {
					got = append(got, p.Data)
				}
				if strings.Join(got, " ") != want {
					t.Errorf("instance %d keeps %q, want %q", i+1, got, want)
				}
			}
			time.Sleep(7 * time.Minute)
		}
	})
}

// TestQuestionsDoNotPileUp: of a client that does not wait for what cannot be loaded, one question is kept.
func TestQuestionsDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := keepingCluster(t, 1)
		since := nodes[0].DialV2("/").Subscribe("news").Position
		publishOn(t, nodes[0], "news", "one")
		fresh := joinCluster(t, w, keepMany)
		synctest.Wait()
		c := fresh.Dial("/", tanktest.Subprotocols("tank.v2"))
		c.Send(`{"id":1,"sub":"news"}`)
		synctest.Wait()
		next := func() string {
			for range 5 {
				if m := c.Next(); m.Data != "{}" { // a heartbeat
					return m.Data
				}
			}
			t.Fatal("nothing is answered")
			return ""
		}
		next() // hello
		next() // the answer
		fresh.broker.HoldAfter()
		for id := 2; id < 10; id++ {
			c.Send(fmt.Sprintf(`{"id":%d,"sub":"news","since":[%q,%d]}`, id, since.Epoch, since.Seq))
		}
		for id := 3; id < 10; id++ {
			if m := next(); !strings.Contains(m, fmt.Sprintf(`{"id":%d,"error":{"code":"busy"`, id)) {
				t.Errorf("answered %s, want busy of %d", m, id)
			}
		}
		fresh.broker.ReleaseAfter()
		if m := next(); !strings.Contains(m, `{"id":2,"ok":`) || !strings.Contains(m, `"recovered":true`) {
			t.Errorf("answered %s", m)
		}
	})
}

// TestClientsLeaveWhileSomethingIsLoaded for them, or the instance ends.
func TestClientsLeaveWhileSomethingIsLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := keepingCluster(t, 1)
		c := nodes[0].DialV2("/")
		since := c.Subscribe("news").Position
		publishOn(t, nodes[0], "news", "one")
		fresh := joinCluster(t, w, keepMany)
		synctest.Wait()
		fresh.broker.HoldAfter()
		for range 2 {
			waits := fresh.Dial("/", tanktest.Subprotocols("tank.v2"))
			waits.Send(fmt.Sprintf(`{"id":1,"sub":"news","since":[%q,%d]}`, since.Epoch, since.Seq))
			synctest.Wait()
			waits.Cut()
			synctest.Wait()
		}
		if n := fresh.GetClientCount(); n != 0 {
			t.Errorf("%d clients are left", n)
		}
		fresh.Dial("/", tanktest.Subprotocols("tank.v2")).Send(fmt.Sprintf(`{"id":1,"sub":"news","since":[%q,%d]}`, since.Epoch, since.Seq))
		synctest.Wait()
		must(t, fresh.Shutdown(context.Background()))
	})
}

// TestTooLongHistoriesAreRefused when the instance is made, and not when a client comes back.
func TestTooLongHistoriesAreRefused(t *testing.T) {
	w := brokertest.NewKeepingNetwork()
	w.Keep(100)
	defer func() {
		if text := fmt.Sprint(recover()); !strings.Contains(text, `tank: NewInstance: the broker does not keep what topics "chat.*" are to keep`) {
			t.Errorf("it panicked with %q", text)
		}
	}()
	tank.NewInstance(tank.WithBroker(w.Node()), tank.WithTopics("chat.*", tank.TopicOptions{History: tank.History{Messages: 101}}))
}

// TestKeptNumbersOfLosses: a client that is told of a loss is told up to the right number, and one that came back gets the rest.
func TestKeptNumbersOfLosses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := keepingCluster(t, 1, tank.WithOutboxPolicy(tank.OutboxDropOldest), tank.WithLimits(tank.Limits{OutboxBytes: 64 << 10}))
		c := nodes[0].DialV2("/")
		c.Subscribe("news")
		var at []tank.Position
		c.Freeze()
		for i := range 80 {
			p, err := nodes[0].PublishMessage(context.Background(), tank.Publication{Topic: "news", Data: fmt.Sprint(i, strings.Repeat("x", 4<<10))})
			must(t, err)
			at = append(at, p)
		}
		c.Thaw()
		i := 0
		for i < len(at) {
			m := c.Next()
			if m.Notice == "lost" {
				var lost struct {
					Lost int
					Seq  uint64
				}
				must(t, json.Unmarshal([]byte(m.Data), &lost))
				i += lost.Lost
				if lost.Seq != at[i-1].Seq {
					t.Fatalf("%d are lost up to %d, want %d", lost.Lost, lost.Seq, at[i-1].Seq)
				}
				continue
			}
			if m.Seq != at[i].Seq {
				t.Fatalf("got %d, want %d", m.Seq, at[i].Seq)
			}
			i++
		}
	})
}

// TestSendTopicWhileSomethingIsLoaded comes behind what is loaded, like all else behind the subscription.
func TestSendTopicWhileSomethingIsLoaded(t *testing.T) {
	for name, test := range map[string]struct {
		goOn func(*brokertest.Node, *tanktest.Client)
		err  error
	}{
		"it is":              {func(n *brokertest.Node, _ *tanktest.Client) { n.ReleaseAfter() }, nil},
		"it cannot be":       {func(n *brokertest.Node, _ *tanktest.Client) { time.Sleep(time.Minute); n.ReleaseAfter() }, tank.ErrBusy},
		"the client leaves":  {func(_ *brokertest.Node, c *tanktest.Client) { c.Send(`{"unsub":"news"}`) }, tank.ErrNotFound},
		"the client is lost": {func(_ *brokertest.Node, c *tanktest.Client) { c.Cut() }, tank.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, nodes := keepingCluster(t, 1)
				since := nodes[0].DialV2("/").Subscribe("news").Position
				publishOn(t, nodes[0], "news", "one")
				fresh := joinCluster(t, w, keepMany, tank.WithLimits(tank.Limits{PublishTimeout: time.Hour}))
				synctest.Wait()
				fresh.broker.HoldAfter()
				defer fresh.broker.ReleaseAfter()
				c := fresh.Dial("/", tanktest.Subprotocols("tank.v2"))
				c.Send(fmt.Sprintf(`{"id":1,"sub":"news","since":[%q,%d]}`, since.Epoch, since.Seq))
				synctest.Wait()
				sent := make(chan error, 1)
				go func() { sent <- fresh.GetAllClients()[0].SendTopic("news", "snapshot") }()
				synctest.Wait()
				test.goOn(fresh.broker, c)
				if err := <-sent; !errors.Is(err, test.err) {
					t.Fatalf("SendTopic returned %v, want %v", err, test.err)
				}
				if test.err != nil {
					return
				}
				c.Next() // hello
				for _, want := range []string{`{"id":1,"ok":`, `"one"`, `["news",0,"snapshot"]`} {
					if got := c.Next().Data; !strings.Contains(got, want) {
						t.Errorf("got %s, want %s", got, want)
					}
				}
			})
		})
	}
}

package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/broker/brokertest"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// More than one instance, and a broker between them.

// clusterNode is an instance of a group.
type clusterNode struct {
	*tank.Manager
	*tanktest.Server
	broker *brokertest.Node
}

// cluster makes a group of so many instances.
func cluster(t *testing.T, n int, opts ...tank.Option) (*brokertest.Network, []*clusterNode) {
	t.Helper()
	w := brokertest.NewNetwork()
	var nodes []*clusterNode
	for range n {
		nodes = append(nodes, joinCluster(t, w, opts...))
	}
	synctest.Wait()
	return w, nodes
}

func joinCluster(t *testing.T, w *brokertest.Network, opts ...tank.Option) *clusterNode {
	t.Helper()
	b := w.Node()
	m := tank.NewInstance(append(opts, tank.WithBroker(b))...)
	s := tanktest.Serve(t, m)
	s.Patience = time.Minute
	return &clusterNode{m, s, b}
}

// subscribe connects a client of each protocol to a node, which are subscribed.
func (n *clusterNode) subscribe(topics ...string) (*tanktest.Client, *tanktest.ClientV2) {
	plain, v2 := n.Dial("/"), n.DialV2("/")
	plain.Subscribe(topics...)
	for _, topic := range topics {
		v2.Subscribe(topic)
	}
	synctest.Wait()
	return plain, v2
}

func publishOn(t *testing.T, n *clusterNode, topic, data string) {
	t.Helper()
	must(t, n.Publish(context.Background(), topic, data))
}

func TestClusterPublishesToAllInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 3, anyMayPublish)
		var plains []*tanktest.Client
		var v2s []*tanktest.ClientV2
		for _, n := range nodes {
			plain, v2 := n.subscribe("news")
			plains, v2s = append(plains, plain), append(v2s, v2)
		}
		expect := func(value any) {
			t.Helper()
			for i := range nodes {
				plains[i].Expect("news", fmt.Sprint(value))
				v2s[i].Expect("news", value)
			}
		}
		publishOn(t, nodes[0], "news", "text")
		expect("text")
		must(t, nodes[1].PublishJSON(context.Background(), "news", 7))
		for i := range nodes {
			plains[i].Expect("news", "7")
			v2s[i].Expect("news", 7)
		}
		must(t, nodes[2].BroadcastTopicMessage("news", "more"))
		expect("more")
		if got := v2s[0].Publish("news", "of a client"); got.Seq != 0 || got.Duplicate {
			t.Errorf("the answer is %+v, want no number", got)
		}
		expect("of a client")
		at, err := nodes[0].PublishMessage(context.Background(), tank.Publication{Topic: "news", Data: "asked", From: "zoe"})
		if err != nil || at != (tank.Position{}) {
			t.Errorf("published at %v, %v, want nowhere that is known", at, err)
		}
		for i := range nodes {
			plains[i].Expect("news", "asked")
			if got := v2s[i].Expect("news", "asked"); got.From != "zoe" {
				t.Errorf("from %q", got.From)
			}
		}
		must(t, nodes[1].BroadcastMessage([]byte("everybody")))
		for i := range nodes {
			if got := plains[i].Next(); got.Data != "everybody" {
				t.Errorf("got %+v", got)
			}
			v2s[i].ExpectMessage("everybody")
		}
		if got := nodes[0].Stats().Broker; got.Down || got.Published != 2+1 || got.Received < 5 || got.Gaps != 0 {
			t.Errorf("stats are %+v", got)
		}
	})
}

// TestClusterKnowsKeys: a publication that is repeated on another instance reaches nobody twice.
func TestClusterKnowsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 2)
		_, one := nodes[0].subscribe("news")
		_, two := nodes[1].subscribe("news")
		for _, n := range []int{0, 1, 0} {
			_, err := nodes[n].PublishMessage(context.Background(), tank.Publication{Topic: "news", Data: "once", Key: "k"})
			must(t, err)
		}
		publishOn(t, nodes[0], "news", "next")
		for _, c := range []*tanktest.ClientV2{one, two} {
			c.Expect("news", "once")
			c.Expect("news", "next")
		}
	})
}

// TestClusterUsers: what is done to a user is done on all instances, and the number is that of one.
func TestClusterUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 2)
		var anns []*tanktest.Client
		for _, n := range nodes {
			ann := n.Dial("/?user_id=ann")
			ann.Subscribe("news")
			anns = append(anns, ann)
		}
		bob := nodes[1].Dial("/?user_id=bob")
		bob.Subscribe("news")
		if n := nodes[0].SendToUser("ann", tank.Message{Data: []byte{0xff, 0}, Binary: true}); n != 1 {
			t.Errorf("sent to %d", n)
		}
		for _, ann := range anns {
			if got := ann.Next(); !got.Binary || got.Data != "\xff\x00" {
				t.Errorf("got %+v", got)
			}
		}
		if n := nodes[1].UnsubscribeUser("ann", "news"); n != 1 {
			t.Errorf("unsubscribed %d", n)
		}
		synctest.Wait()
		if a, b := nodes[0].GetTopicSubscriberCount("news"), nodes[1].GetTopicSubscriberCount("news"); a != 0 || b != 1 {
			t.Errorf("%d and %d are left", a, b)
		}
		if n := nodes[0].CloseUser("ann"); n != 1 {
			t.Errorf("closed %d", n)
		}
		for _, ann := range anns {
			ann.ExpectClose(1000)
		}
		publishOn(t, nodes[0], "news", "still")
		bob.Expect("news", "still")
		nodes[0].broker.Cut()
		synctest.Wait()
		nodes[0].CloseUser("bob")
		if got := nodes[0].Stats().Broker; got.Published != 1 || got.Refused != 0 { // the others are no publications
			t.Errorf("stats are %+v", got)
		}
	})
}

// TestClusterSubscriptionsWaitUntilInForce: answers, events, Client.Subscribe and publishers do; and what was published before is nothing
// that a subscriber was told to get.
func TestClusterSubscriptionsWaitUntilInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 2)
		n := nodes[0]
		n.broker.SlowSubscribe(3 * time.Second)
		began := time.Now()
		ann := n.DialV2("/?user_id=ann")
		plain := n.Dial("/?user_id=zoe")
		plain.Send("sub:news")
		synctest.Wait()
		published := make(chan error, 1)
		go func() { published <- n.Publish(context.Background(), "news", "first") }()
		ann.Subscribe("news")
		if waited := time.Since(began); waited != 3*time.Second {
			t.Errorf("the answer came after %v", waited)
		}
		must(t, <-published)
		ann.Expect("news", "first")
		plain.Expect("news", "first")
		synctest.Wait()
		var events []string
		for len(n.ConnEvents) > 0 {
			if e := <-n.ConnEvents; e.EventType == tank.EventSubscribe {
				events = append(events, fmt.Sprint(e.UserID, " ", e.Time.Sub(began)))
			}
		}
		slices.Sort(events)
		if got := fmt.Sprint(events); got != "[ann 3s zoe 3s]" {
			t.Errorf("events are %s", got)
		}
		n.broker.SlowSubscribe(2 * time.Second)
		c := n.GetAllClients()[0]
		began = time.Now()
		must(t, c.Subscribe("other"))
		if waited := time.Since(began); waited != 2*time.Second {
			t.Errorf("Client.Subscribe returned after %v", waited)
		}
		n.broker.SlowSubscribe(8 * time.Second)
		mustBe(t, c.Subscribe("slow"), tank.ErrBusy)
		if !c.IsSubscribed("slow") {
			t.Error("the client is not subscribed")
		}
		time.Sleep(4 * time.Second)
		publishOn(t, nodes[1], "slow", "late")
		ann.ExpectReset("other")
		ann.ExpectReset("slow")
		ann.Expect("slow", "late")
	})
}

// TestClusterSubscriptionsThatEndBeforeTheyBegin have no events, and leave nothing at the broker.
func TestClusterSubscriptionsThatEndBeforeTheyBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 1)
		n := nodes[0]
		plain := n.Dial("/?user_id=zoe")
		synctest.Wait()
		n.broker.SlowSubscribe(3 * time.Second)
		for range 50 {
			plain.Send("sub:news")
			plain.Send("unsub:news")
		}
		plain.Send("sub:stays")
		plain.Send("sub:cut")
		time.Sleep(10 * time.Second)
		plain.Cut()
		synctest.Wait()
		var events []string
		for len(n.ConnEvents) > 0 {
			e := <-n.ConnEvents
			slices.Sort(e.Topics)
			events = append(events, fmt.Sprint(e.EventType, e.Topic, e.Topics))
		}
		if got, want := strings.Join(events, " "), "connect[] subscribestays[] subscribecut[] disconnect[cut stays]"; got != want && got != strings.Replace(want, "subscribestays[] subscribecut[]", "subscribecut[] subscribestays[]", 1) {
			t.Errorf("events are %s, want %s", got, want)
		}
	})
}

// TestClusterWithoutConnection: publishers are told at once, clients of tank.v2 as well, and afterwards that something may be missing.
func TestClusterWithoutConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := cluster(t, 2, anyMayPublish, keepAll)
		n := nodes[0]
		plain, v2 := n.subscribe("news")
		publishOn(t, n, "news", "before")
		plain.Expect("news", "before")
		v2.Expect("news", "before")
		w.Cut()
		synctest.Wait()
		v2.ExpectInterrupted(true)
		began := time.Now()
		mustBe(t, n.Publish(context.Background(), "news", "lost"), tank.ErrBroker)
		mustBe(t, n.BroadcastTopicMessage("nobody", "lost"), tank.ErrBroker)
		mustBe(t, n.BroadcastMessage([]byte("lost")), tank.ErrBroker)
		v2.PublishRefused("unavailable", "news", "lost")
		plain.Send(`{"topic":"news","data":"lost"}`)
		plain.ExpectRefusal("busy", "news")
		mustBe(t, n.Ready(), tank.ErrBroker)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("that took %v", waited)
		}
		late := n.Dial("/", tanktest.Subprotocols("tank.v2"))
		late.Next()
		if got := late.Next().Data; got != `{"interrupted":true}` {
			t.Errorf("a client that connects meanwhile is told %s", got)
		}
		late.Send(`{"id":1,"sub":"late"}`)
		time.Sleep(time.Minute) // longer than a heartbeat
		w.Heal()
		synctest.Wait()
		notices := []string{v2.Next().Data, v2.Next().Data}
		slices.Sort(notices) // the two are of two topics
		if got := strings.Join(notices, " "); got != `{"interrupted":false} {"topic":"news","gap":{"seq":3}}` {
			t.Errorf("told %s", got)
		}
		var told []string
		for len(told) < 2 {
			if got := late.Next().Data; got != "{}" { // the heartbeat
				told = append(told, got[:min(len(got), 20)])
			}
		}
		slices.Sort(told)
		if got := strings.Join(told, " "); got != `{"id":1,"ok":{"epoch {"interrupted":false` {
			t.Errorf("the late client is told %s", got)
		}
		must(t, n.Ready())
		publishOn(t, nodes[1], "news", "after")
		plain.Expect("news", "after")
		time.Sleep(time.Second) // losses are gathered before they are reported
		var broken []string
		for len(n.Errors) > 0 {
			if e := <-n.Errors; e.Code == tank.CodeBroker {
				broken = append(broken, e.Message)
			}
		}
		if got := strings.Join(broken, ", "); got != "no connection to the broker, publications may be missing" {
			t.Errorf("errors are: %s", got)
		}
		if got := n.Stats().Broker; got.Down || got.Gaps == 0 || got.Refused != 5 {
			t.Errorf("stats are %+v", got)
		}
	})
}

// TestClusterResumesAcrossGaps: what may be missing is never said to be recovered.
func TestClusterResumesAcrossGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 2, keepAll)
		n := nodes[0]
		before, err := n.Position("news")
		must(t, err)
		publishOn(t, n, "news", "one")
		n.broker.Cut()
		synctest.Wait()
		publishOn(t, nodes[1], "news", "nobody here hears it")
		n.broker.Heal()
		synctest.Wait()
		after, err := n.Position("news")
		must(t, err)
		publishOn(t, n, "news", "two")
		c := n.DialV2("/")
		if got := c.Subscribe("news", tanktest.Since(before)); got.Recovered || got.Why != "unknown" {
			t.Errorf("from before the gap: %+v", got)
		}
		c.Unsubscribe("news")
		if got := c.Subscribe("news", tanktest.Since(after)); !got.Recovered {
			t.Errorf("from behind the gap: %+v", got)
		}
		c.Expect("news", "two")
		page, err := n.History(context.Background(), "news", before, 10)
		if err != nil || page.Whole {
			t.Errorf("History from before the gap: %+v, %v", page, err)
		}
		if n.Stats().Resumes != (tank.Resumes{Recovered: 1, Unknown: 1}) {
			t.Errorf("resumes are %+v", n.Stats().Resumes)
		}
	})
}

// TestABrokerThatBlocksForEver stops publishers within their contexts, and new subscriptions; and nothing else.
func TestABrokerThatBlocksForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 2)
		n := nodes[0]
		plain, v2 := n.subscribe("news")
		n.broker.HoldPublish()
		n.broker.SlowSubscribe(time.Hour)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := n.Publish(ctx, "news", "held"); !errors.Is(err, tank.ErrBusy) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Publish returns %v", err)
		}
		mustBe(t, n.BroadcastTopicMessage("news", "held"), tank.ErrBusy)
		began := time.Now()
		if n.CloseUser("nobody"); time.Since(began) != tank.DefaultPublishTimeout {
			t.Errorf("CloseUser took %v", time.Since(began))
		}
		waits := n.Dial("/")
		waits.Send("sub:waits")
		synctest.Wait()
		publishOn(t, nodes[1], "news", "comes")
		plain.Expect("news", "comes")
		v2.Expect("news", "comes")
		v2.Unsubscribe("news")
		plain.Unsubscribe("news")
		if n.GetClientCount() != 3 || n.GetTopicSubscriberCount("waits") != 1 || len(n.GetAllClients()[0].Topics()) != 0 {
			t.Error("the instance does not answer")
		}
		n.broker.ReleasePublish()
		began = time.Now()
		ctx, cancel = context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		must(t, n.Shutdown(ctx))
		if took := time.Since(began); took > time.Second {
			t.Errorf("Shutdown took %v", took)
		}
	})
}

// TestClusterLoops: a loop over Manager.Subscribe begins when its topic is in force, and ends with its context.
func TestClusterLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 2)
		nodes[0].broker.SlowSubscribe(time.Hour)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		for _, err := range nodes[0].Manager.Subscribe(ctx, "news") {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}
		go func() {
			time.Sleep(time.Second)
			_ = nodes[0].Publish(context.Background(), "news", "hello")
		}()
		for p, err := range nodes[1].Manager.Subscribe(context.Background(), "news") {
			if err != nil || p.Data != "hello" {
				t.Errorf("got %+v, %v", p, err)
			}
			break
		}
	})
}

// TestClusterLoopsGetKeys as they were published, as without a broker, whoever has published.
func TestClusterLoopsGetKeys(t *testing.T) {
	for name, options := range map[string]func() []tank.Option{
		"no broker": func() []tank.Option { return nil },
		"broker":    func() []tank.Option { return []tank.Option{tank.WithBroker(brokertest.NewNetwork().Node())} },
		"broker with history": func() []tank.Option {
			return []tank.Option{tank.WithBroker(brokertest.NewKeepingNetwork().Node()), keepMany}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := tank.NewInstance(append(options(), anyMayPublish)...)
			c := tanktest.Serve(t, m).DialV2("/?user_id=ann")
			c.Subscribe("news")
			done := make(chan struct{})
			go func() {
				defer close(done)
				want := []string{"server's", "client's", ""}
				for p, err := range m.Subscribe(t.Context(), "news") {
					if err != nil || p.Key != want[0] {
						t.Errorf("%s: got the key %q and %v, want %q", name, p.Key, err, want[0])
					}
					if want = want[1:]; len(want) == 0 {
						return
					}
				}
			}()
			synctest.Wait()
			_, err := m.PublishMessage(t.Context(), tank.Publication{Topic: "news", Data: "x", Key: "server's"})
			must(t, err)
			c.Publish("news", "x", tanktest.Key("client's"))
			must(t, m.Publish(t.Context(), "news", "x"))
			<-done
		})
	}
}

// TestClusterLoopsAreNotToldOfGaps: they go on with what comes next.
func TestClusterLoopsAreNotToldOfGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 2)
		got := make(chan string, 10)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer close(got)
			for p, err := range nodes[0].Manager.Subscribe(ctx, "news") {
				got <- fmt.Sprint(p.Data, err)
			}
		}()
		synctest.Wait()
		nodes[0].broker.Lose(1)
		publishOn(t, nodes[1], "news", "lost")
		publishOn(t, nodes[1], "news", "comes")
		synctest.Wait()
		if gaps := nodes[0].Stats().Broker.Gaps; gaps != 1 {
			t.Errorf("%d gaps", gaps)
		}
		cancel()
		var all []string
		for text := range got {
			all = append(all, text)
		}
		if text := strings.Join(all, ", "); text != "comes<nil>, context canceled" {
			t.Errorf("got %s", text)
		}
	})
}

// TestClusterBeforeStartAndAfterShutdown: there is no broker then.
func TestClusterBeforeStartAndAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := brokertest.NewNetwork()
		m := tank.NewInstance(tank.WithBroker(w.Node()))
		mustBe(t, m.Publish(context.Background(), "news", "early"), tank.ErrBroker)
		if m.CloseUser("ann") != 0 || m.Stats().Broker != (tank.BrokerStats{Down: true, Refused: 1}) {
			t.Errorf("before Start, stats are %+v", m.Stats().Broker)
		}
		must(t, m.Shutdown(context.Background()))
		mustBe(t, m.Publish(context.Background(), "news", "late"), tank.ErrClosed)
		m.Start()
		started := tank.NewInstance(tank.WithBroker(w.Node()))
		go started.Start()
		synctest.Wait()
		must(t, started.Publish(context.Background(), "news", "now"))
		must(t, started.Shutdown(context.Background()))
		mustBe(t, started.Publish(context.Background(), "news", "late"), tank.ErrClosed)
	})
}

// presentCluster is a group whose topic news knows who is in it.
func presentCluster(t *testing.T, n int, p tank.Presence) (*brokertest.Network, []*clusterNode) {
	t.Helper()
	p.Enabled = true
	return cluster(t, n, tank.WithTopics("news", tank.TopicOptions{Presence: p}))
}

// isThere waits until a node says that these users are in news.
func (n *clusterNode) isThere(t *testing.T, within time.Duration, want string) {
	t.Helper()
	var got string
	for end := time.Now().Add(within); ; time.Sleep(100 * time.Millisecond) {
		here, err := n.Presence("news")
		must(t, err)
		got = fmt.Sprint(here.Users, " ", strings.Join(slices.Sorted(maps.Keys(here.Info)), " "))
		if got == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after %v, there are %q, want %q", within, got, want)
		}
	}
}

// TestClusterPresence: who comes and goes anywhere is told everywhere, within seconds.
func TestClusterPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := presentCluster(t, 3, tank.Presence{Info: func(c *tank.Client) any { return map[string]string{"name": strings.ToUpper(c.UserID())} }})
		ann := nodes[0].DialV2("/?user_id=ann")
		ann.Subscribe("news", tanktest.Watch())
		bob := nodes[1].Dial("/?user_id=bob")
		bob.Subscribe("news")
		expectHere(t, ann, `2 +bob{"name":"BOB"}`)
		cyd := nodes[2].DialV2("/?user_id=cyd")
		cyd.Subscribe("news", tanktest.Watch())
		expectHere(t, ann, `3 +cyd{"name":"CYD"}`)
		for _, n := range nodes {
			n.isThere(t, 2*time.Second, "3 ann bob cyd")
		}
		bob.Unsubscribe("news") // the last of its node: the topic there ends
		expectHere(t, ann, "2 -bob")
		time.Sleep(time.Minute)
		nodes[0].isThere(t, 0, "2 ann cyd")
		if got := nodes[0].Stats().Present; got != 2 {
			t.Errorf("stats say %d", got)
		}
		ann.Close(1000, "")
		nodes[2].isThere(t, 2*time.Second, "1 cyd")
	})
}

// TestClusterPresenceTellsInfoAsItIs, also the longest, of characters that encoding/json escapes.
func TestClusterPresenceTellsInfoAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		info := strings.Repeat("<", 1022)
		_, nodes := presentCluster(t, 2, tank.Presence{Info: func(*tank.Client) any { return info }})
		watcher := nodes[0].DialV2("/?user_id=ann")
		watcher.Subscribe("news", tanktest.Watch())
		nodes[1].Dial("/?user_id=bob").Subscribe("news")
		expectHere(t, watcher, `2 +bob"`+info+`"`)
		for len(nodes[0].Errors) > 0 {
			t.Errorf("reported %+v", <-nodes[0].Errors)
		}
	})
}

// TestClusterPresenceMoves: who goes from one instance to another does not leave in between, however it left the first.
func TestClusterPresenceMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := presentCluster(t, 3, tank.Presence{})
		watcher := nodes[2].DialV2("/?user_id=watcher")
		watcher.Subscribe("news", tanktest.Watch())
		bob := nodes[0].Dial("/?user_id=bob")
		bob.Subscribe("news")
		expectHere(t, watcher, "2 +bob")
		for i := range 10 {
			bob.Cut()
			time.Sleep(3 * time.Second)
			bob = nodes[(i+1)%2].Dial("/?user_id=bob")
			bob.Subscribe("news")
			time.Sleep(time.Duration(i) * 5 * time.Second)
		}
		bob.Close(1000, "")
		expectHere(t, watcher, "1 -bob") // and nothing before
	})
}

// TestClusterPresenceOfAnInstanceThatIsGone: nobody is there for ever; and whoever was only away a moment is not gone.
func TestClusterPresenceOfAnInstanceThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := presentCluster(t, 2, tank.Presence{})
		ann := nodes[0].DialV2("/?user_id=ann")
		ann.Subscribe("news", tanktest.Watch())
		nodes[1].Dial("/?user_id=bob").Subscribe("news")
		expectHere(t, ann, "2 +bob")
		nodes[1].broker.Cut()
		time.Sleep(8 * time.Second)
		nodes[0].isThere(t, 0, "2 ann bob")
		nodes[1].broker.Heal()
		time.Sleep(time.Minute)
		nodes[0].isThere(t, 0, "2 ann bob")
		nodes[1].broker.Cut()
		began := time.Now()
		expectHere(t, ann, "1 -bob")
		if after := time.Since(began); after < 10*time.Second || after > 17*time.Second {
			t.Errorf("an instance that is gone was forgotten after %v", after)
		}
		nodes[1].broker.Heal()
		expectHere(t, ann, "2 +bob")
	})
}

// TestClusterPresenceOfCrowds: above Max, instances tell numbers; and names again when there are less.
func TestClusterPresenceOfCrowds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := presentCluster(t, 2, tank.Presence{Max: 4})
		nodes[0].Dial("/?user_id=ann").Subscribe("news")
		var crowd []*tanktest.Client
		for i := range 6 {
			c := nodes[1].Dial(fmt.Sprint("/?user_id=user", i))
			c.Subscribe("news")
			crowd = append(crowd, c)
		}
		nodes[0].isThere(t, 7*time.Second, "7 ")
		nodes[1].isThere(t, 7*time.Second, "7 ")
		for _, c := range crowd[1:] {
			c.Close(1000, "")
		}
		nodes[0].isThere(t, 7*time.Second, "2 ann user0")
		nodes[1].isThere(t, 7*time.Second, "2 ann user0")
	})
}

// TestClusterPresenceOfOneInTwoCrowds: where no names are told, a user of two instances counts twice.
func TestClusterPresenceOfOneInTwoCrowds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := presentCluster(t, 3, tank.Presence{Max: 1})
		nodes[0].Dial("/?user_id=ann").Subscribe("news")
		for i, n := range nodes[1:] {
			n.Dial("/?user_id=both").Subscribe("news")
			n.Dial(fmt.Sprint("/?user_id=user", i)).Subscribe("news")
		}
		nodes[0].isThere(t, 7*time.Second, "5 ")
	})
}

// TestWhatComesFromOutsideIsChecked: anybody who may publish to the broker can send anything.
func TestWhatComesFromOutsideIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, nodes := presentCluster(t, 1, tank.Presence{})
		plain, v2 := nodes[0].subscribe("news")
		stranger := w.Node()
		must(t, stranger.Open(nobody{}))
		defer stranger.Close(context.Background())
		for name, data := range map[string]broker.Publication{
			"news":               {Data: "\xff"},
			"\x00talk":           {Data: "{"},
			"\x00here\x00news":   {Data: `{"node":7}`},
			"\x00here\x00absent": {Data: `{}`},
			"":                   {Data: "{", JSON: true},
		} {
			_, err := stranger.Publish(context.Background(), name, data)
			must(t, err)
		}
		for _, p := range []broker.Publication{{Data: "{", JSON: true}, {Data: "x", From: "a\nb"}, {Data: "good"}} {
			_, err := stranger.Publish(context.Background(), "news", p)
			must(t, err)
		}
		plain.Expect("news", "good")
		v2.Expect("news", "good")
		synctest.Wait()
		reported := 0
		for len(nodes[0].Errors) > 0 {
			if e := <-nodes[0].Errors; e.Code == tank.CodeBroker {
				reported++
			}
		}
		if reported != 6 {
			t.Errorf("%d errors are reported, want 6", reported)
		}
	})
}

// nobody watches a broker.
type nobody struct{}

func (nobody) Down(error, int) {}
func (nobody) Up()             {}

// TestClusterPublishesRightAfterStart: nobody has to wait for the broker before the first publication.
func TestClusterPublishesRightAfterStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := brokertest.NewNetwork()
		one := joinCluster(t, w)
		page := one.Dial("/")
		page.Subscribe("news")
		synctest.Wait() // until that is in force
		for i := range 20 {
			two := joinCluster(t, w)
			publishOn(t, two, "news", fmt.Sprint(i))
			page.Expect("news", fmt.Sprint(i))
		}
	})
}

// TestClusterGapsAreHealed as a client does that wants to know: it asks, is told that it cannot be known, and goes on.
func TestClusterGapsAreHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 2, keepAll)
		c := nodes[0].DialV2("/")
		c.Subscribe("news")
		publishOn(t, nodes[1], "news", "one")
		c.Expect("news", "one")
		nodes[0].broker.Lose(1)
		publishOn(t, nodes[1], "news", "lost")
		if before := c.ExpectGap("news"); before != 3 {
			t.Errorf("there is a gap before %d", before)
		}
		publishOn(t, nodes[1], "news", "two")
		if got := c.Subscribe("news", tanktest.Since(c.Position("news"))); got.Recovered || got.Why != "unknown" {
			t.Errorf("answered %+v", got)
		}
		publishOn(t, nodes[1], "news", "three")
		c.Expect("news", "two") // which came before the answer
		c.Expect("news", "three")
	})
}

// TestClusterPositionsAreInForce: what is published behind a position comes to whoever resumes from there, or is said to be missing.
func TestClusterPositionsAreInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 2, keepAll)
		nodes[0].broker.SlowSubscribe(3 * time.Second)
		began := time.Now()
		at, err := nodes[0].Position("news")
		must(t, err)
		if waited := time.Since(began); waited != 3*time.Second {
			t.Errorf("the position came after %v, want 3 s", waited)
		}
		publishOn(t, nodes[1], "news", "behind it")
		c := nodes[0].DialV2("/")
		c.Subscribe("news", tanktest.Since(at))
		c.Expect("news", "behind it")
		nodes[0].broker.SlowSubscribe(time.Hour)
		if _, err := nodes[0].Position("slow"); !errors.Is(err, tank.ErrBusy) {
			t.Errorf("Position returns %v", err)
		}
	})
}

// TestClusterShutdownDeliversWhatWasPublished here just before it, such as a goodbye.
func TestClusterShutdownDeliversWhatWasPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 2)
		plain, v2 := nodes[0].subscribe("news")
		nodes[0].broker.Delay(300 * time.Millisecond)
		publishOn(t, nodes[0], "news", "goodbye")
		must(t, nodes[0].BroadcastMessage([]byte("really")))
		began := time.Now()
		must(t, nodes[0].Shutdown(context.Background()))
		if took := time.Since(began); took > time.Second {
			t.Errorf("Shutdown took %v", took)
		}
		for _, next := range []func() tanktest.Message{plain.Next, v2.Next} {
			got := []string{next().Data, next().Data}
			slices.Sort(got) // the two are not of one topic
			if !slices.Equal(got, []string{"goodbye", "really"}) {
				t.Errorf("got %q", got)
			}
		}
		plain.ExpectClose(1001)
	})
}

// TestClusterShutdownDoesNotWaitForABroker that is away, or that answers nobody.
func TestClusterShutdownDoesNotWaitForABroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 2)
		nodes[0].broker.Cut()
		synctest.Wait()
		nodes[1].broker.HoldPublish()
		for i, most := range []time.Duration{100 * time.Millisecond, 1500 * time.Millisecond} {
			began := time.Now()
			must(t, nodes[i].Shutdown(context.Background()))
			if took := time.Since(began); took > most {
				t.Errorf("Shutdown of node %d took %v", i, took)
			}
		}
	})
}

// TestClusterTellsOfInterruptionsBeforeAnythingIsInForce: no subscription has to be in force for a client to learn that the broker is away.
func TestClusterTellsOfInterruptionsBeforeAnythingIsInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node := brokertest.NewNetwork().Node()
		node.SlowSubscribe(time.Minute)
		page := tanktest.Serve(t, tank.NewInstance(tank.WithBroker(node))).DialV2("/")
		node.Cut()
		page.ExpectInterrupted(true)
		node.Heal()
		page.ExpectInterrupted(false)
	})
}

// TestClusterResets: a topic begins anew on all instances; when the others cannot be told, the caller is.
func TestClusterResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, nodes := cluster(t, 2, keepAll)
		_, one := nodes[0].subscribe("news")
		_, two := nodes[1].subscribe("news")
		publishOn(t, nodes[0], "news", "secret")
		for _, c := range []*tanktest.ClientV2{one, two} {
			c.Expect("news", "secret")
		}
		must(t, nodes[0].Reset("news"))
		for i, c := range []*tanktest.ClientV2{one, two} {
			c.ExpectReset("news")
			page, err := nodes[i].History(context.Background(), "news", tank.Position{}, 0)
			if err != nil || len(page.Messages) != 0 {
				t.Errorf("instance %d keeps %v, %v", i, page.Messages, err)
			}
		}
		nodes[0].broker.Cut()
		synctest.Wait()
		mustBe(t, nodes[0].Reset("news"), tank.ErrBroker)
	})
}

// TestClusterLogsTheBroker: that it is away, that it is there again, and that something may be missing.
func TestClusterLogsTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := brokertest.NewNetwork()
		n := joinCluster(t, w, tank.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))))
		n.subscribe("news", "other")
		n.broker.Cut()
		synctest.Wait()
		n.broker.Heal()
		time.Sleep(time.Second)
		synctest.Wait()
		want := []string{
			`level=INFO msg="connected to the broker"`,
			`level=WARN msg="no connection to the broker" code=2010 error=`,
			`level=INFO msg="connected to the broker"`,
			`level=WARN msg="publications may be missing" code=2010 error="in 2 topics, and of those to everybody: `,
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		for i, line := range lines {
			if len(lines) != len(want) || !strings.HasPrefix(line, want[i]) {
				t.Fatalf("the log is\n%s", log.String())
			}
		}
	})
}

package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// load is publishers and readers on nodes that have trouble.
type load struct {
	t     testing.TB
	nodes []*node
	names []string
	stop  atomic.Bool
	wg    sync.WaitGroup
	slow  atomic.Int64 // longest Publish, in nanoseconds

	mu     sync.Mutex
	taken  map[string][]int // numbers whose Publish said nil, by name and node
	failed map[string]int   // errors of Publish, by their text
}

// begin publishes numbers from each node to each name, until end.
func begin(t testing.TB, nodes ...*node) *load {
	l := &load{t: t, nodes: nodes, names: []string{"", "a.b"}, taken: make(map[string][]int), failed: make(map[string]int)}
	for _, n := range nodes {
		n.subscribe(l.names...)
	}
	for i, n := range nodes {
		for _, name := range l.names {
			l.wg.Go(func() { l.publish(i, n, name) })
		}
	}
	return l
}

func (l *load) publish(i int, n *node, name string) {
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for number := 1; !l.stop.Load(); number++ {
		<-tick.C
		begun := time.Now()
		_, err := n.Publish(context.Background(), name, broker.Publication{Data: fmt.Sprintf("%d %d", i, number)})
		for took := int64(time.Since(begun)); took > l.slow.Load(); {
			l.slow.Store(took)
		}
		if err != nil && !errors.Is(err, broker.ErrDown) && !errors.Is(err, ErrUnconfirmed) {
			l.t.Errorf("Publish: %v", err)
		}
		l.mu.Lock()
		if key := fmt.Sprint(i, name); err == nil {
			l.taken[key] = append(l.taken[key], number)
		} else {
			l.failed[err.Error()]++
		}
		l.mu.Unlock()
	}
}

// through waits until a publication of each node has come to all.
func (l *load) through(what string) {
	l.t.Helper()
	for _, from := range l.nodes {
		mark := fmt.Sprint("mark ", what)
		await(l.t, "publication "+what, func() bool {
			_, err := from.Publish(context.Background(), "", broker.Publication{Data: mark})
			if err != nil {
				return false
			}
			return within(time.Second, func() bool {
				return !slices.ContainsFunc(l.nodes, func(n *node) bool { return !n.has("message", "", mark) })
			})
		})
	}
}

// end checks what each node has got from each: in order, nothing twice, and what is missing was told. Of its own publications, no more are
// missing at a node than were in doubt.
func (l *load) end() (doubt int) {
	l.t.Helper()
	lost, ownLost := 0, 0
	l.stop.Store(true)
	l.wg.Wait()
	l.through("last")
	for i := range l.nodes {
		own := 0 // lost at the node that published them
		for at, n := range l.nodes {
			for _, name := range l.names {
				gone, untold := l.missing(n, name, i, l.taken[fmt.Sprint(i, name)])
				lost += gone
				if at == i {
					own += gone
				} else if untold > l.doubts(i) {
					l.t.Errorf("node %d misses %d of node %d to %q, and neither was told", at, untold, i, name)
				}
			}
		}
		if own > l.doubts(i) {
			l.t.Errorf("node %d misses %d of its own, and was told of %d", i, own, l.doubts(i))
		}
		ownLost += own
		doubt += l.doubts(i)
		if n := l.nodes[i]; strings.Contains(fmt.Sprint(n.all()), "NO CAUSE") {
			l.t.Error("Down without a cause")
		}
		checkTurns(l.t, l.nodes[i])
	}
	l.t.Logf("%d taken, %d deliveries lost (%d at their own node), %d in doubt, longest Publish %v, errors %v", l.total(), lost, ownLost, doubt, time.Duration(l.slow.Load()).Round(time.Microsecond), l.failed)
	return doubt
}

func (l *load) total() (n int) {
	for _, list := range l.taken {
		n += len(list)
	}
	return n
}

func (l *load) doubts(i int) (n int) {
	for _, o := range l.nodes[i].all() {
		n += o.doubt
	}
	return n
}

// missing compares what a node has got with what was taken: gone is how many are missing, untold how many where no Lost stands
// between the one before and the one after.
func (l *load) missing(n *node, name string, from int, taken []int) (gone, untold int) {
	l.t.Helper()
	last, told, next := 0, false, 0 // next: index in taken
	skip := func(until int) {
		for ; next < len(taken) && taken[next] < until; next++ {
			gone++
			if !told {
				untold++
			}
		}
	}
	for _, o := range n.all() {
		if o.name != name {
			continue
		}
		if o.what == "lost" {
			told = true
			continue
		}
		var i, number int
		if _, err := fmt.Sscanf(o.text, "%d %d", &i, &number); err != nil || i != from {
			continue
		}
		if number <= last {
			l.t.Errorf("%d of node %d came after %d", number, from, last)
		}
		skip(number)
		if next < len(taken) && taken[next] == number {
			next++
		}
		last, told = number, false
	}
	skip(1 << 60)
	return gone, untold
}

// checkTurns: Down and Up take turns, and each Up but the first comes after a Lost for each subscription.
func checkTurns(t testing.TB, n *node) {
	t.Helper()
	last, lost := "", map[string]bool{}
	for _, o := range n.all() {
		switch o.what {
		case "lost":
			lost[o.name] = true
		case "down":
			lost = map[string]bool{}
			fallthrough
		case "up":
			if o.what == last {
				t.Errorf("%s came twice", o.what)
			}
			if o.what == "up" && last == "down" && !(lost[""] && lost["a.b"]) {
				t.Errorf("Up came before Lost: %v", lost)
			}
			last = o.what
		}
	}
}

func TestServerIsKilledAgainAndAgain(t *testing.T) {
	kills := 100
	if testing.Short() {
		kills = 10
	}
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			l := begin(t, upNode(t, Options{URL: s.url(), Mode: mode}), upNode(t, Options{URL: s.url(), Mode: mode}))
			var slowest time.Duration
			for i := range kills {
				l.through(fmt.Sprint(i))
				s.stop()
				for _, n := range l.nodes {
					await(t, "down", func() bool { return !n.isUp() })
				}
				s.start()
				begun := time.Now()
				for _, n := range l.nodes {
					await(t, "up", n.isUp)
				}
				slowest = max(slowest, time.Since(begun))
			}
			doubt := l.end()
			if mode == Confirmed && doubt > 0 {
				t.Errorf("%d publications that the server has confirmed are in doubt", doubt)
			}
			for _, n := range l.nodes {
				if n.count("down") != kills || n.count("up") != kills+1 {
					t.Errorf("%d kills: %d times down, %d up", kills, n.count("down"), n.count("up"))
				}
			}
			t.Logf("%d kills; up again after %v or earlier", kills, slowest.Round(time.Millisecond))
		})
	}
}

// TestConnectionIsCut of one node of two.
func TestConnectionIsCut(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			p := newProxy(t, s.addr())
			l := begin(t, upNode(t, Options{URL: s.url(), Mode: mode}), upNode(t, Options{URL: p.url(), Mode: mode}))
			for i := range 20 {
				l.through(fmt.Sprint(i))
				p.cut()
				if i%2 == 0 {
					await(t, "down", func() bool { return !l.nodes[1].isUp() })
				}
				p.heal() // every second time perhaps before the node has noticed
				await(t, "up again", func() bool { return l.nodes[1].count("up") == i+2 })
			}
			l.end()
			if l.nodes[0].count("lost")+l.nodes[0].count("down") > 0 {
				t.Error("the other node was disturbed")
			}
		})
	}
}

// TestConnectionFlaps, so that some attempts to connect end half way.
func TestConnectionFlaps(t *testing.T) {
	s := startServer(t)
	p := newProxy(t, s.addr())
	l := begin(t, upNode(t, Options{URL: s.url()}), upNode(t, Options{URL: p.url()}))
	tick := time.NewTicker(7 * time.Millisecond)
	defer tick.Stop()
	for range 150 {
		<-tick.C
		p.cut()
		p.heal()
	}
	l.end()
}

// TestConnectionStalls for longer than a write may take: it is given up, and nobody waits for long.
func TestConnectionStalls(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s a mode")
	}
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t)
			p := newProxy(t, s.addr())
			other, n := upNode(t, Options{URL: s.url(), Mode: mode}), upNode(t, Options{URL: p.url(), Mode: mode})
			l := begin(t, other, n)
			l.through("before")
			p.stall()
			end := time.After(8 * time.Second)
			begun := time.Now()
			if err := n.Subscribe(timeout(t, 500*time.Millisecond), n.wish("late")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Subscribe: %v", err)
			}
			if took := time.Since(begun); took > time.Second {
				t.Errorf("Subscribe took %v", took)
			}
			await(t, "down", func() bool { return !n.isUp() })
			t.Logf("down after %v", time.Since(begun).Round(time.Millisecond))
			<-end
			p.heal()
			await(t, "up", n.isUp)
			l.end()
			if slow := time.Duration(l.slow.Load()); slow > 7*time.Second || mode == Core && slow > 4500*time.Millisecond {
				t.Errorf("a Publish took %v", slow)
			}
		})
	}
}

// TestWritesThatStallAreGivenUp: a publisher fills the buffers of a connection that stalls.
func TestWritesThatStallAreGivenUp(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	s := startServer(t)
	p := newProxy(t, s.addr())
	n := upNode(t, Options{URL: p.url()})
	data := strings.Repeat("x", 500_000)
	p.stall()
	taken, begun := 0, time.Now()
	for n.isUp() && time.Since(begun) < patience {
		if _, err := n.Publish(context.Background(), "x", broker.Publication{Data: data}); err == nil {
			taken++
		} else if !errors.Is(err, broker.ErrDown) && !errors.Is(err, ErrUnconfirmed) {
			t.Error(err)
		}
	}
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("the connection was given up after %v", took)
	}
	if doubt := n.all()[1].doubt; doubt != taken {
		t.Errorf("%d were taken, %d are in doubt", taken, doubt)
	}
	p.heal()
	await(t, "up", n.isUp)
	n.subscribe("x")
	n.publish("x", "works")
	n.awaitMessage("x", "works")
}

// TestReceiverIsSlow: what does not fit is dropped, and told at the place where it is missing.
func TestReceiverIsSlow(t *testing.T) {
	s := startServer(t)
	for name, o := range map[string]Options{"messages": {MaxPending: 8}, "bytes": {MaxPendingBytes: 40}} {
		t.Run(name, func(t *testing.T) {
			o.URL = s.url()
			n := upNode(t, o)
			r := &reader{diary: n.diary, name: "x", block: make(chan struct{}, 1)}
			must(t, n.Subscribe(timeout(t, patience), []broker.Subscription{{Name: "x", To: r}}))
			n.subscribe("y")
			for i := range 300 {
				n.publish("x", fmt.Sprintf("0 %d", i+1))
				if i%20 == 19 {
					must(t, n.conn.Flush())
					r.block <- struct{}{}
				}
			}
			must(t, n.conn.Flush())
			close(r.block)
			await(t, "the last", func() bool {
				n.publish("x", "end")
				return n.has("message", "x", "end")
			})
			var taken []int
			for i := range 300 {
				taken = append(taken, i+1)
			}
			gone, untold := (&load{t: t}).missing(n, "x", 0, taken)
			if gone < 100 || untold > 0 {
				t.Errorf("%d are gone, of %d nobody was told", gone, untold)
			}
			if n.count("lost") > 100 || n.count("down") > 0 {
				t.Errorf("told %d times", n.count("lost"))
			}
		})
	}
}

// TestServerFindsANodeSlow and ends its connection.
func TestServerFindsANodeSlow(t *testing.T) {
	s := startServer(t, func(o *server.Options) { o.MaxPending, o.MaxPayload = 1<<20, 1<<20 })
	p := newProxy(t, s.addr())
	slow, n := upNode(t, Options{URL: p.url()}), upNode(t, Options{URL: s.url()})
	slow.subscribe("x")
	p.stall()
	data := strings.Repeat("x", 100_000)
	await(t, "the server gives up", func() bool {
		for range 10 {
			n.publish("x", data)
		}
		return s.server.NumSlowConsumers() > 0
	})
	p.heal()
	await(t, "down and up", func() bool { return slow.count("up") == 2 })
	n.publish("x", "end")
	slow.awaitMessage("x", "end")
	if slow.count("lost") != 1 {
		t.Errorf("told %d times", slow.count("lost"))
	}
}

// TestNATSDropsNothing, however fast messages come: reading waits for the Broker, and the server for that.
func TestNATSDropsNothing(t *testing.T) {
	const many = 5 * incoming
	s := startServer(t)
	n, other := upNode(t, Options{URL: s.url()}), plainClient(t, s.url())
	n.subscribe("x")
	n.Broker.mu.Lock() // read waits for it
	for range many {
		must(t, other.Publish("tank.c.x", nil))
	}
	must(t, other.Flush())
	await(t, "it stops reading", func() bool { return len(n.in) > incoming/2 })
	n.Broker.mu.Unlock()
	await(t, "all", func() bool { return n.count("message") == many })
	if n.count("lost") > 0 {
		t.Error("something was lost")
	}
}

// TestSlowConsumerOfNATS: if NATS drops a message all the same, its subscription is told.
func TestSlowConsumerOfNATS(t *testing.T) {
	s := startServer(t)
	n := upNode(t, Options{URL: s.url()})
	n.subscribe("x")
	n.conn.Opts.AsyncErrorCB(n.conn, n.feeds[firstReceiver(n)].sub, nats.ErrSlowConsumer)
	await(t, "lost", func() bool { return n.count("lost") == 1 })
}

func firstReceiver(n *node) broker.Receiver {
	for r := range n.feeds {
		return r
	}
	return nil
}

func TestBrokerIsAwayAtTheStart(t *testing.T) {
	s := newServer(t)
	n := open(t, Options{URL: s.url()})
	await(t, "down", func() bool { return n.count("down") == 1 })
	if !strings.Contains(n.all()[0].text, "refused") {
		t.Errorf("the cause is %q", n.all()[0].text)
	}
	if _, err := n.Publish(context.Background(), "x", broker.Publication{}); !errors.Is(err, broker.ErrDown) {
		t.Errorf("Publish: %v", err)
	}
	subs := n.wish("x", "gone", "y")
	if err := n.Subscribe(timeout(t, 20*time.Millisecond), subs); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Subscribe: %v", err)
	}
	n.Unsubscribe(subs[1:2])
	s.start()
	begun := time.Now()
	must(t, n.Subscribe(timeout(t, patience), append(subs[:1:1], subs[2])))
	await(t, "up", n.isUp)
	if took := time.Since(begun); took > time.Second {
		t.Errorf("up after %v", took)
	}
	for _, name := range []string{"gone", "x", "y"} {
		n.publish(name, "1")
	}
	n.awaitMessage("y", "1")
	n.awaitMessage("x", "1")
	if n.has("message", "gone", "1") || n.count("lost") > 0 {
		t.Errorf("%v", n.all())
	}
}

// TestManySubscriptions are in force, and again after a restart, within a second.
func TestManySubscriptions(t *testing.T) {
	const many = 10_000
	s := startServer(t)
	n := upNode(t, Options{URL: s.url()})
	var names []string
	for i := range many {
		names = append(names, fmt.Sprint("topic.", i))
	}
	begun := time.Now()
	n.subscribe(names...)
	first := time.Since(begun)
	s.stop()
	await(t, "down", func() bool { return !n.isUp() })
	s.start()
	begun = time.Now()
	await(t, "up", n.isUp)
	again := time.Since(begun)
	if got := n.count("lost"); got != many {
		t.Errorf("%d were told of the gap", got)
	}
	for _, name := range []string{"topic.0", "topic.9999"} {
		n.publish(name, "x")
		n.awaitMessage(name, "x")
	}
	t.Logf("in force after %v, and again after %v", first, again)
	if limit := time.Second * slowdown; first > limit || again > limit {
		t.Errorf("in force after %v, and again after %v", first, again)
	}
}

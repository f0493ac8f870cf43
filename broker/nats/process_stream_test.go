package natsbroker

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// Faults under instances of mode JetStream. What is published to "a.b" is not kept, and has the promises of Confirmed.

// often is how often something is done: with TANK_TESTS=all, and without.
func often(all, some int) int {
	if os.Getenv("TANK_TESTS") == "all" {
		return all
	}
	return some
}

// withStream gives instances these options of the stream.
func withStream(o StreamOptions) func(*processConfig, *server.Options) {
	return func(c *processConfig, _ *server.Options) { c.Stream = o }
}

// epochOrder is what was published to a topic in an epoch, by its number.
type epochOrder map[uint64]string

// endKept is end, and examines what is kept, too. drops is for what is not kept.
func (g *group) endKept(drops bool) (f figures, epochs int) {
	g.t.Helper()
	made := g.finish()
	g.examine(made, drops, "a.b")
	return g.examineKept(made, false)
}

// examineKept is examine for what is kept: all clients see one order in an epoch, and nothing twice. A client that stays has everything of each
// epoch, from its beginning to where it has left it, unless it was told of a gap. epochs is how many there have been. drops says that the stream does.
func (g *group) examineKept(made []published, drops bool) (f figures, epochs int) {
	g.t.Helper()
	f = g.examine(made, drops, "kept")
	orders := make(map[string]epochOrder)
	g.eachKept(func(_ *subscriber, n numbered) {
		if orders[n.epoch] == nil {
			orders[n.epoch] = make(epochOrder)
		}
		if other, is := orders[n.epoch][n.seq]; is && other != n.data {
			g.t.Errorf("%s %d is %q, and %q", n.epoch, n.seq, other, n.data)
		}
		orders[n.epoch][n.seq] = n.data
	})
	texts := make(map[string]bool)
	for _, order := range orders {
		for _, text := range order {
			if texts[text] {
				g.t.Errorf("%q was published twice", text)
			}
			texts[text] = true
		}
	}
	got := make(map[*subscriber]map[string][]uint64)
	g.eachKept(func(c *subscriber, n numbered) {
		if got[c] == nil {
			got[c] = make(map[string][]uint64)
		}
		got[c][n.epoch] = append(got[c][n.epoch], n.seq)
	})
	for c, byEpoch := range got {
		if c.kind == "returning" || c.told("kept", "gap")+c.told("kept", "jump") > 0 {
			continue // examine has looked at what it was told
		}
		for epoch, list := range byEpoch {
			first := c.topics["kept"].first
			want := slices.DeleteFunc(slices.Sorted(maps.Keys(orders[epoch])), func(seq uint64) bool {
				return seq > list[len(list)-1] || epoch == first.epoch && seq <= first.seq
			})
			if !slices.Equal(list, want) {
				g.t.Errorf("a %s client has %d publications of the epoch %s, and there are %d", c.kind, len(list), epoch, len(want))
			}
		}
	}
	return f, len(orders)
}

// eachKept calls a function with what clients have got of what is kept.
func (g *group) eachKept(f func(*subscriber, numbered)) {
	for _, list := range g.clients {
		for _, c := range list {
			c.mu.Lock()
			numbers := slices.Clone(c.numbers)
			c.mu.Unlock()
			for _, n := range numbers {
				if n.name == "kept" {
					f(c, n)
				}
			}
		}
	}
}

// told is how often the client was told something of a topic.
func (s *subscriber) told(topic, what string) (n int) {
	for _, o := range s.all() {
		if o.what == "lost" && o.name == topic && o.text == what {
			n++
		}
	}
	return n
}

// whole ends a group in which nothing that is kept may be missing, and nobody may be told so.
func (g *group) whole() {
	g.t.Helper()
	if f, epochs := g.endKept(false); f.lost > 0 || len(f.told) > 0 || epochs != 1 || f.taken == 0 {
		g.t.Errorf("in %d epochs: %+v", epochs, f)
	}
}

func TestKeptWithoutFaults(t *testing.T) {
	g := running(t, JetStream, 3, "4ms", 1, nil)
	g.through()
	g.whole()
}

// TestKeptWhileTheServerIsKilled with signal 9, again and again, under three instances. Files keep everything. Memory is lost, and told as another
// epoch.
func TestKeptWhileTheServerIsKilled(t *testing.T) {
	kills := often(100, 2)
	for name, stream := range storages {
		t.Run(name, func(t *testing.T) {
			g := running(t, JetStream, 3, "4ms", 1, withStream(stream))
			up, through := g.killServer(kills)
			t.Logf("%d kills; all up again after the server: %v; all reached by all: %v", kills, up, through)
			if !stream.Memory {
				g.whole()
				return
			}
			f, epochs := g.endKept(false)
			if epochs != kills+1 || f.told["gap"]+f.told["jump"] > 0 {
				t.Errorf("in %d epochs: %+v", epochs, f)
			}
			for i, list := range g.clients {
				if n := list[1].told("kept", "reset"); n != kills {
					t.Errorf("a client of instance %d was told of another epoch %d times", i, n)
				}
			}
		})
	}
}

// TestKeptWhileOneInstanceIsCutOff, again and again.
func TestKeptWhileOneInstanceIsCutOff(t *testing.T) {
	cuts := often(50, 4)
	g := running(t, JetStream, 2, "2ms", 1, nil)
	through := g.cutOff(cuts)
	t.Logf("%d cuts; all reached by all again: %v", cuts, through)
	made := g.finish()
	g.proxies[1].cut()
	await(t, "down", func() bool { return g.instances[1].stats().Down })
	if !g.instances[0].publish("kept", "mark-last") {
		t.Error("not published")
	}
	g.proxies[1].heal()
	for _, c := range g.clients[1] {
		await(t, "the last one, behind which nothing comes", func() bool { return c.has("message", "kept", "mark-last") })
	}
	g.examine(made, false, "a.b")
	if f, epochs := g.examineKept(made, false); f.lost > 0 || len(f.told) > 0 || epochs != 1 || f.taken == 0 {
		t.Errorf("in %d epochs: %+v", epochs, f)
	}
	if n := g.clients[1][1].told("a.b", "gap"); n < cuts/2 {
		t.Errorf("a client was told of %d gaps in what is not kept", n)
	}
}

// TestKeptWhileOneInstanceStalls until it has found that out, with TANK_TESTS=all for 8 s.
func TestKeptWhileOneInstanceStalls(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	g := running(t, JetStream, 2, "4ms", 1, nil)
	g.stall(time.Duration(often(8, 0)) * time.Second)
	g.whole()
}

// outsider publishes faster than instances do, and knows only NATS.
func (g *group) outsider(count int) {
	g.t.Helper()
	nc := plainClient(g.t, "nats://"+g.server.addr)
	js, err := jetstream.New(nc)
	must(g.t, err)
	for range count {
		g.marks++
		data := []byte(fmt.Sprint("mark-", g.marks))
		_, err := js.PublishAsync("tank.p.kept", data)
		must(g.t, err)
		must(g.t, nc.Publish("tank.c.a=2Eb", data))
	}
	<-js.PublishAsyncComplete()
}

// TestKeptAtASlowInstance: more comes than it may have in its queue. What it drops, it fetches.
func TestKeptAtASlowInstance(t *testing.T) {
	g := running(t, JetStream, 2, "20ms", 1, func(c *processConfig, _ *server.Options) { c.MaxPending = 4 })
	for range often(20, 3) {
		g.outsider(500)
		g.through()
	}
	if g.instances[0].stats().Gaps == 0 {
		t.Error("nothing was dropped, so nothing was tried")
	}
	f, _ := g.endKept(true)
	if f.lost > 0 || len(f.told) > 0 {
		t.Errorf("%+v", f)
	}
}

// TestKeptWhenTheServerFindsAnInstanceSlow, and ends its connection.
func TestKeptWhenTheServerFindsAnInstanceSlow(t *testing.T) {
	t.Parallel()
	g := running(t, JetStream, 2, "4ms", 1, func(_ *processConfig, o *server.Options) { o.MaxPending, o.MaxPayload = 1<<20, 1<<20 })
	g.proxies[1].stall()
	for i := range 120 {
		if !g.instances[0].publish("kept", fmt.Sprint("large-", i, strings.Repeat("x", 100_000))) {
			t.Error("not published")
		}
	}
	g.proxies[1].heal()
	await(t, "down", func() bool { return g.clients[1][1].count("interrupted") == 1 })
	g.through()
	g.whole()
}

// stream is that of the group.
func (g *group) stream() (jetstream.JetStream, jetstream.Stream) {
	g.t.Helper()
	js, err := jetstream.New(plainClient(g.t, "nats://"+g.server.addr))
	must(g.t, err)
	stream, err := js.Stream(timeout(g.t, patience), "tank")
	must(g.t, err)
	return js, stream
}

// TestKeptStreamIsDeletedAndPurged while instances are connected. Another stream is another epoch, and has everything. When it is purged, nothing
// is missing to those who have it.
func TestKeptStreamIsDeletedAndPurged(t *testing.T) {
	g := running(t, JetStream, 2, "4ms", 1, nil)
	js, stream := g.stream()
	before := g.instances[0].stats().Gaps
	deleted := often(20, 2)
	for i := range deleted {
		must(t, stream.Purge(timeout(t, patience)))
		g.through()
		must(t, js.DeleteStream(timeout(t, patience), "tank"))
		for _, list := range g.clients {
			await(t, "reset", func() bool { return list[1].told("kept", "reset") == i+1 })
		}
		g.through()
		_, stream = g.stream()
	}
	f, epochs := g.endKept(false)
	if epochs != deleted+1 || f.told["gap"]+f.told["jump"] > 0 {
		t.Errorf("in %d epochs: %+v", epochs, f)
	}
	// A plain socket is not told, but its instance is.
	if n := g.instances[0].stats().Gaps - before; n != uint64(deleted) {
		t.Errorf("%d gaps", n)
	}
	for _, list := range g.clients {
		if n := list[1].count("interrupted"); n > 0 {
			t.Errorf("interrupted %d times", n)
		}
	}
}

// TestKeptStreamIsFull: those who are connected get everything all the same. An instance that was away, and comes back when what it has missed
// is gone, tells so.
func TestKeptStreamIsFull(t *testing.T) {
	g := running(t, JetStream, 2, "4ms", 1, withStream(StreamOptions{Bytes: 300_000}))
	fill := func(what string) {
		for i := range 40 {
			if !g.instances[0].publish("kept", fmt.Sprint(what, i, strings.Repeat("x", 10_000))) {
				t.Error("not published")
			}
		}
	}
	fill("connected-")
	g.through()
	for _, list := range g.clients {
		if n := list[1].count("lost") + list[2].count("lost"); n > 0 {
			t.Errorf("told %d times of what came", n)
		}
	}
	away := often(10, 2)
	for i := range away {
		g.proxies[1].cut()
		await(t, "down", func() bool { return g.instances[1].stats().Down })
		fill(fmt.Sprint("away-", i, "-"))
		g.proxies[1].heal()
		g.through()
	}
	made := g.finish()
	g.examine(made, false, "a.b")
	f, epochs := g.examineKept(made, true)
	if here, there := g.clients[0][1].told("kept", "gap"), g.clients[1][1].told("kept", "gap"); here > 0 || there != away || epochs != 1 {
		t.Errorf("in %d epochs, told %d and %d times: %+v", epochs, here, there, f)
	}
}

// TestKeptWhenTheServerIsAwayAtTheStart: both instances come at once, and one of them makes the stream.
func TestKeptWhenTheServerIsAwayAtTheStart(t *testing.T) {
	for range often(20, 1) {
		g := newGroup(t, JetStream, 2, nil)
		g.join()
		for i, instance := range g.instances {
			if instance.publish("kept", "early") {
				t.Error("a publication without a server was taken")
			}
			await(t, "interrupted", func() bool { return g.clients[i][1].count("interrupted") > 0 })
		}
		g.start()
		begun := time.Now()
		for _, list := range g.clients {
			await(t, "subscribed", func() bool { return list[1].count("subscribed") == len(topicNames) })
		}
		t.Logf("all subscribed %d ms after the server was there", time.Since(begun).Milliseconds())
		g.begin("1ms", 1)
		g.through()
		g.whole()
		if g.clients[0][1].has("message", "kept", "early") {
			t.Error("what failed came later")
		}
	}
}

// TestKeptManyTopics: how soon they are in force, and again after the server was killed. Nobody is told of anything.
func TestKeptManyTopics(t *testing.T) {
	for _, many := range []int{1025, 10_000}[:often(2, 1)] {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			g := newGroup(t, JetStream, 2, nil)
			g.start()
			g.awaitUp()
			var names []string
			for i := range many {
				names = append(names, fmt.Sprint("kept-", i))
			}
			some := []int{0, 1023, 1024, many - 1}
			for _, i := range some {
				if !g.instances[1].publish(names[i], "before") {
					t.Error("not published")
				}
			}
			begun := time.Now()
			c := newSubscriber(t, "v2", g.instances[0].addr, names...)
			await(t, "subscribed", func() bool { return c.count("subscribed") == many })
			first := time.Since(begun)
			reached := func(what string) {
				t.Helper()
				for _, i := range some {
					await(t, "published", func() bool { return g.instances[1].publish(names[i], what) })
					await(t, what, func() bool { return c.has("message", names[i], what) })
				}
			}
			reached("x")
			g.server.kill()
			await(t, "down", func() bool { return g.instances[0].stats().Down && g.instances[1].stats().Down })
			g.start()
			begun = time.Now()
			g.awaitUp()
			again := time.Since(begun)
			reached("y")
			t.Logf("%d topics: in force after %d ms; up %d ms after the server was there again, and four topics reached after %d ms",
				many, first.Milliseconds(), again.Milliseconds(), time.Since(begun).Milliseconds())
			if c.count("lost") > 0 {
				t.Error("the client was told that something is missing")
			}
		})
	}
}

// TestKeptByManyPublishersAtOnce to one topic, on both instances, while the server is killed: packs are stored once.
func TestKeptByManyPublishersAtOnce(t *testing.T) {
	g := running(t, JetStream, 2, "4ms", 1, nil)
	var publishers sync.WaitGroup
	for i := range 100 {
		publishers.Go(func() {
			for j := range 5 {
				_ = g.instances[i%2].publish("kept", fmt.Sprint("mark-of-", i, "-", j)) // an error is one of a server that is away
			}
		})
	}
	g.server.kill()
	g.start()
	publishers.Wait()
	g.through()
	g.whole()
}

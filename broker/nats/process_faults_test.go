package natsbroker

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// group is a server and instances, each in a process of its own and with clients. The way from each instance to the server can be cut.
type group struct {
	t         testing.TB
	mode      Mode
	options   *server.Options
	server    *child // nil: killed
	proxies   []*proxy
	instances []*child
	clients   [][]*subscriber // of each instance
	marks     int
}

var kinds = []string{"plain", "v2", "returning"}

// newGroup does not start the server.
func newGroup(t testing.TB, mode Mode, instances int, change func(*processConfig, *server.Options)) *group {
	t.Helper()
	g := &group{t: t, mode: mode, options: &newServer(t).options}
	if mode == JetStream {
		withJetStream(t)(g.options)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	for i := range instances {
		p := newProxy(t, fmt.Sprintf("127.0.0.1:%d", g.options.Port))
		c := processConfig{URL: p.url(), Mode: mode, Number: i}
		if change != nil {
			change(&c, g.options)
		}
		g.proxies = append(g.proxies, p)
		g.instances = append(g.instances, startChild(t, c))
	}
	return g
}

func (g *group) start() { g.server = startChild(g.t, serverConfig(g.options)) }

// join has clients subscribe.
func (g *group) join() {
	for _, instance := range g.instances {
		var list []*subscriber
		for _, kind := range kinds {
			topics := topicNames
			if kind == "returning" {
				topics = []string{"kept"}
			}
			list = append(list, newSubscriber(g.t, kind, instance.addr, topics...))
		}
		g.clients = append(g.clients, list)
	}
}

// awaitUp returns once all instances have their connections.
func (g *group) awaitUp() {
	g.t.Helper()
	for _, instance := range g.instances {
		await(g.t, "up", func() bool { return !instance.stats().Down })
	}
}

// running is a group that publishes.
func running(t testing.TB, mode Mode, instances int, every string, burst int, change func(*processConfig, *server.Options)) *group {
	t.Helper()
	g := newGroup(t, mode, instances, change)
	g.start()
	g.awaitUp()
	g.join()
	g.begin(every, burst)
	return g
}

// begin has all instances publish, once all clients have subscribed.
func (g *group) begin(every string, burst int) {
	g.through()
	for _, instance := range g.instances {
		instance.get(fmt.Sprint("/begin?every=", every, "&burst=", burst), nil)
	}
}

// through waits until a publication of each instance to each topic has come to all clients.
func (g *group) through() {
	g.t.Helper()
	for i, from := range g.instances {
		for _, topic := range topicNames {
			await(g.t, fmt.Sprint("a publication of instance ", i, " to ", topic), func() bool {
				g.marks++
				mark := fmt.Sprint("mark-", g.marks)
				return from.publish(topic, mark) && within(100*time.Millisecond*slowdown, func() bool { return g.all(topic, mark) })
			})
		}
	}
}

func (g *group) all(topic, mark string) bool {
	for _, list := range g.clients {
		for _, c := range list {
			if c.topics[topic] != nil && !c.has("message", topic, mark) {
				return false
			}
		}
	}
	return true
}

// figures are what became of a group.
type figures struct {
	taken, lost, own, untold, doubt int
	told                            map[string]int // how often clients were told, by what
}

// finish ends the publishers.
func (g *group) finish() []published {
	g.t.Helper()
	made := make([]published, len(g.instances))
	for i, instance := range g.instances {
		instance.get("/end", &made[i])
	}
	g.through()
	return made
}

func (g *group) end(drops bool) figures {
	g.t.Helper()
	return g.examine(g.finish(), drops, topicNames...)
}

// examine checks what each client has got of some topics. From each publisher it has got what was published to a topic in order, and nothing twice; and where something is missing, it
// was told, or the publisher's instance was told that it is in doubt. A plain socket is not told, but its instance is. Unless instances drop what
// is too much for them, none misses more of its own than is in doubt: nothing that the server has confirmed.
func (g *group) examine(made []published, drops bool, topics ...string) (f figures) {
	g.t.Helper()
	f.told = map[string]int{}
	failed := map[string]int{}
	var slow time.Duration
	for i := range g.instances {
		doubt := int(g.instances[i].stats().InDoubt)
		f.doubt += doubt
		slow = max(slow, made[i].Slow)
		for text, n := range made[i].Failed {
			failed[text] += n
			if !strings.Contains(text, "broker unavailable") {
				g.t.Errorf("instance %d: a publication failed: %s", i, text)
			}
		}
		for at, list := range g.clients {
			gaps := g.instances[at].stats().Gaps
			for _, c := range list {
				gone, untold := 0, 0
				for _, topic := range c.names {
					if !slices.Contains(topics, topic) {
						continue
					}
					taken := made[i].Taken[topic]
					g, u := (&load{t: g.t}).missing(&node{diary: c.diary}, topic, i, taken)
					gone, untold, f.taken = gone+g, untold+u, f.taken+len(taken)
				}
				if c.kind == "plain" && gaps > 0 {
					untold = 0
				}
				f.lost, f.untold = f.lost+gone, f.untold+untold
				switch {
				case at == i:
					f.own += gone
					// What the network holds of a connection that was given up while it stalled can arrive behind the gap, in part.
					if untold > 0 && (g.mode != Core || untold > doubt) {
						g.t.Errorf("a %s client misses %d of its own instance, and was not told", c.kind, untold)
					}
					if !drops && c.kind != "returning" && gone > doubt {
						g.t.Errorf("a %s client misses %d of its own instance, which has %d in doubt", c.kind, gone, doubt)
					}
				case untold > doubt:
					g.t.Errorf("a %s client misses %d of another instance, and was not told; %d are in doubt there", c.kind, untold, doubt)
				}
			}
		}
	}
	for _, list := range g.clients {
		for _, c := range list {
			for _, o := range c.all() {
				if o.what == "lost" && slices.Contains(topics, o.name) {
					f.told[o.text]++
				}
			}
		}
	}
	if n := f.told["reset"]; n > 0 && g.mode != JetStream {
		g.t.Errorf("%d times reset, and nothing has an epoch", n)
	}
	if g.mode != Core && f.doubt > 0 {
		g.t.Errorf("%d are in doubt that the server has confirmed", f.doubt)
	}
	g.t.Logf("%v: %d deliveries due, %d lost (%d of them at their own instance; %d not told there, but in doubt elsewhere); clients told %v; in doubt %d; longest Publish %v; errors %v",
		topics, f.taken, f.lost, f.own, f.untold, f.told, f.doubt, slow.Round(time.Millisecond), failed)
	return f
}

// pauses are how long something took, again and again.
type pauses []time.Duration

func (p pauses) String() string {
	slices.Sort(p)
	return fmt.Sprintf("median %d ms, longest %d ms", p[len(p)/2].Milliseconds(), p[len(p)-1].Milliseconds())
}

// count is how often something is done. With the race detector, which makes it slow, it is done less often, and with -short, too.
func count(often int) int {
	switch {
	case testing.Short():
		return often / 10
	case slowdown > 1:
		return often / 5
	}
	return often
}

func eachMode(t *testing.T, test func(*testing.T, Mode)) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) { test(t, mode) })
	}
}

func TestProcessesWithoutFaults(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		g := running(t, mode, 3, "4ms", 1, nil)
		for range 5 {
			g.through()
		}
		if f := g.end(false); f.lost > 0 || f.doubt > 0 || f.taken == 0 {
			t.Errorf("%+v", f)
		}
	})
}

// killServer kills the server with signal 9, again and again. It returns how long it took until all instances were up again, and until each
// was reached by all.
func (g *group) killServer(times int) (up, through pauses) {
	g.t.Helper()
	for range times {
		g.server.kill()
		for _, instance := range g.instances {
			await(g.t, "down", func() bool { return instance.stats().Down })
		}
		g.start()
		begun := time.Now()
		g.awaitUp()
		up = append(up, time.Since(begun))
		g.through()
		through = append(through, time.Since(begun))
	}
	return up, through
}

// cutOff cuts the connection of an instance, again and again. It returns how long it took until each was reached by all.
func (g *group) cutOff(times int) (through pauses) {
	g.t.Helper()
	for i := range times {
		g.proxies[1].cut()
		if i%2 == 0 {
			await(g.t, "down", func() bool { return g.instances[1].stats().Down })
		}
		g.proxies[1].heal()
		begun := time.Now()
		g.through()
		through = append(through, time.Since(begun))
	}
	return through
}

// stall stalls the connection of an instance for that long, or until it has found that out.
func (g *group) stall(least time.Duration) {
	g.t.Helper()
	old := g.proxies[1].open()
	g.proxies[1].stall()
	begun, end := time.Now(), time.After(least)
	await(g.t, "down", func() bool { return g.instances[1].stats().Down })
	down := time.Since(begun)
	<-end
	g.proxies[1].lose(old)
	begun = time.Now()
	g.through()
	g.t.Logf("down after %d ms; all reached by all %d ms after the end", down.Milliseconds(), time.Since(begun).Milliseconds())
}

// TestServerIsKilled with signal 9, again and again, under three instances.
func TestServerIsKilled(t *testing.T) {
	kills := count(100)
	eachMode(t, func(t *testing.T, mode Mode) {
		g := running(t, mode, 3, "4ms", 1, nil)
		up, through := g.killServer(kills)
		f := g.end(false)
		t.Logf("%d kills; all up again after the server: %v; all reached by all: %v", kills, up, through)
		if limit := time.Second * slowdown; up[len(up)-1] > limit {
			t.Errorf("up after %v", up)
		}
		if f.lost == 0 {
			t.Error("nothing was lost, so nothing was tried")
		}
	})
}

// TestOneInstanceIsCutOff, again and again.
func TestOneInstanceIsCutOff(t *testing.T) {
	cuts := count(50)
	eachMode(t, func(t *testing.T, mode Mode) {
		g := running(t, mode, 2, "2ms", 1, nil)
		through := g.cutOff(cuts)
		g.end(false)
		t.Logf("%d cuts; all reached by all again: %v", cuts, through)
		for _, c := range g.clients[0] {
			if c.count("lost")+c.count("interrupted") > 0 {
				t.Errorf("a %s client of the other instance was disturbed", c.kind)
			}
		}
		if n := g.clients[1][1].count("interrupted"); n < cuts/2 || n != g.clients[1][1].count("restored") {
			t.Errorf("interrupted %d times, restored %d times", n, g.clients[1][1].count("restored"))
		}
	})
}

// TestOneInstanceStalls for 8 s: it finds that out by itself.
func TestOneInstanceStalls(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := running(t, mode, 2, "4ms", 1, nil)
			g.stall(8 * time.Second)
			if f := g.end(false); f.lost == 0 {
				t.Error("nothing was lost, so nothing was tried")
			}
		})
	}
}

// TestInstanceIsSlow: more comes than it may have in its queue.
func TestInstanceIsSlow(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		burst := 100
		if mode == Confirmed {
			burst = 1 // one waits for the server: there are no bursts of one publisher
		}
		g := running(t, mode, 2, "20ms", burst, func(c *processConfig, _ *server.Options) { c.MaxPending = 4 })
		await(t, "told of losses", func() bool { return mode == Confirmed || g.clients[0][1].count("lost") > 20 })
		if f := g.end(true); mode == Core && f.lost == 0 {
			t.Error("nothing was lost, so nothing was tried")
		}
	})
}

// TestServerFindsAnInstanceSlow, and ends its connection.
func TestServerFindsAnInstanceSlow(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		g := running(t, mode, 2, "4ms", 1, func(_ *processConfig, o *server.Options) { o.MaxPending, o.MaxPayload = 1<<20, 1<<20 })
		g.proxies[1].stall()
		begun := time.Now()
		for range 120 {
			if !g.instances[0].publish("a.b", strings.Repeat("x", 100_000)) {
				t.Error("not published")
			}
		}
		if took := time.Since(begun); took > 3*time.Second*slowdown {
			t.Logf("publishing took %v, so perhaps it was the instance that gave up", took)
		}
		g.proxies[1].heal()
		await(t, "down", func() bool { return g.clients[1][1].count("interrupted") == 1 })
		g.through()
		if f := g.end(false); f.lost == 0 {
			t.Error("nothing was lost, so nothing was tried")
		}
	})
}

// TestServerIsAwayAtTheStart: clients subscribe meanwhile, and publishers get errors.
func TestServerIsAwayAtTheStart(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		g := newGroup(t, mode, 2, nil)
		g.join()
		for i, instance := range g.instances {
			if instance.publish("a.b", "early") {
				t.Error("a publication without a server was taken")
			}
			await(t, "interrupted", func() bool { return g.clients[i][1].count("interrupted") > 0 })
		}
		if g.clients[0][1].count("subscribed") > 0 {
			t.Error("subscribed without a server")
		}
		g.start()
		begun := time.Now()
		for _, list := range g.clients {
			await(t, "subscribed", func() bool { return list[1].count("subscribed") == len(topicNames) })
		}
		took := time.Since(begun)
		g.begin("1ms", 1)
		g.through()
		t.Logf("all subscribed %d ms after the server was there", took.Milliseconds())
		if took > time.Second*slowdown {
			t.Errorf("subscribed after %v", took)
		}
		if f := g.end(false); f.lost > 0 || f.doubt > 0 {
			t.Errorf("%+v", f)
		}
		for _, list := range g.clients {
			if list[0].has("message", "a.b", "early") {
				t.Error("what failed came later")
			}
		}
	})
}

// TestSubscribedMeansInForce: a client that was answered gets what any instance publishes from then on, and one that publishes behind
// its subscription gets that.
func TestSubscribedMeansInForce(t *testing.T) {
	rounds := count(300)
	g := newGroup(t, Core, 2, nil)
	g.start()
	g.awaitUp()
	var names []string
	for i := range rounds {
		names = append(names, fmt.Sprint("fresh-", i))
	}
	c, publisher := newSubscriber(t, "v2", g.instances[0].addr), newSubscriber(t, "v2", g.instances[0].addr)
	for i, name := range names {
		c.subscribe(name)
		await(t, "subscribed", func() bool { return c.has("subscribed", name, "") })
		if !g.instances[1].publish(name, "other") {
			t.Fatal("not published")
		}
		publisher.subscribe(name+"-own", fmt.Sprintf(`{"id":%d,"pub":%q,"data":"own"}`, 1_000_000+i, name+"-own"))
	}
	for _, name := range names {
		if !within(time.Second*slowdown, func() bool { return c.has("message", name, "other") }) {
			t.Fatalf("a publication to %s did not come, though the subscription was in force", name)
		}
		if !within(time.Second*slowdown, func() bool { return publisher.has("message", name+"-own", "own") }) {
			t.Fatalf("a client's own publication to %s-own did not come", name)
		}
	}
}

// TestInstanceWithManyTopics: their subscriptions are in force within a second, and again within a second after the server is.
func TestInstanceWithManyTopics(t *testing.T) {
	const many = 10_000
	g := newGroup(t, Core, 2, nil)
	g.start()
	g.awaitUp()
	var names []string
	for i := range many {
		names = append(names, fmt.Sprint("topic-", i))
	}
	c := newSubscriber(t, "v2", g.instances[0].addr, names...)
	begun := time.Now()
	await(t, "subscribed", func() bool { return c.count("subscribed") == many })
	first := time.Since(begun)
	for _, name := range []string{"topic-0", "topic-9999"} {
		if !g.instances[1].publish(name, "x") {
			t.Error("not published")
		}
		await(t, "a publication", func() bool { return c.has("message", name, "x") })
	}
	g.server.kill()
	await(t, "down", func() bool { return g.instances[0].stats().Down })
	g.start()
	begun = time.Now()
	g.awaitUp()
	again := time.Since(begun)
	for _, name := range []string{"topic-0", "topic-9999"} {
		if !g.instances[1].publish(name, "y") {
			t.Error("not published")
		}
		await(t, "a publication", func() bool { return c.has("message", name, "y") })
	}
	await(t, "the client is told of all gaps", func() bool { return c.count("lost") == many })
	t.Logf("%d topics: in force after %d ms, and %d ms after the server was there again", many, first.Milliseconds(), again.Milliseconds())
	if limit := time.Second * slowdown; first > limit || again > limit {
		t.Errorf("in force after %v, and again after %v", first, again)
	}
}

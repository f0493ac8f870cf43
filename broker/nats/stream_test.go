package natsbroker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// TestStreamIsDeleted while all are connected: it is made anew, all are told, and everything of the new one comes.
func TestStreamIsDeleted(t *testing.T) {
	s := startServer(t, withJetStream(t))
	a, b := keepNode(t, s.url(), Options{}), keepNode(t, s.url(), Options{})
	books := newBooks(t)
	all := []*ledger{a.listen("x"), b.listen("x"), b.listen("quiet")}
	js := apiOf(t, s)
	stop := books.load("x", a, b)
	for i := range 5 {
		books.through(a, fmt.Sprint("mark ", i), all[:2]...)
		old := all[0].epoch()
		must(t, js.DeleteStream(timeout(t, patience), "tank"))
		for _, l := range all {
			await(t, "another epoch", func() bool { return l.epoch() != old })
		}
	}
	stop()
	books.through(a, "mark", all...)
	books.audit(all...)
	for i, l := range all {
		if l.losses() < 5 {
			t.Errorf("ledger %d was told %d times", i, l.losses())
		}
	}
	if a.count("down")+b.count("down") > 0 {
		t.Errorf("a node went down: %v %v", a.diary.all(), b.diary.all())
	}
}

// TestStreamIsMadeAnewUnnoticed: without a hint, the slow clock finds out, or the first message whose number is not above that of an earlier one.
func TestStreamIsMadeAnewUnnoticed(t *testing.T) {
	for name, clock := range map[string]time.Duration{"clock": 50 * time.Millisecond, "message": time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, withJetStream(t))
			n := slowNode(t, s, clock)
			l := n.listen("x")
			n.keep("x", "1")
			await(t, "it comes", func() bool { return l.got("1") })
			old := l.epoch()
			js := apiOf(t, s)
			n.keeper.unsubscribeHint()
			must(t, n.conn.Flush())
			must(t, js.DeleteStream(timeout(t, patience), "tank"))
			_, err := js.CreateStream(timeout(t, patience), n.keeper.config())
			must(t, err)
			if name == "message" {
				_, err := js.Publish(timeout(t, patience), "tank.p.x", []byte("first of the new one"))
				must(t, err)
				await(t, "it comes", func() bool { return l.got("first of the new one") })
			}
			await(t, "another epoch", func() bool { return l.epoch() != old })
			if r := n.keep("x", "2"); r.Epoch != l.epoch() {
				t.Errorf("a receipt of epoch %s", r.Epoch)
			}
			await(t, "what follows", func() bool { return l.got("2") })
			if l.losses() != 1 {
				t.Errorf("told %d times", l.losses())
			}
		})
	}
}

// slowNode has another slow clock.
func slowNode(t testing.TB, s *natsServer, clock time.Duration) *node {
	t.Helper()
	return nodeWith(t, s.url(), func(k *keeper) { k.slow = clock })
}

// nodeWith has a keeper that is set up by a function.
func nodeWith(t testing.TB, url string, set func(*keeper)) *node {
	t.Helper()
	b, err := New(Options{URL: url, Mode: JetStream, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	set(b.keeper)
	n := &node{b, new(diary), t}
	must(t, b.Open(n.diary))
	t.Cleanup(func() { _ = b.Close(timeout(t, patience)) })
	await(t, "up", n.isUp)
	return n
}

// TestSlowClockFindsWhatDidNotCome: messages that are lost on their way, like on a broken route of a cluster, which nobody is told of.
func TestSlowClockFindsWhatDidNotCome(t *testing.T) {
	s := startServer(t, withJetStream(t))
	n, other := slowNode(t, s, 50*time.Millisecond), keepNode(t, s.url(), Options{})
	l := n.listen("x")
	other.keep("x", "1")
	await(t, "the first", func() bool { return l.got("1") })
	find := n.deaf(l)
	other.keep("x", "2")
	other.keep("x", "3")
	await(t, "what did not come", func() bool { return l.got("2") && l.got("3") })
	find()
	other.keep("x", "4")
	await(t, "what follows", func() bool { return l.got("4") })
	calm(t, l)
}

// TestGapIsFilled: the next message shows that some did not come.
func TestGapIsFilled(t *testing.T) {
	s := startServer(t, withJetStream(t))
	n, other := slowNode(t, s, time.Hour), keepNode(t, s.url(), Options{})
	books := newBooks(t)
	x, empty := n.listen("x"), n.listen("empty")
	books.through(other, "1", x)
	for _, l := range []*ledger{x, empty} {
		hear := n.deaf(l)
		must(t, books.publish(other, l.name, "2"))
		must(t, books.publish(other, l.name, "3"))
		must(t, n.conn.Flush())
		await(t, "they are dropped", func() bool { return len(n.in) == 0 })
		hear()
		books.through(other, "4", l)
	}
	books.audit(x, empty)
	calm(t, x, empty)
}

// deaf drops what NATS brings for a ledger, until hear is called.
func (n *node) deaf(l *ledger) (hear func()) {
	n.Broker.mu.Lock()
	defer n.Broker.mu.Unlock()
	f := n.feeds[l]
	delete(n.bySub, f.sub)
	return func() {
		n.Broker.mu.Lock()
		defer n.Broker.mu.Unlock()
		n.bySub[f.sub] = f
	}
}

// TestStreamIsPurged while all are connected: nothing is missing, and nobody is told. What was published to a node that was away is told.
func TestStreamIsPurged(t *testing.T) {
	for name, options := range map[string][]jetstream.StreamPurgeOpt{"whole": nil, "one subject": {jetstream.WithPurgeSubject("tank.p.x")}} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, withJetStream(t))
			p := newProxy(t, s.addr())
			a, b := keepNode(t, s.url(), Options{}), keepNode(t, p.url(), Options{})
			books := newBooks(t)
			x := []*ledger{a.listen("x"), b.listen("x")}
			must(t, books.publish(a, "other", "stays"))
			for i := range 3 {
				books.through(a, fmt.Sprint("before ", i), x...)
				must(t, streamOf(t, s).Purge(timeout(t, patience), options...))
				books.through(b, fmt.Sprint("after ", i), x...)
			}
			calm(t, x...)
			p.cut()
			await(t, "down", func() bool { return !b.isUp() })
			must(t, books.publish(a, "x", "gone"))
			must(t, streamOf(t, s).Purge(timeout(t, patience), options...))
			must(t, books.publish(a, "x", "last"))
			p.heal()
			await(t, "what is left", func() bool { return x[1].got("last") })
			books.audit(x...)
			calm(t, x[0])
			if x[1].losses() != 1 || x[1].got("gone") {
				t.Errorf("%+v", x[1].all())
			}
		})
	}
}

// TestLimitsDropWhatIsOld: age, bytes, messages of a name. A node that is connected gets all. One that was away is told, unless what it
// missed is still there.
func TestLimitsDropWhatIsOld(t *testing.T) {
	data := strings.Repeat("x", 1000)
	for name, stream := range map[string]StreamOptions{
		"age": {Age: 200 * time.Millisecond, Duplicates: 200 * time.Millisecond}, "bytes": {Bytes: 20_000}, "messages": {Messages: 10},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, withJetStream(t))
			p := newProxy(t, s.addr())
			a, b := keepNode(t, s.url(), Options{Stream: stream}), keepNode(t, p.url(), Options{Stream: stream})
			books := newBooks(t)
			must(t, books.publish(a, "other", "stays first, unless it is old"))
			x, y, empty := []*ledger{a.listen("x"), b.listen("x")}, b.listen("y"), b.listen("empty")
			publish := func(what string) {
				for i := range 50 {
					must(t, books.publish(a, "x", fmt.Sprint(what, i, data)))
				}
			}
			publish("connected ")
			books.through(b, "all", x[0], x[1], y)
			if stream.Age > 0 {
				await(t, "all has expired", func() bool {
					info, err := streamOf(t, s).Info(timeout(t, patience))
					return err == nil && info.State.Msgs == 0
				})
				books.through(b, "after that", x[0], x[1], y)
			}
			calm(t, x[0], x[1], y)
			p.cut()
			await(t, "down", func() bool { return !b.isUp() })
			publish("away ")
			must(t, books.publish(a, "y", "small"))
			for i := range 20 {
				must(t, books.publish(a, "empty", fmt.Sprint(i, data)))
			}
			if stream.Age > 0 {
				await(t, "all has expired", func() bool {
					info, err := streamOf(t, s).Info(timeout(t, patience))
					return err == nil && info.State.Msgs == 0
				})
			}
			p.heal()
			await(t, "up", b.isUp)
			books.through(a, "last", x[0], x[1], y, empty)
			books.audit(x[0], x[1], y, empty)
			calm(t, x[0])
			if x[1].losses() == 0 || empty.losses() == 0 {
				t.Error("nobody was told of what is gone")
			}
			if name == "messages" {
				calm(t, y) // all of it is there
			}
		})
	}
}

// TestStreamIsMadeOnce, however many instances come first at once.
func TestStreamIsMadeOnce(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	s := startServer(t, withJetStream(t))
	for round := range rounds {
		o := Options{Group: fmt.Sprint("g", round), Stream: StreamOptions{Memory: true, Bytes: 1 << 20}} // a server reserves that
		var wg sync.WaitGroup
		nodes, ledgers := make([]*node, 4), make([]*ledger, 4)
		for i := range nodes {
			wg.Go(func() {
				o := o
				o.URL, o.Mode, o.Logger = s.url(), JetStream, slog.New(slog.DiscardHandler)
				b, err := New(o)
				if err != nil {
					t.Error(err)
					return
				}
				nodes[i], ledgers[i] = &node{b, new(diary), t}, &ledger{name: "x"}
				_ = b.Open(nodes[i].diary)
				if err := b.Subscribe(timeout(t, patience), []broker.Subscription{{Name: "x", Keep: true, To: ledgers[i]}}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for i, n := range nodes {
			if r := n.keep("x", fmt.Sprint(i)); r.Epoch != ledgers[0].epoch() {
				t.Errorf("round %d: a receipt of epoch %s", round, r.Epoch)
			}
		}
		for _, l := range ledgers {
			for i := range nodes {
				await(t, "all", func() bool { return l.got(fmt.Sprint(i)) })
			}
			if l.epoch() != ledgers[0].epoch() || l.losses() > 0 {
				t.Errorf("round %d: epochs %s and %s", round, l.epoch(), ledgers[0].epoch())
			}
		}
		for _, n := range nodes {
			must(t, n.Close(timeout(t, patience)))
		}
	}
}

// TestStreamThatIsThere: with other limits, it is used. Without what a Broker needs, there is no connection, until it has that.
func TestStreamThatIsThere(t *testing.T) {
	s := startServer(t, withJetStream(t))
	js := apiOf(t, s)
	config := jetstream.StreamConfig{Name: "tank", Subjects: []string{"tank.p.>"}, MaxMsgsPerSubject: 7}
	_, err := js.CreateStream(timeout(t, patience), config)
	must(t, err)
	var text logged
	n := open(t, Options{URL: s.url(), Mode: JetStream, Logger: slog.New(slog.NewTextHandler(&text, nil))})
	await(t, "down", func() bool { return n.count("down") == 1 })
	if cause := n.all()[0].text; !strings.Contains(cause, "republishing") || !strings.Contains(cause, "direct access") {
		t.Errorf("the cause is %q", cause)
	}
	if _, err := n.Publish(context.Background(), "plain", broker.Publication{}); !errors.Is(err, broker.ErrDown) {
		t.Errorf("Publish: %v", err)
	}
	if err := n.Subscribe(timeout(t, 50*time.Millisecond), n.wish("plain")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Subscribe: %v", err)
	}
	config.AllowDirect, config.RePublish = true, &jetstream.RePublish{Source: "tank.p.>", Destination: "tank.d.>"}
	_, err = js.UpdateStream(timeout(t, patience), config)
	must(t, err)
	await(t, "up", n.isUp)
	l := n.listen("x")
	n.keep("x", "1")
	await(t, "it comes", func() bool { return l.got("1") })
	if got := text.String(); strings.Count(got, "level=ERROR") != 1 || strings.Count(got, "other limits") != 1 || !strings.Contains(got, `messages="7, not 2000"`) {
		t.Errorf("logged: %s", got)
	}
	direct, silent := config, config
	direct.AllowDirect, silent.NoAck = false, true
	for i, one := range []jetstream.StreamConfig{direct, silent} { // while it is in use
		_, err = js.UpdateStream(timeout(t, patience), one)
		must(t, err)
		await(t, "down", func() bool { return !n.isUp() })
		_, err = js.UpdateStream(timeout(t, patience), config)
		must(t, err)
		await(t, "up", n.isUp)
		data := fmt.Sprint("again ", i)
		n.keep("x", data)
		await(t, "it comes", func() bool { return l.got(data) })
	}
	calm(t, l)
}

// logged is what was logged.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// TestServerWithoutJetStream is no connection.
func TestServerWithoutJetStream(t *testing.T) {
	s := startServer(t)
	n := open(t, Options{URL: s.url(), Mode: JetStream})
	await(t, "down", func() bool { return n.count("down") == 1 })
	if n.count("up") > 0 {
		t.Errorf("%v", n.all())
	}
}

// TestManyKeptNames: tails are asked for in pieces, and all begin where their name stands.
func TestManyKeptNames(t *testing.T) {
	for _, many := range []int{1025, 10_000} {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			s := startServer(t, withJetStream(t))
			a, b := keepNode(t, s.url(), Options{}), keepNode(t, s.url(), Options{})
			ledgers := make([]*ledger, many)
			var subs []broker.Subscription
			for i := range ledgers {
				ledgers[i] = &ledger{name: fmt.Sprint("topic.", i)}
				subs = append(subs, broker.Subscription{Name: ledgers[i].name, Keep: true, To: ledgers[i]})
			}
			some := []int{0, 1023, 1024, many - 1}
			receipts := make(map[int]broker.Receipt)
			for _, i := range some {
				receipts[i] = a.keep(ledgers[i].name, "before")
			}
			begun := time.Now()
			must(t, b.Subscribe(timeout(t, patience), subs))
			took := time.Since(begun)
			for i, l := range ledgers {
				list := l.all()
				if r, is := receipts[i]; len(list) != 1 || list[0].epoch == "" || is && list[0].offset != r.Offset {
					t.Fatalf("%s: %+v, %+v", l.name, list, r)
				}
			}
			s.stop()
			await(t, "down", func() bool { return !b.isUp() && !a.isUp() })
			s.start()
			await(t, "up", func() bool { return b.isUp() && a.isUp() })
			for _, i := range some {
				a.keep(ledgers[i].name, "after")
				await(t, "it comes", func() bool { return ledgers[i].got("after") })
			}
			calm(t, ledgers...)
			if t.Logf("%d in force after %v", many, took); took > time.Second*slowdown {
				t.Error("that is too slow")
			}
		})
	}
}

// TestOthersCanPublishWhatIsKept, with plain text, and what cannot be read is told.
func TestOthersCanPublishWhatIsKept(t *testing.T) {
	s := startServer(t, withJetStream(t))
	n, js := keepNode(t, s.url(), Options{}), apiOf(t, s)
	l, books := n.listen("日 x"), newBooks(t)
	for _, data := range []string{"hello", "\xff\x02new", "\xff\x01\x04\x05", "\xff\x01\x02\x00\x00", "\xff\x01\x04\x02\x05\xff\x01\x02\x00\x00\x01x", "bye"} {
		_, err := js.Publish(timeout(t, patience), "tank.p.=E6=97=A5=20x", []byte(data))
		must(t, err)
	}
	await(t, "the last", func() bool { return l.got("bye") })
	books.audit(l)
	list := l.all()
	if l.losses() != 3 || !strings.Contains(list[2].lost.Error(), "version 2") || !list[6].message.Reset || !l.got("hello") {
		t.Errorf("%+v", list)
	}
	must(t, n.conn.Publish("tank.d.=E6=97=A5=20x", []byte("not from the stream")))
	n.keep("日 x", "end")
	await(t, "the end", func() bool { return l.got("end") })
	if l.got("not from the stream") {
		t.Error("it came")
	}
}

// TestPagesOfHistory go across packs, and say whether they are whole.
func TestPagesOfHistory(t *testing.T) {
	s := startServer(t, withJetStream(t))
	n := keepNode(t, s.url(), Options{Stream: StreamOptions{Messages: 300}})
	l := n.listen("x")
	var wg sync.WaitGroup
	for i := range 2000 {
		wg.Go(func() { n.keep("x", fmt.Sprint(i)) })
	}
	wg.Wait()
	await(t, "all", func() bool { return len(l.all()) == 2001 })
	var all []broker.Message
	for _, one := range l.all()[1:] {
		all = append(all, one.message)
	}
	for _, most := range []int{1, 7, 1000, 5000} {
		for from := 0; from < len(all); from += 397 {
			at, got, pages := all[from].Offset, 0, 0
			for more := true; more && pages < 20; pages++ {
				page, err := n.After(timeout(t, patience), "x", l.epoch(), at, most)
				must(t, err)
				if !page.Whole || len(page.Messages) > most {
					t.Fatalf("from %d: %d messages, whole: %v", from, len(page.Messages), page.Whole)
				}
				for _, m := range page.Messages {
					want := all[from+1+got]
					if m.Data != want.Data || m.Offset != want.Offset || m.Prev != at || m.At.IsZero() {
						t.Fatalf("%+v, want %+v", m, want)
					}
					at = m.Offset
					got++
				}
				more = page.More
			}
			if pages < 20 && from+1+got != len(all) {
				t.Fatalf("from %d, %d at a time: %d came", from, most, got)
			}
		}
	}
	for i := range 400 { // all before is evicted
		n.keep("x", fmt.Sprint("later ", i))
	}
	for at, want := range map[uint64]bool{0: false, all[5].Offset: false, l.last().Offset: true} {
		page, err := n.After(timeout(t, patience), "x", l.epoch(), at, 1000)
		if must(t, err); page.Whole != want {
			t.Errorf("after %d, whole: %v", at, page.Whole)
		}
		if !want && (len(page.Messages) != 300 || page.Messages[0].Data != "later 100") {
			t.Errorf("%d messages", len(page.Messages))
		}
	}
	if _, err := n.After(timeout(t, patience), "x", "other", 0, 10); !errors.Is(err, broker.ErrEpoch) {
		t.Errorf("%v", err)
	}
}

// TestFits: a history fits if one message more is kept.
func TestFits(t *testing.T) {
	b, err := New(Options{Mode: JetStream, Stream: StreamOptions{Messages: 100, Age: time.Hour}})
	must(t, err)
	for _, c := range []struct {
		messages int
		age      time.Duration
		fits     bool
	}{{99, time.Hour, true}, {1, 0, true}, {100, 0, false}, {0, time.Minute, false}, {1, 2 * time.Hour, false}} {
		if err := b.Fits(c.messages, c.age); (err == nil) != c.fits {
			t.Errorf("%+v: %v", c, err)
		}
	}
	b, err = New(Options{Mode: Confirmed})
	must(t, err)
	if err := b.Fits(1, 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v", err)
	}
	if _, err := b.After(context.Background(), "x", "e", 0, 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v", err)
	}
}

// TestResetPurges what was before it, and stays.
func TestResetPurges(t *testing.T) {
	s := startServer(t, withJetStream(t))
	n := keepNode(t, s.url(), Options{})
	l := n.listen("x")
	for i := range 10 {
		n.keep("x", fmt.Sprint(i))
	}
	r, err := n.Publish(timeout(t, patience), "x", broker.Publication{Keep: true, Reset: true})
	must(t, err)
	n.keep("x", "behind")
	await(t, "purged", func() bool {
		info, err := streamOf(t, s).Info(timeout(t, patience))
		return err == nil && info.State.Msgs == 2
	})
	await(t, "it comes", func() bool { return l.got("behind") })
	if list := l.all(); !list[11].message.Reset || list[11].message.Offset != r.Offset {
		t.Errorf("%+v", list)
	}
	calm(t, l)
}

// TestLargestThatIsKept: a publication that just fits, and packs that never do not.
func TestLargestThatIsKept(t *testing.T) {
	s := startServer(t, withJetStream(t), func(o *server.Options) { o.MaxPayload = 4000 })
	n := keepNode(t, s.url(), Options{})
	l := n.listen("x")
	n.keep("x", strings.Repeat("x", 4000-keptHead))
	long := strings.Repeat("n", 2000)
	must(t, n.Subscribe(timeout(t, patience), []broker.Subscription{{Name: long, Keep: true, To: &ledger{}}}))
	if _, err := n.Publish(context.Background(), "x", broker.Publication{Data: strings.Repeat("x", 4001-keptHead), Keep: true}); !errors.Is(err, broker.ErrTooBig) {
		t.Errorf("%v", err)
	}
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() { n.keep("x", fmt.Sprint(i, strings.Repeat("y", 500))) })
	}
	wg.Wait()
	await(t, "all", func() bool { return len(l.all()) == 102 })
	calm(t, l)
}

// TestStreamRefuses: what the stream does not take is an error with its text, and the next one is tried.
func TestStreamRefuses(t *testing.T) {
	s := startServer(t, withJetStream(t))
	js := apiOf(t, s)
	n := keepNode(t, s.url(), Options{})
	config := n.keeper.config()
	config.MaxMsgSize = 100
	_, err := js.UpdateStream(timeout(t, patience), config)
	must(t, err)
	for range 2 {
		_, err := n.Publish(timeout(t, patience), "x", broker.Publication{Data: strings.Repeat("x", 200), Keep: true})
		if err == nil || !strings.Contains(err.Error(), "exceeds maximum") {
			t.Errorf("%v", err)
		}
		n.keep("x", "fits")
	}
}

// TestPublicationEndsWithItsCallers: the others of a pack go on, in order, and a publication that nobody waits for is given up.
func TestPublicationEndsWithItsCallers(t *testing.T) {
	s := startServer(t, withJetStream(t))
	p := newProxy(t, s.addr())
	n := keepNode(t, p.url(), Options{})
	l := keepNode(t, s.url(), Options{}).listen("x")
	p.stall()
	results := make(chan error, 2)
	publish := func(ctx context.Context, data string) {
		_, err := n.Publish(ctx, "x", broker.Publication{Data: data, Keep: true})
		results <- err
	}
	go publish(timeout(t, 50*time.Millisecond), "1")
	if err := <-results; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	go publish(timeout(t, patience), "2")
	await(t, "it waits", func() bool {
		n.keeper.mu.Lock()
		defer n.keeper.mu.Unlock()
		return len(n.keeper.lanes["tank.p.x"].waiting) == 1
	})
	p.heal()
	must(t, <-results)
	await(t, "the second", func() bool { return l.got("2") })
	if list := l.all(); list[len(list)-1].message.Data != "2" || l.got("1") && list[1].message.Data != "1" {
		t.Errorf("%+v", list)
	}
}

// TestPermissionsOfAStream: what a node may not publish is an error soon.
func TestPermissionsOfAStream(t *testing.T) {
	s := startServer(t, withJetStream(t), func(o *server.Options) {
		may := &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"tank.p.secret"}}}
		o.Users = []*server.User{{Username: "u", Password: "p", Permissions: may}}
	})
	n := keepNode(t, s.url(), Options{NATS: []nats.Option{nats.UserInfo("u", "p")}})
	begun := time.Now()
	for range 2 {
		_, err := n.Publish(context.Background(), "secret", broker.Publication{Keep: true})
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%v", err)
		}
		n.keep("x", "may be")
	}
	if took := time.Since(begun); took > apiTimeout {
		t.Errorf("it took %v", took)
	}
}

// TestErrorsBeforeOpen: a connection of the user's may report errors before its Broker is opened.
func TestErrorsBeforeOpen(t *testing.T) {
	s := startServer(t, withJetStream(t), func(o *server.Options) {
		may := &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"secret"}}}
		o.Users = []*server.User{{Username: "u", Password: "p", Permissions: may}}
	})
	reported := make(chan error, 1)
	handler := nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { reported <- err })
	nc := plainClient(t, s.url(), nats.UserInfo("u", "p"), handler, Prepare)
	b, err := New(Options{Conn: nc, Mode: JetStream})
	must(t, err)
	must(t, nc.Publish("secret", nil))
	if err := <-reported; !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("reported %v", err)
	}
	must(t, b.Open(new(diary)))
	must(t, b.Close(timeout(t, patience)))
}

func TestStreamOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"only the mode": {Stream: StreamOptions{Replicas: 1}}, "1 to 5": {Mode: JetStream, Stream: StreamOptions{Replicas: 6}},
		"negative":                       {Mode: JetStream, Stream: StreamOptions{Bytes: -1}},
		"may not be longer than its Age": {Mode: JetStream, Stream: StreamOptions{Age: time.Minute, Duplicates: time.Hour}},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	b, err := New(Options{Mode: JetStream, Group: "a.b-c", Stream: StreamOptions{Age: time.Minute}})
	must(t, err)
	want := StreamOptions{Replicas: 1, Messages: 2000, Age: time.Minute, Bytes: 1 << 30, Duplicates: time.Minute}
	if b.options.Stream != want || b.keeper.name != "a=2Eb-c" {
		t.Errorf("%+v, %s", b.options.Stream, b.keeper.name)
	}
}

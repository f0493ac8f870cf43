package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// withJetStream has a server keep streams, in a directory of the test.
func withJetStream(t testing.TB) func(*server.Options) {
	dir := t.TempDir()
	return func(o *server.Options) { o.JetStream, o.StoreDir = true, dir }
}

// streamOf is the stream of the default group.
func streamOf(t testing.TB, s *natsServer) jetstream.Stream {
	t.Helper()
	stream, err := apiOf(t, s).Stream(timeout(t, patience), "tank")
	must(t, err)
	return stream
}

func apiOf(t testing.TB, s *natsServer) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(plainClient(t, s.url()))
	must(t, err)
	return js
}

// told is what a Receiver of a kept name was told.
type told struct {
	lost    error
	epoch   string // Began
	offset  uint64 // Began
	message broker.Message
}

// ledger is a Receiver of a name that is kept.
type ledger struct {
	name  string
	block chan struct{} // Deliver waits for it, if there is one

	mu   sync.Mutex
	list []told
	has  map[string]int // data that was delivered, and how often
	gaps int            // Lost
}

func (l *ledger) Began(epoch string, offset uint64) { l.add(told{epoch: epoch, offset: offset}) }
func (l *ledger) Lost(cause error)                  { l.add(told{lost: cause}) }
func (l *ledger) Deliver(list []broker.Message) {
	for _, m := range list {
		l.add(told{message: m})
	}
	if l.block != nil {
		<-l.block
	}
}

// stands returns the offset of the last message.
func (l *ledger) stands() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == 0 {
		return 0
	}
	return l.list[len(l.list)-1].message.Offset
}

func (l *ledger) add(one told) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, one)
	switch {
	case one.lost != nil:
		l.gaps++
	case one.epoch == "":
		if l.has == nil {
			l.has = make(map[string]int)
		}
		l.has[one.message.Data]++
	}
}

func (l *ledger) got(data string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.has[data] > 0
}

func (l *ledger) losses() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gaps
}

// all is what it was told so far.
func (l *ledger) all() []told {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// calm checks that nobody was told of a loss.
func calm(t testing.TB, all ...*ledger) {
	t.Helper()
	for i, l := range all {
		for _, one := range l.all() {
			if one.lost != nil {
				t.Errorf("ledger %d was told: %v", i, one.lost)
			}
		}
	}
}

// epoch is the last one.
func (l *ledger) epoch() (epoch string) {
	for _, one := range l.all() {
		if one.epoch != "" {
			epoch = one.epoch
		}
	}
	return epoch
}

func (l *ledger) last() (m broker.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list[len(l.list)-1].message
}

// keepNode is a node in mode JetStream.
func keepNode(t testing.TB, url string, o Options) *node {
	t.Helper()
	o.URL, o.Mode = url, JetStream
	return upNode(t, o)
}

func (n *node) listen(name string) *ledger {
	n.t.Helper()
	l := &ledger{name: name}
	must(n.t, n.Subscribe(timeout(n.t, patience), []broker.Subscription{{Name: name, Keep: true, To: l}}))
	return l
}

func (n *node) keep(name, data string) broker.Receipt {
	n.t.Helper()
	r, err := n.Publish(timeout(n.t, patience), name, broker.Publication{Data: data, Keep: true})
	must(n.t, err)
	return r
}

// books are publications that were stored, and the ledgers that have to have them.
type books struct {
	t testing.TB

	mu     sync.Mutex
	stored map[string]map[broker.Receipt]string // data, by name
	failed map[string]int                       // errors of Publish, by their text
}

func newBooks(t testing.TB) *books {
	return &books{t: t, stored: make(map[string]map[broker.Receipt]string), failed: make(map[string]int)}
}

// publish enters what was stored.
func (b *books) publish(n *node, name, data string) error {
	r, err := n.Publish(timeout(b.t, patience), name, broker.Publication{Data: data, Keep: true})
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
		if b.stored[name] == nil {
			b.stored[name] = make(map[broker.Receipt]string)
		}
		if other, is := b.stored[name][r]; is || r.Duplicate {
			b.t.Errorf("%q has the receipt %+v, like %q", data, r, other)
		}
		b.stored[name][r] = data
	case errors.Is(err, broker.ErrDown), errors.Is(err, ErrUnconfirmed):
		b.failed[err.Error()]++
	default:
		b.t.Errorf("Publish: %v", err)
	}
	return err
}

// through publishes to the names of ledgers, and waits until all have it.
func (b *books) through(n *node, data string, all ...*ledger) {
	b.t.Helper()
	published := make(map[string]bool)
	for _, l := range all {
		if !published[l.name] {
			await(b.t, "publication "+data, func() bool { return b.publish(n, l.name, data) == nil })
			published[l.name] = true
		}
	}
	for i, l := range all {
		await(b.t, fmt.Sprintf("publication %s at ledger %d", data, i), func() bool { return l.got(data) })
	}
}

// load publishes numbers from each node to a name, until stop is called.
func (b *books) load(name string, nodes ...*node) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i, n := range nodes {
		for lane := range 3 {
			wg.Go(func() {
				tick := time.NewTicker(2 * time.Millisecond)
				defer tick.Stop()
				for number := 0; ; number++ {
					select {
					case <-done:
						return
					case <-tick.C:
						_ = b.publish(n, name, fmt.Sprintf("%d/%d %d", i, lane, number))
					}
				}
			})
		}
	}
	stop = sync.OnceFunc(func() {
		close(done)
		wg.Wait()
	})
	b.t.Cleanup(stop)
	return stop
}

// audit checks ledgers: positions follow each other, what is missing was told, all nodes have one order, and what was stored was delivered.
func (b *books) audit(all ...*ledger) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	at := make(map[string]string) // data, by name, epoch and offset
	delivered := 0
	for i, l := range all {
		has := make(map[broker.Receipt]bool)
		lost := make(map[string][][2]uint64) // ranges of offsets, by epoch
		var epoch string
		var pos uint64
		begun := false
		for _, one := range l.all() {
			m := one.message
			switch {
			case one.lost != nil:
				begun = false
			case one.epoch != "":
				if begun || one.epoch == epoch && one.offset < pos {
					b.t.Errorf("ledger %d: Began at %s %d, at %s %d", i, one.epoch, one.offset, epoch, pos)
				}
				if one.epoch == epoch {
					lost[epoch] = append(lost[epoch], [2]uint64{pos, one.offset})
				} else {
					lost[epoch] = append(lost[epoch], [2]uint64{pos, 1 << 63})
					lost[one.epoch] = append(lost[one.epoch], [2]uint64{0, one.offset})
				}
				begun, epoch, pos = true, one.epoch, one.offset
			default:
				key := fmt.Sprint(l.name, " ", epoch, " ", m.Offset)
				if other, is := at[key]; is && other != m.Data {
					b.t.Errorf("ledger %d: %s is %q, and %q elsewhere", i, key, m.Data, other)
				}
				if at[key] = m.Data; !begun || m.Prev != pos || m.Offset <= pos {
					b.t.Errorf("ledger %d: %q has offset %d and previous %d, at %d", i, m.Data, m.Offset, m.Prev, pos)
				}
				pos = m.Offset
				has[broker.Receipt{Epoch: epoch, Offset: m.Offset}] = true
				delivered++
			}
		}
		for r, data := range b.stored[l.name] {
			told := false
			for _, span := range lost[r.Epoch] {
				told = told || span[0] < r.Offset && r.Offset <= span[1]
			}
			if !has[r] && !told {
				b.t.Errorf("ledger %d: %q was stored as %+v, did not come, and nobody was told", i, data, r)
			}
			if key := fmt.Sprint(l.name, " ", r.Epoch, " ", r.Offset); has[r] && at[key] != data {
				b.t.Errorf("ledger %d: %s is %q, and the receipt of %q", i, key, at[key], data)
			}
		}
	}
	b.t.Logf("%d delivered, errors %v", delivered, b.failed)
}

// once checks that nothing came twice, not even in two epochs.
func (b *books) once(all ...*ledger) {
	b.t.Helper()
	for i, l := range all {
		l.mu.Lock()
		has := maps.Clone(l.has)
		l.mu.Unlock()
		for data, times := range has {
			if times > 1 && !strings.HasPrefix(data, "mark") {
				b.t.Errorf("ledger %d: %q came %d times", i, data, times)
			}
		}
	}
}

// storages are the two kinds of storage.
var storages = map[string]StreamOptions{"file": {}, "memory": {Memory: true}}

// TestKeptIsDelivered with the numbers of the receipts, on all nodes, and joined by a subscription that begins later.
func TestKeptIsDelivered(t *testing.T) {
	s := startServer(t, withJetStream(t))
	a, b := keepNode(t, s.url(), Options{}), keepNode(t, s.url(), Options{})
	books := newBooks(t)
	all := []*ledger{a.listen("x"), b.listen("x")}
	stop := books.load("x", a, b)
	for range 20 {
		one := b.listen("x")
		await(t, "some", func() bool { return one.last().Data != "" })
		all = append(all, one)
	}
	stop()
	books.through(a, "mark", all...)
	books.audit(all...)
	books.once(all...)
	calm(t, all...)
	if at := all[0].list[1].message.At; !at.IsZero() {
		t.Errorf("what just came is from %v", at)
	}
}

// TestPacks: publications that come at the same time share a message of the stream, in order, and those with a key do not.
func TestPacks(t *testing.T) {
	s := startServer(t, withJetStream(t))
	n := keepNode(t, s.url(), Options{})
	l := n.listen("x")
	var wg sync.WaitGroup
	books := newBooks(t)
	for i := range 500 {
		wg.Go(func() {
			if i%50 == 0 {
				r, err := n.Publish(context.Background(), "x", broker.Publication{Data: "k", Key: fmt.Sprint(i), Keep: true})
				if err != nil || r.Offset&between != 0 {
					t.Errorf("%+v %v", r, err)
				}
				return
			}
			_ = books.publish(n, "x", fmt.Sprint(i))
		})
	}
	wg.Wait()
	await(t, "all", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.list) == 501 })
	books.audit(l)
	info, err := streamOf(t, s).Info(timeout(t, patience))
	must(t, err)
	if info.State.Msgs > 300 {
		t.Errorf("500 publications are %d messages", info.State.Msgs)
	}
	await(t, "the lane has ended", func() bool { n.keeper.mu.Lock(); defer n.keeper.mu.Unlock(); return len(n.keeper.lanes) == 0 })
}

// TestServerIsKilledAndKeeps: with files, nothing is lost, comes twice, or is told. Memory is lost, which is told as another epoch.
func TestServerIsKilledAndKeeps(t *testing.T) {
	kills := 20
	if testing.Short() {
		kills = 5
	}
	for name, stream := range storages {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, withJetStream(t))
			a, b := keepNode(t, s.url(), Options{Stream: stream}), keepNode(t, s.url(), Options{Stream: stream})
			books := newBooks(t)
			all := []*ledger{a.listen("x"), b.listen("x"), b.listen("quiet")}
			stop := books.load("x", a, b)
			for i := range kills {
				books.through(a, fmt.Sprint("mark ", i), all[:2]...)
				s.stop()
				for _, n := range []*node{a, b} {
					await(t, "down", func() bool { return !n.isUp() })
				}
				s.start()
				for _, n := range []*node{a, b} {
					await(t, "up", n.isUp)
				}
			}
			stop()
			books.through(a, "mark", all...)
			books.audit(all...)
			books.once(all...)
			for i, l := range all {
				if want := map[string]int{"file": 0, "memory": kills}[name]; l.losses() != want {
					t.Errorf("ledger %d was told %d times, want %d", i, l.losses(), want)
				}
			}
		})
	}
}

// TestConnectionIsCutAndFilled: what is published meanwhile comes, once and in order, and nobody is told of anything.
func TestConnectionIsCutAndFilled(t *testing.T) {
	cuts := 50
	if testing.Short() {
		cuts = 10
	}
	s := startServer(t, withJetStream(t))
	p := newProxy(t, s.addr())
	o := Options{Stream: StreamOptions{Messages: 1_000_000}}
	a, b := keepNode(t, s.url(), o), keepNode(t, p.url(), o)
	books := newBooks(t)
	all := []*ledger{a.listen("x"), b.listen("x"), b.listen("quiet"), b.listen("tail")}
	stop := books.load("x", a, b)
	for i := range cuts {
		books.through(a, fmt.Sprint("mark ", i), all[:2]...)
		if i == cuts/2+1 {
			p.stall()
			a.keep("tail", fmt.Sprint("mark t", i))
			await(t, "down", func() bool { return !b.isUp() })
		} else {
			p.cut()
		}
		if i%2 == 0 {
			await(t, "down", func() bool { return !b.isUp() })
			a.keep("tail", fmt.Sprint("mark t", i))
		}
		p.heal()
		await(t, "up", func() bool { return b.isUp() })
		if i%2 == 0 || i == cuts/2+1 { // nothing follows it
			await(t, "the last one of a name", func() bool { return all[3].got(fmt.Sprint("mark t", i)) })
		}
	}
	stop()
	books.through(a, "mark", all...)
	books.audit(all...)
	books.once(all...)
	calm(t, all...)
}

// TestSlowAndFilled: what was dropped on the way to a slow Receiver is fetched.
func TestSlowAndFilled(t *testing.T) {
	s := startServer(t, withJetStream(t), func(o *server.Options) { o.MaxPending = 2 << 20 })
	a := keepNode(t, s.url(), Options{})
	for name, o := range map[string]Options{"messages": {MaxPending: 8}, "bytes": {MaxPendingBytes: 4000}} {
		t.Run(name, func(t *testing.T) {
			b := keepNode(t, s.url(), o)
			l := &ledger{name: name, block: make(chan struct{}, 1)}
			must(t, b.Subscribe(timeout(t, patience), []broker.Subscription{{Name: name, Keep: true, To: l}}))
			books := newBooks(t)
			for i := range 600 {
				must(t, books.publish(a, name, fmt.Sprintf("%d %0100d", i, 0)))
				if i%100 == 99 {
					l.block <- struct{}{}
				}
			}
			close(l.block)
			await(t, "all", func() bool { return l.got(fmt.Sprintf("%d %0100d", 599, 0)) })
			books.audit(l)
			books.once(l)
			calm(t, l)
		})
	}
}

// TestLargeMessagesAreFetched, of which one fills a page.
func TestLargeMessagesAreFetched(t *testing.T) {
	s := startServer(t, withJetStream(t))
	n, other := slowNode(t, s, time.Hour), keepNode(t, s.url(), Options{})
	l, data := n.listen("x"), strings.Repeat("x", 3*pageBytes)
	for i := range 3 {
		other.keep("x", fmt.Sprint(i, data))
	}
	await(t, "all", func() bool { return l.got("2" + data) })
	hear := n.deaf(l)
	for i := range 3 {
		other.keep("x", fmt.Sprint("missed ", i, data))
	}
	must(t, n.conn.Flush())
	await(t, "they are dropped", func() bool { return len(n.in) == 0 })
	hear()
	other.keep("x", "last")
	await(t, "what was fetched", func() bool { return l.got("missed 2"+data) && l.got("last") })
	calm(t, l)
	page, err := n.After(timeout(t, patience), "x", l.epoch(), 0, 100)
	if must(t, err); len(page.Messages) != 7 || !page.Whole {
		t.Errorf("%d messages, whole: %v", len(page.Messages), page.Whole)
	}
}

// TestServerFindsAKeepingNodeSlow and ends its connection. What it was not sent, it fetches.
func TestServerFindsAKeepingNodeSlow(t *testing.T) {
	s := startServer(t, withJetStream(t), func(o *server.Options) { o.MaxPending, o.MaxPayload = 1<<20, 1<<20 })
	p := newProxy(t, s.addr())
	a, b := keepNode(t, s.url(), Options{}), keepNode(t, p.url(), Options{})
	l, books := b.listen("x"), newBooks(t)
	p.stall()
	for i := 0; s.server.NumSlowConsumers() == 0 && i < 1000; i++ {
		must(t, books.publish(a, "x", fmt.Sprint(i, strings.Repeat("x", 100_000))))
	}
	p.heal()
	books.through(a, "mark", l)
	books.audit(l)
	books.once(l)
	if l.losses() > 0 || b.count("down") != 1 {
		t.Errorf("told %d times, down %d times", l.losses(), b.count("down"))
	}
}

// TestMessagesThatGoDuringAFetch: what the stream drops while a page is read is missing from its middle, and told.
func TestMessagesThatGoDuringAFetch(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 10
	}
	s := startServer(t, withJetStream(t))
	n, other := slowNode(t, s, time.Hour), keepNode(t, s.url(), Options{})
	l, books, js := n.listen("x"), newBooks(t), apiOf(t, s)
	for i := range rounds {
		config := other.keeper.config()
		config.Metadata = map[string]string{epochKey: l.epoch()}
		_, err := js.UpdateStream(timeout(t, patience), config)
		must(t, err)
		books.through(other, fmt.Sprint("begin ", i), l)
		hear := n.deaf(l)
		var wg sync.WaitGroup
		for j := range 400 {
			wg.Go(func() {
				r, err := other.Publish(timeout(t, patience), "x", broker.Publication{Data: fmt.Sprint(i, " ", j), Key: fmt.Sprint(i, " ", j), Keep: true})
				must(t, err)
				books.mu.Lock()
				defer books.mu.Unlock()
				books.stored["x"][r] = fmt.Sprint(i, " ", j)
			})
		}
		wg.Wait()
		must(t, n.conn.Flush())
		await(t, "they are dropped", func() bool { return len(n.in) == 0 })
		hear()
		config.MaxMsgsPerSubject = 10
		wg.Go(func() {
			_, err := js.UpdateStream(timeout(t, patience), config)
			must(t, err)
		})
		books.through(other, fmt.Sprint("end ", i), l)
		wg.Wait()
	}
	books.audit(l)
	t.Logf("told %d times", l.losses())
}

package link_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/internal/link"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errScripted = errors.New("scripted")

// scripted is a broker that does what a test says, and takes note of what it is asked. A method without a script succeeds.
type scripted struct {
	open        func() error
	subscribe   func(ctx context.Context, subs []broker.Subscription) error
	unsubscribe func()
	publish     func(ctx context.Context) error
	close       func(ctx context.Context) error

	mu        sync.Mutex
	watcher   broker.Watcher
	calls     []string // "+topic", "-topic", "!topic"
	at        []time.Time
	receivers map[string]broker.Receiver // the last one, by name
}

func (b *scripted) note(what string) {
	b.calls = append(b.calls, what)
	b.at = append(b.at, time.Now())
}

// told returns the calls about topics so far, and forgets them.
func (b *scripted) told() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls := slices.DeleteFunc(b.calls, func(c string) bool { return strings.Contains(c, "\x00talk") })
	b.calls, b.at = nil, nil
	return strings.Join(calls, " ")
}

func (b *scripted) receiver(name string) broker.Receiver {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.receivers[name]
}

func (b *scripted) Open(w broker.Watcher) error {
	b.watcher = w
	if b.open != nil {
		return b.open()
	}
	w.Up()
	return nil
}

func (b *scripted) Subscribe(ctx context.Context, subs []broker.Subscription) error {
	b.mu.Lock()
	if b.receivers == nil {
		b.receivers = map[string]broker.Receiver{}
	}
	for _, s := range subs {
		b.note("+" + s.Name)
		b.receivers[s.Name] = s.To
	}
	b.mu.Unlock()
	if b.subscribe != nil {
		return b.subscribe(ctx, subs)
	}
	return nil
}

func (b *scripted) Unsubscribe(subs []broker.Subscription) {
	b.mu.Lock()
	for _, s := range subs {
		b.note("-" + s.Name)
	}
	b.mu.Unlock()
	if b.unsubscribe != nil {
		b.unsubscribe()
	}
}

func (b *scripted) Publish(ctx context.Context, name string, _ broker.Publication) (broker.Receipt, error) {
	b.mu.Lock()
	b.note("!" + name)
	b.mu.Unlock()
	if b.publish != nil {
		return broker.Receipt{}, b.publish(ctx)
	}
	return broker.Receipt{}, nil
}

func (b *scripted) Close(ctx context.Context) error {
	if b.close != nil {
		return b.close(ctx)
	}
	return nil
}

// owner takes note of what becomes of a link.
type owner struct {
	mu        sync.Mutex
	inForce   []string
	connected []error
	failed    []error
	heard     []string
}

func (o *owner) do(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

func (o *owner) InForce(t *topic.Topic) { o.do(func() { o.inForce = append(o.inForce, t.Name()) }) }
func (o *owner) Connected(cause error)  { o.do(func() { o.connected = append(o.connected, cause) }) }
func (o *owner) Failed(err error)       { o.do(func() { o.failed = append(o.failed, err) }) }
func (o *owner) Missing(topics int, cause error) {
	o.do(func() { o.failed = append(o.failed, fmt.Errorf("missing in %d topics: %w", topics, cause)) })
}
func (o *owner) Heard(data string) { o.do(func() { o.heard = append(o.heard, data) }) }

func (o *owner) failures() (n int) {
	o.do(func() { n = len(o.failed) })
	return n
}

// start makes a link that is open, in a bubble, and closes it when the test ends.
func start(t *testing.T, b *scripted) (*link.Link, *owner) {
	t.Helper()
	o := &owner{}
	l := link.New(b, nil, "me", o)
	l.Open()
	synctest.Wait()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = l.Close(ctx)
	})
	return l, o
}

// spawn makes a topic that waits for its subscription, and is stopped when the test ends.
func spawn(t *testing.T, name string) *topic.Topic {
	to := topic.Spawn(name, topic.Options{Joining: true, QueueBytes: 1000})
	t.Cleanup(to.Stop)
	return to
}

func isLive(t *topic.Topic) bool {
	select {
	case <-t.Live():
		return true
	default:
		return false
	}
}

func TestSubscribeIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		b := &scripted{}
		b.subscribe = func(context.Context, []broker.Subscription) error {
			if !mended.Load() {
				return errScripted
			}
			return nil
		}
		l, o := start(t, b)
		news := spawn(t, "news")
		l.Enter(news)
		time.Sleep(20 * time.Second)
		b.mu.Lock()
		var waits []time.Duration
		for i := range b.at[1:] {
			if d := b.at[i+1].Sub(b.at[i]); d > 0 {
				waits = append(waits, d)
			}
		}
		b.mu.Unlock()
		if got := fmt.Sprint(waits[:8]); got != "[50ms 100ms 200ms 400ms 800ms 1.6s 2s 2s]" {
			t.Errorf("waits are %s", got)
		}
		if n := o.failures(); n < 8 || isLive(news) || len(o.inForce) > 0 {
			t.Errorf("%d failures are reported, in force are %v", n, o.inForce)
		}
		mended.Store(true)
		began := time.Now()
		b.watcher.Down(errScripted, 3)
		b.watcher.Up() // which is a reason to try at once
		synctest.Wait()
		if !isLive(news) || time.Since(began) != 0 || fmt.Sprint(o.inForce) != "[news]" || l.Counters().InDoubt.Load() != 3 {
			t.Errorf("in force are %v after %v", o.inForce, time.Since(began))
		}
	})
}

// spawnKept makes a topic whose messages the broker keeps.
func spawnKept(t *testing.T, name string) *topic.Topic {
	kept := topic.Spawn(name, topic.Options{Joining: true, QueueBytes: 1000, History: topic.History{Messages: 1}, OnLoad: func(*topic.Topic, topic.Load) {}})
	t.Cleanup(kept.Stop)
	return kept
}

// TestTopicsThatAreRefused keep no others from being in force, whether these come with them or later.
func TestTopicsThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		b := &scripted{}
		b.subscribe = func(_ context.Context, subs []broker.Subscription) error {
			calls.Add(1)
			for _, s := range subs {
				if strings.HasPrefix(s.Name, "secret") {
					return errScripted
				}
			}
			return nil
		}
		l, o := start(t, b)
		var list []*topic.Topic
		enter := func(name string) {
			to := spawn(t, name)
			l.Enter(to)
			list = append(list, to)
		}
		for i := range 1000 {
			enter(fmt.Sprint("news", i))
		}
		enter("secret1")
		enter("secret2")
		time.Sleep(time.Second)
		enter("later")
		time.Sleep(3 * time.Second)
		for _, to := range list {
			if live := isLive(to); live == strings.HasPrefix(to.Name(), "secret") {
				t.Errorf("%s: %v", to.Name(), live)
			}
		}
		if n := o.failures(); calls.Load() > 200 || n < 4 || n > 10 {
			t.Errorf("%d calls, and %d failures are told", calls.Load(), n)
		}
		for i := range 1000 {
			enter(fmt.Sprint("secret of ", i))
		}
		calls.Store(0)
		time.Sleep(2 * time.Second)
		if n := calls.Load(); n > 200 {
			t.Errorf("%d calls for what is refused", n)
		}
	})
}

// TestTopicsThatAreNotKept do not wait for what the broker does not answer for others.
func TestTopicsThatAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &scripted{}
		b.subscribe = func(ctx context.Context, subs []broker.Subscription) error {
			if slices.ContainsFunc(subs, func(s broker.Subscription) bool { return s.Keep }) {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		l, _ := start(t, b)
		kept := spawnKept(t, "kept")
		for i := range 5 {
			plain := spawn(t, fmt.Sprint("plain ", i))
			if i == 0 {
				l.Enter(kept)
			}
			l.Enter(plain)
			time.Sleep(13 * time.Second)
			synctest.Wait()
			if !isLive(plain) || isLive(kept) {
				t.Errorf("topic %d is live: %v, and the one that is kept: %v", i, isLive(plain), isLive(kept))
			}
		}
		l.Leave(kept)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if calls := b.told(); !strings.HasSuffix(calls, "-kept") {
			t.Errorf("it was told %s", calls)
		}
	})
}

// TestTopicsThatAreKept do not wait for ever for others that come and go all the time.
func TestTopicsThatAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l *link.Link
		b, n := &scripted{}, 0
		b.subscribe = func(context.Context, []broker.Subscription) error {
			time.Sleep(time.Millisecond)
			if n++; n < 20 {
				l.Enter(spawn(t, fmt.Sprint("plain ", n)))
			}
			return nil
		}
		l, _ = start(t, b)
		kept := spawnKept(t, "kept")
		l.Enter(kept)
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
		if calls := b.told(); !strings.Contains(calls, "+kept") {
			t.Errorf("it was told %s", calls)
		}
	})
}

// TestTopicsThatEndEarly: whatever the broker may have of a topic that has ended is ended there, once, and nothing else.
func TestTopicsThatEndEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &scripted{}
		gate := make(chan error)
		var gated atomic.Bool
		b.subscribe = func(context.Context, []broker.Subscription) error {
			if gated.Load() {
				return <-gate
			}
			return nil
		}
		l, o := start(t, b)
		b.told()
		gated.Store(true)
		one, two, three, other := spawn(t, "one"), spawn(t, "two"), spawn(t, "three"), spawn(t, "other")
		l.Enter(one)
		synctest.Wait()
		l.Enter(two) // waits behind it
		l.Enter(other)
		l.Leave(two) // the broker never hears of it
		l.Leave(one) // while it is being subscribed
		synctest.Wait()
		gate <- nil
		synctest.Wait()
		gate <- errScripted // of other
		time.Sleep(time.Second)
		l.Enter(three)
		l.Leave(other) // it may have it
		gate <- nil    // of other and perhaps three
		synctest.Wait()
		close(gate)
		time.Sleep(time.Minute)
		got := b.told()
		if strings.Count(got, "-one") != 1 || strings.Contains(got, "two") || strings.Count(got, "-other") != 1 || strings.Contains(got, "-three") || strings.Index(got, "+one") > strings.Index(got, "-one") {
			t.Errorf("the broker is told %s", got)
		}
		if !isLive(three) {
			t.Errorf("in force are %v", o.inForce)
		}
	})
}

// TestATopicThatTakesAnothersPlace is subscribed before that one is unsubscribed.
func TestATopicThatTakesAnothersPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &scripted{}
		gate := make(chan struct{})
		var gated atomic.Bool
		b.subscribe = func(context.Context, []broker.Subscription) error {
			if gated.Load() {
				<-gate
			}
			return nil
		}
		l, _ := start(t, b)
		old, next := spawn(t, "news"), spawn(t, "news")
		l.Enter(old)
		synctest.Wait()
		gated.Store(true)
		busy := spawn(t, "busy")
		l.Enter(busy)
		synctest.Wait()
		b.told()
		l.Leave(old)
		l.Enter(next)
		synctest.Wait()
		close(gate)
		synctest.Wait()
		if got := b.told(); got != "+news -news" {
			t.Errorf("the broker is told %s", got)
		}
	})
}

// TestABrokerThatPanics costs nobody else anything, in whichever method.
func TestABrokerThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &scripted{}
		var mended atomic.Bool
		b.subscribe = func(context.Context, []broker.Subscription) error {
			if !mended.Load() {
				panic("Subscribe")
			}
			return nil
		}
		b.unsubscribe = func() { panic("Unsubscribe") }
		b.publish = func(context.Context) error { panic("Publish") }
		b.close = func(context.Context) error { panic("Close") }
		l, o := start(t, b)
		news := spawn(t, "news")
		l.Enter(news)
		synctest.Wait()
		if n := o.failures(); n != 1 && n != 2 {
			t.Errorf("%d failures are reported", n)
		}
		mended.Store(true)
		time.Sleep(time.Second)
		if !isLive(news) {
			t.Error("the topic is not in force")
		}
		before := o.failures()
		if _, err := l.Publish(context.Background(), "news", broker.Publication{}); err == nil || strings.Contains(err.Error(), "goroutine") {
			t.Errorf("Publish returns %v", err)
		}
		l.Leave(news)
		synctest.Wait()
		if n := o.failures(); n != before+2 {
			t.Errorf("%d failures are reported of Publish and Unsubscribe", n-before)
		}
		other := spawn(t, "other")
		l.Enter(other)
		synctest.Wait()
		if !isLive(other) || l.Counters().Refused.Load() != 1 {
			t.Error("the link does not go on")
		}
		if err := l.Close(context.Background()); err == nil || !strings.Contains(err.Error(), "Close") {
			t.Errorf("Close returns %v", err)
		}
	})
}

func TestABrokerThatCannotBeOpened(t *testing.T) {
	for name, open := range map[string]func() error{
		"an error": func() error { return errScripted },
		"a panic":  func() error { panic("Open") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &scripted{open: open, close: func(context.Context) error { t.Error("it is closed"); return nil }}
				l, o := start(t, b)
				news := spawn(t, "news")
				l.Enter(news)
				l.Share(news, topic.Shared{Crowd: 1})
				time.Sleep(time.Minute)
				if _, err := l.Publish(context.Background(), "news", broker.Publication{}); !errors.Is(err, broker.ErrDown) {
					t.Errorf("Publish returns %v", err)
				}
				if len(o.connected) != 1 || o.connected[0] == nil || !l.IsDown() || b.told() != "" || isLive(news) {
					t.Errorf("the owner hears %v, and the broker %q", o.connected, b.told())
				}
				l.Open() // once is enough
				began := time.Now()
				if err := l.Close(context.Background()); err != nil || time.Since(began) != 0 {
					t.Errorf("Close returns %v after %v", err, time.Since(began))
				}
			})
		})
	}
}

// TestCloseEndsWithItsContext: whichever method of the broker does not return, and does not care about contexts.
func TestCloseEndsWithItsContext(t *testing.T) {
	for _, method := range []string{"Open", "Subscribe", "Unsubscribe", "Close"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				block := func(of string) {
					if of == method {
						<-gate
					}
				}
				b := &scripted{
					open:        func() error { block("Open"); return nil },
					subscribe:   func(context.Context, []broker.Subscription) error { block("Subscribe"); return nil },
					unsubscribe: func() { block("Unsubscribe") },
					close:       func(context.Context) error { block("Close"); return nil },
				}
				o := &owner{}
				l := link.New(b, nil, "me", o)
				go l.Open()
				news := spawn(t, "news")
				l.Enter(news)
				synctest.Wait()
				l.Leave(news)
				synctest.Wait()
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				began := time.Now()
				err := l.Close(ctx)
				if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 1500*time.Millisecond {
					t.Errorf("Close returns %v after %v", err, took)
				}
				close(gate)
			})
		})
	}
}

// TestConnectionsThatAreToldTwice: the contract says in turn, and nothing breaks if it is not.
func TestConnectionsThatAreToldTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &scripted{}
		l, _ := start(t, b)
		first := l.Connection()
		b.watcher.Up()
		if l.Connection() != first || l.IsDown() {
			t.Error("there is another connection")
		}
		b.watcher.Down(nil, -5)
		b.watcher.Down(errScripted, 5)
		select {
		case <-first:
		default:
			t.Error("the connection is not closed")
		}
		if l.Connection() != nil || !l.IsDown() || l.Counters().InDoubt.Load() != 5 {
			t.Errorf("%d are in doubt", l.Counters().InDoubt.Load())
		}
		b.watcher.Up()
		if c := l.Connection(); c == nil || c == first || l.IsDown() {
			t.Error("there is no connection")
		}
	})
}

// TestTopicsThatFlapWhileTheBrokerIsAway leave nothing behind.
func TestTopicsThatFlapWhileTheBrokerIsAway(t *testing.T) {
	b := &scripted{subscribe: func(ctx context.Context, _ []broker.Subscription) error { <-ctx.Done(); return ctx.Err() }}
	o := &owner{}
	l := link.New(b, nil, "me", o)
	l.Open()
	topics := make([]*topic.Topic, 10_000)
	for i := range topics {
		topics[i] = topic.Spawn(fmt.Sprint("topic", i), topic.Options{Joining: true})
		defer topics[i].Stop()
	}
	flap := func(times int) (heap uint64) {
		for range times {
			for _, t := range topics {
				l.Enter(t)
			}
			for _, t := range topics {
				l.Leave(t)
			}
		}
		var stats runtime.MemStats
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); { // until the link has handled all of that
			runtime.GC()
			runtime.ReadMemStats(&stats)
			if heap = stats.HeapAlloc; heap < 64<<20 {
				break
			}
		}
		return heap
	}
	before := flap(2)
	if after := flap(20); after > before+32<<20 { // 200,000 flaps that each left something would be more
		t.Errorf("the heap grows from %d to %d bytes", before, after)
	} else {
		t.Logf("the heap is %d bytes after 2 times 10,000 flaps, and %d after 20 more", before, after)
	}
	began := time.Now()
	if err := l.Close(context.Background()); err != nil || time.Since(began) > time.Second {
		t.Errorf("Close returns %v after %v", err, time.Since(began))
	}
}

// blocked is a subscriber whose topic is stuck until it may go on.
type blocked struct {
	gate chan struct{}
	mu   sync.Mutex
	got  []string
}

func (s *blocked) Deliver(b *wire.Batch) (taken, idle bool) {
	<-s.gate
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, string(b.Frames[wire.V2]))
	return true, false
}
func (s *blocked) Flush()                  {}
func (s *blocked) Encoding() wire.Encoding { return wire.V2 }

func (s *blocked) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.got, "")
}

// TestATopicThatHasNoRoom is waited for a moment, told of a gap, and costs other topics no more than that.
func TestATopicThatHasNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &scripted{}
		l, o := start(t, b)
		full, other := spawn(t, "full"), spawn(t, "other")
		stuck, free := &blocked{gate: make(chan struct{})}, &blocked{gate: make(chan struct{})}
		close(free.gate)
		l.Enter(full)
		l.Enter(other)
		synctest.Wait()
		full.Join(&topic.Member{Subscriber: stuck})
		other.Join(&topic.Member{Subscriber: free})
		synctest.Wait()
		deliver := func(name, data string) (took time.Duration) {
			began := time.Now()
			b.receiver(name).Deliver([]broker.Message{{Publication: broker.Publication{Data: data}}})
			return time.Since(began)
		}
		large := strings.Repeat("x", 900)
		var waited []time.Duration
		for i := range 4 {
			waited = append(waited, deliver("full", fmt.Sprint(i, large)))
		}
		if last := waited[3]; last != 100*time.Millisecond {
			t.Errorf("waited %v", waited)
		}
		if took := deliver("other", "comes"); took != 0 {
			t.Errorf("the other topic waited %v", took)
		}
		synctest.Wait()
		if !strings.Contains(free.text(), `"comes"`) || l.Counters().Gaps.Load() == 0 {
			t.Errorf("the other topic got %q, and there are %d gaps", free.text(), l.Counters().Gaps.Load())
		}
		close(stuck.gate)
		synctest.Wait()
		deliver("full", "next")
		synctest.Wait()
		if got := stuck.text(); !strings.Contains(got, `"gap":{"seq":`) || !strings.HasSuffix(got, `"next"]`) || strings.Index(got, `"gap"`) > strings.Index(got, `"next"`) {
			t.Errorf("got %.300s", got)
		}
		time.Sleep(time.Second)
		if n := o.failures(); n < 1 || n > 2 { // those of 200 ms are one
			t.Errorf("%d failures are reported", n)
		}
	})
}

// TestHugeBatches: also one that is many times larger than the queue comes in order.
func TestHugeBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &scripted{}
		l, _ := start(t, b)
		news := spawn(t, "news")
		member := &blocked{gate: make(chan struct{})}
		close(member.gate)
		l.Enter(news)
		synctest.Wait()
		news.Join(&topic.Member{Subscriber: member})
		var all []broker.Message
		for i := range 50_000 {
			all = append(all, broker.Message{Publication: broker.Publication{Data: fmt.Sprint("message ", i)}})
		}
		b.receiver("news").Deliver(all)
		b.receiver("news").Deliver(nil)
		synctest.Wait()
		text := member.text()
		if n := strings.Count(text, `"message `); n != len(all) || !strings.HasSuffix(text, `["news",50000,"message 49999"]`) || l.Counters().Gaps.Load() != 0 {
			t.Errorf("%d came", n)
		}
	})
}

// TestShareWhileDown tells nothing later, and is bounded.
func TestShareWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &scripted{}
		l, _ := start(t, b)
		news := spawn(t, "news")
		b.watcher.Down(errScripted, 0)
		for range 1000 {
			l.Share(news, topic.Shared{Crowd: 1})
		}
		b.watcher.Up()
		synctest.Wait()
		b.told()
		gate := make(chan struct{})
		b.publish = func(context.Context) error { <-gate; return nil }
		const flood = 50_000
		for range flood {
			l.Share(news, topic.Shared{Crowd: 1})
		}
		synctest.Wait()
		close(gate)
		synctest.Wait()
		if n := strings.Count(b.told(), "!\x00here\x00news"); n == 0 || n > 20_000 {
			t.Errorf("%d publications came of %d", n, flood)
		}
	})
}

// TestNothingIsPublishedBeforeOpenHasReturned, although the broker has said that it is there.
func TestNothingIsPublishedBeforeOpenHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &scripted{}
		b.open = func() error {
			b.watcher.Up()
			time.Sleep(time.Second)
			return nil
		}
		l := link.New(b, nil, "me", &owner{})
		defer l.Close(context.Background())
		began := time.Now()
		go l.Open()
		synctest.Wait()
		if _, err := l.Publish(t.Context(), "news", broker.Publication{}); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("Publish was called after %v, want 1 s", waited)
		}
	})
}

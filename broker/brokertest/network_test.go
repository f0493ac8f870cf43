package brokertest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// diary is a Receiver and a Watcher. Its calls are looked at when nothing moves any more.
type diary struct {
	mu    sync.Mutex
	calls []string
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, fmt.Sprintf(format, args...))
}

func (d *diary) Began(epoch string, offset uint64) { d.add("began %s %d", epoch, offset) }
func (d *diary) Lost(error)                        { d.add("lost") }
func (d *diary) Up()                               { d.add("up") }
func (d *diary) Down(_ error, inDoubt int)         { d.add("down %d", inDoubt) }
func (d *diary) Deliver(ms []broker.Message) {
	for _, m := range ms {
		if m.Reset {
			m.Data = "reset"
		}
		if m.Offset > 0 {
			d.add("%s %d after %d", m.Data, m.Offset, m.Prev)
		} else {
			d.add("%s", m.Data)
		}
	}
}

// is checks what has been called since the last time.
func (d *diary) is(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if fmt.Sprintf("%q", d.calls) != fmt.Sprintf("%q", want) {
		t.Errorf("%q was called, not %q", d.calls, want)
	}
	d.calls = nil
}

// desk is a node with everything a test needs.
type desk struct {
	*Node
	t     *testing.T
	keep  bool // "news" is kept
	watch diary
	told  diary // the Receiver of "news"
}

// subscribed opens a node and subscribes.
func subscribed(t *testing.T, w *Network) *desk {
	t.Helper()
	d := &desk{Node: w.Node(), t: t}
	w.do(func(s *server) { d.keep = s.keeps })
	d.must(d.Open(&d.watch))
	t.Cleanup(func() { d.must(d.Close(context.Background())) })
	d.watch.is(t, "up")
	d.must(d.Subscribe(t.Context(), d.news()))
	return d
}

func (d *desk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) news() []broker.Subscription {
	return []broker.Subscription{{Name: "news", Keep: d.keep, To: &d.told}}
}

func (d *desk) publish(list ...string) {
	d.t.Helper()
	for _, data := range list {
		_, err := d.Publish(d.t.Context(), "news", broker.Publication{Data: data, Keep: d.keep})
		d.must(err)
	}
}

// script runs a test with two nodes.
func script(t *testing.T, w func() *Network, test func(*testing.T, *Network, *desk, *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := w()
		test(t, network, subscribed(t, network), subscribed(t, network))
	})
}

func TestCutOneNode(t *testing.T) {
	script(t, NewNetwork, func(t *testing.T, w *Network, one, two *desk) {
		two.CutInDoubt(3)
		two.Cut()
		one.publish("1")
		one.told.is(t, "1")
		two.told.is(t)
		two.watch.is(t, "down 3")
		w.Cut()
		one.watch.is(t, "down 0")
		two.Heal()
		two.watch.is(t) // the network is down still
		w.Heal()
		one.watch.is(t, "up")
		two.watch.is(t, "up")
		one.publish("2")
		one.told.is(t, "lost", "2")
		two.told.is(t, "lost", "2")
	})
}

func TestLose(t *testing.T) {
	script(t, NewNetwork, func(t *testing.T, _ *Network, one, two *desk) {
		two.Lose(1)
		two.LoseSilently(2)
		_, err := one.Publish(t.Context(), "elsewhere", text("not for two, so not lost"))
		one.must(err)
		one.publish("1", "2", "3", "4")
		two.told.is(t, "lost", "4")
		one.told.is(t, "1", "2", "3", "4")
	})
}

func TestDelay(t *testing.T) {
	script(t, NewNetwork, func(t *testing.T, _ *Network, one, two *desk) {
		two.Delay(time.Minute)
		one.publish("1")
		time.Sleep(30 * time.Second)
		two.Delay(0)
		two.Lose(1)
		one.publish("lost", "2")
		two.told.is(t)
		time.Sleep(30 * time.Second)
		two.told.is(t, "1", "lost", "2") // in order, whatever the delay

		two.Delay(time.Minute)
		one.publish("3")
		two.Cut()
		two.watch.is(t, "down 0")
		two.Heal()
		two.Delay(0)
		one.publish("4")
		two.told.is(t, "lost", "4")

		two.Delay(time.Minute)
		one.publish("5")
		began := time.Now()
		two.must(two.Close(t.Context()))
		if took := time.Since(began); took > 0 {
			t.Errorf("Close waited %v for what was on its way", took)
		}
		two.told.is(t)
	})
}

func TestSubscribeIsSlowOrFails(t *testing.T) {
	script(t, NewNetwork, func(t *testing.T, _ *Network, one, two *desk) {
		more := func(name string) []broker.Subscription { return []broker.Subscription{{Name: name, To: &diary{}}} }
		took := func(d time.Duration, want error, subs []broker.Subscription) {
			t.Helper()
			ctx, cancel := within(time.Hour)
			defer cancel()
			began := time.Now()
			if err := one.Subscribe(ctx, subs); !errors.Is(err, want) || time.Since(began) != d {
				t.Errorf("Subscribe returned %v after %v, not %v after %v", err, time.Since(began), want, d)
			}
		}
		one.SlowSubscribe(time.Minute)
		took(time.Minute, nil, more("a"))
		took(0, nil, more("b"))
		one.SlowSubscribe(2 * time.Hour)
		took(time.Hour, context.DeadlineExceeded, more("c"))

		some, other := errors.New("some"), errors.New("other")
		one.FailSubscribe(some)
		one.FailSubscribe(other)
		var first, second diary
		subs := []broker.Subscription{{Name: "first", To: &first}, {Name: "second", To: &second}}
		took(0, some, subs)
		for _, s := range subs {
			_, err := two.Publish(t.Context(), s.Name, text("half"))
			two.must(err)
		}
		first.is(t, "half")
		second.is(t)
		took(0, other, subs)
		took(0, nil, subs)
		for _, s := range subs {
			_, err := two.Publish(t.Context(), s.Name, text("all"))
			two.must(err)
		}
		first.is(t, "all")
		second.is(t, "all")
	})
}

func TestHoldPublish(t *testing.T) {
	script(t, NewNetwork, func(t *testing.T, _ *Network, one, two *desk) {
		one.HoldPublish()
		results := make(chan error, 10)
		publish := func(ctx context.Context, data string) {
			go func() {
				_, err := one.Publish(ctx, "news", text(data))
				results <- err
			}()
			synctest.Wait()
		}
		result := func(want error) {
			t.Helper()
			if err := <-results; !errors.Is(err, want) {
				t.Errorf("Publish returned %v, not %v", err, want)
			}
		}
		publish(t.Context(), "1")
		ctx, cancel := within(time.Hour)
		defer cancel()
		publish(ctx, "2")
		result(context.DeadlineExceeded)
		publish(t.Context(), "3")
		two.publish("not held")
		two.told.is(t, "not held")
		one.ReleasePublish()
		result(nil)
		result(nil)
		two.told.is(t, "1", "3")

		one.HoldPublish()
		publish(t.Context(), "4")
		one.Cut()
		result(broker.ErrDown)
		publish(t.Context(), "while down")
		result(broker.ErrDown)
		one.Heal()
		publish(t.Context(), "5")
		one.must(one.Close(t.Context()))
		result(broker.ErrClosed)
		two.told.is(t)
	})
}

func TestMisuse(t *testing.T) {
	w := NewNetwork()
	n := w.Node()
	if err := n.Close(t.Context()); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Close before Open: %v", err)
	}
	if err := n.Open(&diary{}); err != nil {
		t.Fatal(err)
	}
	if err := n.Open(&diary{}); err == nil {
		t.Error("Open twice: no error")
	}
	for range 2 {
		if err := n.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	n.Cut() // does nothing
	n.Heal()
	w.Cut()
}

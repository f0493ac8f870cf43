package brokertest

import (
	"context"
	"fmt"
	"slices"
	"time"
)

func receiversOfOneName(e *env) {
	a, b := e.node(), e.node()
	one, two, other := a.listen("news"), a.listen("news"), b.listen("news")
	a.publish("news", text("1"))
	for _, r := range []*receiver{one, two, other} {
		r.expect(text("1"))
	}
	a.unsubscribe(one)
	b.publish("news", text("2"))
	for _, r := range []*receiver{two, other} {
		r.expect(text("1"), text("2"))
	}
	three := a.listen("news")
	a.unsubscribe(two)
	a.publish("news", text("3"))
	three.expect(text("3"))
	other.expect(text("1"), text("2"), text("3"))
	a.unsubscribe(three)
	last := a.listen("news")
	b.publish("news", text("4"))
	last.expect(text("4"))
	other.expect(text("1"), text("2"), text("3"), text("4"))
	e.nothingElse(last, other)
}

func subscribeAgain(e *env) {
	a, b := e.node(), e.node()
	list := a.subscribe("one", "two")
	a.enforce(list...)
	list = append(list, a.receiver("three"))
	a.enforce(list...)
	a.enforce(list[2], list[0])
	a.enforce()
	for _, r := range list {
		b.publish(r.name, text("hello"))
		r.expect(text("hello"))
	}
	e.nothingElse(list...)
	never := a.receiver("never subscribed")
	a.unsubscribe(never)
	a.unsubscribe(list[0], list[1], never)
	a.unsubscribe(list[0])
	b.publish("one", text("for nobody"))
	e.nothingElse(list[2])
}

func unsubscribeUnderLoad(e *env) {
	a, b := e.node(), e.node()
	always, other := a.listen("news"), b.listen("news")
	stop := a.flood("news")
	for i := range 200 {
		r := a.listen("news")
		if i%4 > 0 {
			e.wait(func() bool { return r.count.Load() > 0 || r.losses.Load() > 0 }, "a publication for %s", r.label)
		}
		a.unsubscribe(r)
	}
	n := stop()
	always.numbers(n)
	other.numbers(n)
}

func unsubscribeWaits(e *env) {
	a, b := e.node(), e.node()
	r, other := a.receiver("news"), a.receiver("news")
	r.block()
	a.enforce(r, other)
	b.publish("news", text("1"), text("2"), text("3"))
	e.wait(func() bool { return r.blocked.Load() }, "a call of Deliver of %s", r.label)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.unsubscribe(r)
	}()
	select {
	case <-done:
		r.open()
		e.Fatalf("brokertest: expected that Unsubscribe waits for a Receiver that is running; it returned")
	case <-time.After(50 * time.Millisecond):
	}
	r.open()
	e.waitFor(done, "that Unsubscribe returns when the Receiver has")
	other.expect(text("1"), text("2"), text("3"))
	e.nothingElse(other)
}

// waitFor waits until a channel is closed.
func (e *env) waitFor(done <-chan struct{}, expected string) {
	e.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		e.Fatalf("brokertest: expected %s; it has not within %v", expected, patience)
	}
}

func aNameComesAndGoes(e *env) {
	a, b := e.node(), e.node()
	other := b.listen("news")
	old := a.listen("news")
	times := 1000
	if e.keep {
		times = 200 // a subscription may cost a Historian more
	}
	for i := range times {
		next := a.receiver("news")
		if i%2 == 0 {
			a.enforce(next)
			a.unsubscribe(old)
		} else {
			a.unsubscribe(old)
			a.enforce(next)
		}
		from := e.nodes[i/2%2]
		from.publish("news", text(fmt.Sprint(i)))
		next.expect(text(fmt.Sprint(i)))
		old = next
	}
	e.wait(func() bool { return other.count.Load() == int64(times) }, "%d publications for %s", times, other.label)
	e.nothingElse(old)
}

// sample is every so manyth of a list, and the last one.
func sample[T any](list []T, every int) []T {
	var some []T
	for i := 0; i < len(list); i += every {
		some = append(some, list[i])
	}
	return append(some, list[len(list)-1])
}

func manySubscriptions(e *env) {
	many := 10_000
	if e.keep {
		many = 2000 // a subscription may cost a Historian more
	}
	a, b := e.node(), e.node()
	var names []string
	for i := range many {
		names = append(names, fmt.Sprintf("topic:%d", i))
	}
	list := slices.Concat(a.subscribe(names[:many/2]...), a.subscribe(names[many/2:]...))
	some := sample(list, 50)
	for _, r := range some {
		b.publish(r.name, text("1"))
	}
	for _, r := range some {
		r.expect(text("1"))
	}
	e.breakServer()
	a.waitDown()
	b.waitDown()
	e.healServer()
	a.waitUp()
	b.waitUp()
	for _, r := range some {
		b.publish(r.name, text("2"))
	}
	for _, r := range some {
		r.next(1, text("2"))
	}
	for _, r := range list {
		e.wait(func() bool { return r.keep || r.losses.Load() > 0 }, "Lost of %s after a reconnect", r.label)
	}
	a.unsubscribe(list[1:]...)
	for _, r := range some[1:] {
		b.publish(r.name, text("for nobody"))
	}
	e.nothingElse(list[0])
}

func aReceiverThatBlocks(e *env) {
	const n = 2000
	a, b := e.node(), e.node()
	slow := a.receiver("news")
	slow.block()
	a.enforce(slow)
	beside, calm, other := a.listen("news"), a.listen("calm"), b.listen("news")
	for i := range n {
		b.publish("news", text(fmt.Sprint(i)))
		if i%10 == 0 {
			b.publish("calm", text(fmt.Sprint(i/10)))
		}
	}
	if missing := other.numbers(n); missing > 0 {
		e.Errorf("brokertest: expected that a Receiver that blocks costs other nodes nothing; %s misses %d", other.label, missing)
	}
	slow.open()
	slow.numbers(n)
	beside.numbers(n)
	calm.numbers(n / 10)
	again := a.listen("again")
	b.publish("again", text("hello"))
	again.expect(text("hello"))
}

func unsubscribeWhileDown(e *env) {
	a, b := e.node(), e.node()
	gone, stays := a.listen("news"), a.listen("news")
	e.breakServer()
	a.waitDown()
	b.waitDown()
	e.promptly(func() { a.unsubscribe(gone) }, "that Unsubscribe, which must not wait for the network, returns")
	wanted := a.receiver("wanted")
	ctx, cancel := within(20 * time.Millisecond)
	defer cancel()
	a.failSubscribe(ctx, wanted)
	e.promptly(func() { a.unsubscribe(wanted) }, "that Unsubscribe of what Subscribe has failed for returns")
	e.healServer()
	a.waitUp()
	b.waitUp()
	b.publish("wanted", text("for nobody"))
	b.publish("news", text("hello"))
	stays.next(0, text("hello"))
	e.nothingElse(stays)
}

// failSubscribe calls Subscribe while there is no connection.
func (m *member) failSubscribe(ctx context.Context, list ...*receiver) {
	m.env.Helper()
	began := time.Now()
	deadline, _ := ctx.Deadline()
	err := m.Subscribe(ctx, subscriptions(list))
	if err == nil {
		m.env.Errorf("brokertest: expected an error of Subscribe of %s, which has no connection; it returned nil", m.name)
	}
	if took := time.Since(began); took > deadline.Sub(began)+atOnce {
		m.env.Errorf("brokertest: expected that Subscribe ends with its context; that of %s has taken %v", m.name, took)
	}
}

package brokertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

func closePublishes(e *env) {
	const n = 2000
	a, b := e.node(), e.node()
	other := b.listen("news")
	for i := range n {
		a.publish("news", text(fmt.Sprint(i)))
	}
	a.close()
	if missing := other.numbers(n); missing > 0 {
		e.Errorf("brokertest: expected that Close publishes what was accepted; %d of %d did not come to %s", missing, n, other.label)
	}
	e.nothingElse(other)
}

func closeEndsEverything(e *env) {
	early := e.unopened()
	early.wantErr(broker.ErrClosed, "which is not open", "news", "too early")
	a, b := e.node(), e.node()
	list := a.subscribe("news", "news", "more")
	stop := b.flood("news")
	e.wait(func() bool { return list[0].count.Load() > 100 }, "publications for %s", list[0].label)
	a.close()
	a.checkClosed(list)
	stop()
	last := b.listen("last")
	b.publish("last", text("hello"))
	last.expect(text("hello"))
}

// checkClosed calls what must not work any more.
func (m *member) checkClosed(list []*receiver) {
	m.env.Helper()
	m.wantErr(broker.ErrClosed, "which is closed", "news", "too late")
	m.env.promptly(func() {
		ctx, cancel := within(patience)
		defer cancel()
		if err := m.Subscribe(ctx, subscriptions(list)); !errors.Is(err, broker.ErrClosed) {
			m.env.Errorf("brokertest: expected %q of Subscribe of %s, which is closed; it returned %v", broker.ErrClosed, m.name, err)
		}
	}, "that Subscribe of "+m.name+", which is closed, returns")
	m.env.promptly(func() { m.Unsubscribe(subscriptions(list)) }, "that Unsubscribe of "+m.name+", which is closed, returns")
}

func closeWhileDown(e *env) {
	a := e.node()
	list := a.subscribe("news", "more")
	a.publish("news", text("hello"))
	list[0].expect(text("hello"))
	e.breakServer()
	a.waitDown()
	waits := make(chan error, 1)
	wanted := []*receiver{a.receiver("wanted")}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		waits <- a.Subscribe(ctx, subscriptions(wanted))
	}()
	e.promptly(a.close, "that Close of "+a.name+", which has no connection, returns")
	select {
	case err := <-waits:
		if err == nil {
			e.Errorf("brokertest: expected an error of Subscribe of %s, which was closed before it could connect; it returned nil", a.name)
		}
	case <-time.After(patience):
		e.Fatalf("brokertest: expected that Close ends a Subscribe that waits; it has not within %v", patience)
	}
	a.checkClosed(append(list, wanted...))
	never := e.unconnected()
	e.promptly(never.close, "that Close of "+never.name+", which has never had a connection, returns")
	e.healServer()
	b := e.node()
	r := b.listen("news")
	b.publish("news", text("hello"))
	r.expect(text("hello"))
	e.nothingElse(r)
}

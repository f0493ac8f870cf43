package brokertest

import (
	"errors"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

func awayAtTheBeginning(e *env) {
	e.breakServer()
	var a *member
	e.promptly(func() { a = e.unconnected() }, "that Open, which does not wait for a connection, returns")
	e.wait(func() bool { return a.watcher.state() != "" }, "a call of the Watcher of %s", a.name)
	if first := a.watcher.state(); first != "Down" {
		e.Errorf("brokertest: expected Down of the Watcher of %s first, as the server is away; it was told %s", a.name, first)
	}
	a.wantErr(broker.ErrDown, "whose server is away", "news", "too early")
	r := a.receiver("news")
	ctx, cancel := within(20 * time.Millisecond)
	defer cancel()
	a.failSubscribe(ctx, r)
	more := a.receiver("more")
	waits := make(chan error, 1)
	ctx, cancel = within(time.Minute)
	defer cancel()
	go func() { waits <- a.Subscribe(ctx, subscriptions([]*receiver{r, more})) }()
	e.healServer()
	a.waitUp()
	if err := <-waits; err != nil {
		a.enforce(r, more)
	}
	b := e.node()
	b.publish("news", text("hello"))
	a.publish("more", text("hello"))
	r.next(0, text("hello"))
	more.next(0, text("hello"))
	e.nothingElse(r, more)
	for _, m := range e.nodes {
		if n := m.watcher.inDoubt(); n > 0 {
			e.Errorf("brokertest: expected no publication in doubt, as none was accepted; Down of %s said %d", m.name, n)
		}
	}
}

func downAndUp(e *env) {
	a, b := e.node(), e.node()
	list := []*receiver{a.listen("news"), b.listen("news"), b.listen("more"), a.listen("\x00control")}
	names := []string{"news", "more", "\x00control"}
	for round := range 3 {
		for _, name := range names {
			a.publish(name, text(fmt.Sprint("before ", round)))
		}
		for _, r := range list {
			e.wait(func() bool { return r.has(fmt.Sprint("before ", round)) }, "a publication for %s", r.label)
		}
		e.breakServer()
		for _, m := range e.nodes {
			m.waitDown()
			for _, r := range list {
				m.wantErr(broker.ErrDown, "whose server is away", r.name, "while down")
			}
		}
		e.healServer()
		a.waitUp()
		b.waitUp()
		// At once: Up says that subscriptions are in force.
		for _, name := range names {
			a.publish(name, text(fmt.Sprint("after ", round)))
		}
		for _, r := range list {
			e.wait(func() bool { return r.has(fmt.Sprint("after ", round)) }, "for %s, without being asked for again, what was published after Up", r.label)
			r.checkLost(round + 1)
		}
		e.nothingElse(list...)
	}
	if n := a.watcher.calls.len(); n < 7 {
		e.Errorf("brokertest: expected a call of Down and of Up for each of 3 times that the connection was lost; there were %d in all", n)
	}
}

// has reports whether a publication with this data has come.
func (r *receiver) has(data string) bool {
	for _, p := range r.publications() {
		if p.Data == data {
			return true
		}
	}
	return false
}

// checkLost checks that Lost was called before what was published after a reconnect, and that nothing came that was published while there
// was no connection.
func (r *receiver) checkLost(reconnects int) {
	r.env.Helper()
	lost, reconnected := false, 0
	for _, t := range r.told.all() {
		data := t.message.Data
		switch {
		case t.method == "Lost":
			lost = true
		case data == "while down":
			r.env.Errorf("brokertest: expected that what Publish has refused with ErrDown never comes; %s got it", r.label)
		case data == fmt.Sprint("after ", reconnected):
			if !lost && !r.keep {
				r.env.Errorf("brokertest: expected Lost after a reconnect, before anything is delivered; it was not called for %s", r.label)
			}
			lost = false
			reconnected++
		case data == fmt.Sprint("before ", reconnected):
			lost = false
		}
	}
	if reconnected != reconnects {
		r.env.Errorf("brokertest: expected once each what was published after %d reconnects; %s got %d", reconnects, r.label, reconnected)
	}
}

func downAndUpUnderLoad(e *env) {
	a, b := e.node(), e.node()
	list := []*receiver{a.listen("a"), b.listen("a"), a.listen("b"), b.listen("b")}
	stopped := make(chan struct{})
	counts := []chan int{make(chan int, 1), make(chan int, 1)}
	for i, m := range e.nodes {
		failed := make(map[int]bool)
		for _, r := range list[2*i : 2*i+2] {
			r.failed = failed
		}
		go func() { counts[i] <- m.insist(list[2*i].name, stopped, failed) }()
	}
	for range 5 {
		from := list[1].count.Load()
		e.wait(func() bool { return list[1].count.Load() > from }, "publications for %s, which is connected", list[1].label)
		e.breakServer()
		a.waitDown()
		b.waitDown()
		e.healServer()
		a.waitUp()
		b.waitUp()
	}
	close(stopped)
	for i, m := range e.nodes {
		name, n := list[2*i].name, <-counts[i]
		m.publish(name, text(fmt.Sprint(n)))
		for _, r := range list[2*i : 2*i+2] {
			e.wait(func() bool { return r.has(fmt.Sprint(n)) }, "for %s, what was published at the end", r.label)
			r.numbers(n + 1)
		}
	}
}

// insist publishes numbers to a name until it is stopped, whether or not there is a connection. It returns the next one, and adds those
// that may not have been published to failed.
func (m *member) insist(name string, stopped <-chan struct{}, failed map[int]bool) (n int) {
	for {
		select {
		case <-stopped:
			return n
		default:
		}
		ctx, cancel := within(patience)
		_, err := m.Publish(ctx, name, text(fmt.Sprint(n)))
		cancel()
		if errors.Is(err, broker.ErrClosed) { // the case has failed
			return n
		}
		if !errors.Is(err, broker.ErrDown) { // else the number is free, as nothing was published
			failed[n] = err != nil
			n++
		}
		if err != nil || n%20 == 0 {
			time.Sleep(100 * time.Microsecond)
		}
	}
}

func publicationsInDoubt(e *env) {
	if e.group.Cut == nil {
		e.Skip("the group cannot cut one node")
	}
	a, b := e.node(), e.node()
	other := b.listen("news")
	for round := range 5 {
		inDoubt, had := a.watcher.inDoubt(), len(other.publications())
		result := make(chan int, 1)
		go func() {
			n := 0
			for {
				if _, err := a.try("news", text(fmt.Sprintf("%d:%d", round, n))); err != nil {
					break
				}
				if n++; n%20 == 0 {
					time.Sleep(100 * time.Microsecond)
				}
			}
			result <- n
		}()
		e.wait(func() bool { return other.count.Load() > int64(had+100) }, "publications for %s", other.label)
		e.outside(func() { e.group.Cut(a.Broker) })
		a.waitDown()
		accepted := <-result
		e.outside(func() { e.group.Mend(a.Broker) })
		a.waitUp()
		a.publish("news", text(fmt.Sprint("after ", round)))
		e.wait(func() bool { return other.has(fmt.Sprint("after ", round)) }, "for %s, what was published after Up", other.label)
		arrived := len(other.publications()) - had - 1
		if doubt := a.watcher.inDoubt() - inDoubt; accepted-arrived > doubt {
			e.Errorf("brokertest: expected that Down says how many publications may be lost; %d of %d are, and it said %d", accepted-arrived, accepted, doubt)
		}
		if e.impl.Confirmed && accepted > arrived {
			e.Errorf("brokertest: expected that the server has what Publish returned nil for; %d of %d were lost with the connection", accepted-arrived, accepted)
		}
	}
	if other.losses.Load() > 0 {
		e.Errorf("brokertest: expected no loss for %s, whose connection was not cut; Lost was called", other.label)
	}
}

func nothingConfirmedIsInDoubt(e *env) {
	a := e.node()
	r := a.listen("news")
	a.publish("news", publications()...)
	r.expect(publications()...)
	e.breakServer()
	a.waitDown()
	if n := a.watcher.inDoubt(); n > 0 {
		e.Errorf("brokertest: expected no publication in doubt, as Publish returned nil for each; Down said %d", n)
	}
}

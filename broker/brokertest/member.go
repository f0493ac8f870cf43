package brokertest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// member is a node of the group, as a case sees it.
type member struct {
	broker.Broker
	env       *env
	name      string
	watcher   watcher
	receivers []*receiver
	closed    bool
}

// node adds a node that is connected.
func (e *env) node() *member {
	e.Helper()
	m := e.unconnected()
	m.waitUp()
	return m
}

// unconnected adds a node that is open.
func (e *env) unconnected() *member {
	e.Helper()
	m := e.unopened()
	e.open(m)
	return m
}

// open opens a node.
func (e *env) open(m *member) {
	e.Helper()
	if err := m.Open(&m.watcher); err != nil {
		e.Fatalf("brokertest: expected nil of Open of %s; it returned %v", m.name, err)
	}
	e.nodes = append(e.nodes, m)
}

// unopened makes a node.
func (e *env) unopened() *member {
	m := &member{env: e, name: fmt.Sprintf("node %d", len(e.nodes)+1)}
	m.watcher.member = m
	e.outside(func() { m.Broker = e.group.Node(e.TB) })
	e.atEnd()
	return m
}

func (m *member) waitUp() {
	m.env.Helper()
	m.env.wait(func() bool { return m.watcher.state() == "Up" }, "Up of the Watcher of %s, which can connect", m.name)
}

func (m *member) waitDown() {
	m.env.Helper()
	m.env.wait(func() bool { return m.watcher.state() == "Down" }, "Down of the Watcher of %s, which has no connection", m.name)
}

// receiver makes a Receiver, without a subscription.
func (m *member) receiver(name string) *receiver {
	r := &receiver{env: m.env, name: name, keep: m.env.kept(name), label: fmt.Sprintf("receiver %d of %s, name %s", len(m.receivers)+1, m.name, short(name))}
	r.scribbles = len(m.receivers)%2 == 1
	m.receivers = append(m.receivers, r)
	return r
}

// subscribe makes Receivers that are in force.
func (m *member) subscribe(names ...string) []*receiver {
	m.env.Helper()
	var list []*receiver
	for _, name := range names {
		list = append(list, m.receiver(name))
	}
	m.enforce(list...)
	return list
}

// listen is subscribe for one name.
func (m *member) listen(name string) *receiver {
	m.env.Helper()
	return m.subscribe(name)[0]
}

// enforce calls Subscribe, which has to return nil.
func (m *member) enforce(list ...*receiver) {
	m.env.Helper()
	ctx, cancel := within(patience)
	defer cancel()
	if err := m.Subscribe(ctx, subscriptions(list)); err != nil {
		m.env.Fatalf("brokertest: expected nil of Subscribe of %s, which is connected, to %d names; it returned %v", m.name, len(list), err)
	}
}

// unsubscribe calls Unsubscribe, after which nothing may be called.
func (m *member) unsubscribe(list ...*receiver) {
	m.Unsubscribe(subscriptions(list))
	for _, r := range list {
		r.over("Unsubscribe")
	}
}

func subscriptions(list []*receiver) []broker.Subscription {
	var subs []broker.Subscription
	for _, r := range list {
		subs = append(subs, broker.Subscription{Name: r.name, Keep: r.keep, To: r})
	}
	return subs
}

// Publish implements broker.Broker. A publication to a name that is kept has Keep.
func (m *member) Publish(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
	p.Keep = m.env.kept(name)
	r, err := m.Broker.Publish(ctx, name, p)
	if err == nil {
		m.checkReceipt(name, r)
		p.Keep = false
		m.env.sent.add(sent{name, p, r})
	}
	return r, err
}

// publish publishes, which has to succeed.
func (m *member) publish(name string, list ...broker.Publication) broker.Receipt {
	m.env.Helper()
	receipt, err := m.try(name, list...)
	if err != nil {
		m.env.Fatalf("brokertest: expected nil of Publish of %s, which is connected, to name %s; it returned %v", m.name, short(name), err)
	}
	return receipt
}

// try publishes one after the other, until there is an error. Any goroutine may call it.
func (m *member) try(name string, list ...broker.Publication) (receipt broker.Receipt, err error) {
	for _, p := range list {
		ctx, cancel := within(patience)
		receipt, err = m.Publish(ctx, name, p)
		cancel()
		if err != nil {
			return receipt, err
		}
	}
	return receipt, nil
}

// wantErr publishes, which has to fail at once.
func (m *member) wantErr(want error, why, name, data string) {
	m.env.Helper()
	m.env.promptly(func() {
		ctx, cancel := within(patience)
		defer cancel()
		if _, err := m.Publish(ctx, name, text(data)); !errors.Is(err, want) {
			m.env.Errorf("brokertest: expected %q of Publish of %s, %s; it returned %v", want, m.name, why, err)
		}
	}, "that Publish of "+m.name+", "+why+", returns")
}

// flood publishes "0", "1" and so on to a name in a goroutine of its own. stop ends that, and returns how many there were.
func (m *member) flood(name string) (stop func() int) {
	stopped, count := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		defer func() { count <- n }()
		for {
			select {
			case <-stopped:
				return
			default:
			}
			if _, err := m.try(name, text(fmt.Sprint(n))); err != nil {
				m.env.faults.add(fmt.Sprintf("expected nil of Publish of %s, which is connected; it returned %v", m.name, err))
				return
			}
			if n++; n%20 == 0 {
				time.Sleep(100 * time.Microsecond) // so that time goes on, in a bubble
			}
		}
	}()
	return func() int {
		close(stopped)
		return <-count
	}
}

// close closes a node, after which nothing may be called.
func (m *member) close() {
	m.env.Helper()
	m.closed = true
	ctx, cancel := within(patience)
	defer cancel()
	if err := m.Close(ctx); err != nil {
		m.env.Errorf("brokertest: expected nil of Close of %s within %v; it returned %v", m.name, patience, err)
	}
	m.over()
}

// over says that nothing of the node may be called any more.
func (m *member) over() {
	m.watcher.over("Close")
	for _, r := range m.receivers {
		r.over("Close")
	}
}

// check is for the end of a case.
func (m *member) check() {
	m.env.Helper()
	m.watcher.check()
	for _, r := range m.receivers {
		r.check()
	}
}

// guard finds calls that overlap, or come after their end.
type guard struct {
	running atomic.Int32
	ended   atomic.Pointer[string] // by what
}

// over is called when no call is running any more, nor will come.
func (g *guard) over(by string) { g.ended.CompareAndSwap(nil, &by) }

// enter begins a call. leave ends it.
func (g *guard) enter(e *env, method, of string) (leave func()) {
	check := func(how string) {
		if by := g.ended.Load(); by != nil {
			e.faults.add(fmt.Sprintf("expected that no method of %s is running or called after %s has returned; %s %s", of, *by, method, how))
		}
	}
	check("was called")
	if g.running.Add(1) > 1 {
		e.faults.add(fmt.Sprintf("expected one goroutine at a time in the methods of %s; %s was called by a second one", of, method))
	}
	return func() {
		check("was running")
		g.running.Add(-1)
	}
}

// watcher is the Watcher of a member.
type watcher struct {
	guard
	member *member
	calls  journal[watched]
}

type watched struct {
	method  string
	inDoubt int
}

// Down implements broker.Watcher.
func (w *watcher) Down(cause error, inDoubt int) {
	defer w.enter(w.member.env, "Down", "the Watcher of "+w.member.name)()
	w.calls.add(watched{"Down", inDoubt})
}

// Up implements broker.Watcher.
func (w *watcher) Up() {
	defer w.enter(w.member.env, "Up", "the Watcher of "+w.member.name)()
	w.calls.add(watched{"Up", 0})
}

// state returns the last call: "" if there was none.
func (w *watcher) state() string {
	if last := w.calls.last.Load(); last != nil {
		return last.value.method
	}
	return ""
}

// inDoubt returns the sum of what Down was told.
func (w *watcher) inDoubt() (sum int) {
	for _, c := range w.calls.all() {
		sum += c.inDoubt
	}
	return sum
}

func (w *watcher) check() {
	w.member.env.Helper()
	list := w.calls.all()
	for i, c := range list {
		if i > 0 && c.method == list[i-1].method {
			w.member.env.Errorf("brokertest: expected Down and Up of the Watcher of %s in turn; it was told %+v", w.member.name, list)
			return
		}
		if c.inDoubt < 0 {
			w.member.env.Errorf("brokertest: expected a number of publications in doubt; Down of %s said %d", w.member.name, c.inDoubt)
		}
	}
}

// ended is a context that has ended.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// short quotes a name for a failure message.
func short(name string) string {
	if len(name) > 40 {
		return fmt.Sprintf("%+q... (%d bytes)", name[:40], len(name))
	}
	return fmt.Sprintf("%+q", name)
}

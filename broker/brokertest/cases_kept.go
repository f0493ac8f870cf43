package brokertest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// began waits for the first call of Began.
func (r *receiver) began() (epoch string, offset uint64) {
	r.env.Helper()
	r.env.wait(func() bool { return r.told.len() > 0 }, "Began of %s", r.label)
	first := r.told.all()[0]
	return first.epoch, first.offset
}

// epoch returns the last one.
func (r *receiver) epoch() (last string) {
	for _, t := range r.told.all() {
		if t.method == "Began" {
			last = t.epoch
		}
	}
	return last
}

// all returns what was accepted for a name, without duplicates.
func (e *env) all(name string) (list []sent) {
	for _, s := range e.sent.all() {
		if s.name == name && !s.receipt.Duplicate {
			list = append(list, s)
		}
	}
	return list
}

// behind is what follows an offset.
func behind(list []sent, offset uint64) []sent {
	for len(list) > 0 && list[0].receipt.Offset <= offset {
		list = list[1:]
	}
	return list
}

func offsets(e *env) {
	a, b := e.node(), e.node()
	a.publish("news", text("before anybody listens"))
	list := []*receiver{a.listen("news")}
	for i := range 50 {
		e.nodes[i%2].publish("news", text(fmt.Sprint(i)))
		b.publish("other", text("beside it"))
	}
	list = append(list, b.listen("news"), b.listen("other"))
	b.publish("news", text("the last one"))
	a.publish("other", text("the last one"))
	for _, r := range list {
		r.isUpToDate()
	}
	e.nothingElse(list...)
}

// isUpToDate checks that a receiver gets everything behind the offset of Began, in the epoch of the Receipts.
func (r *receiver) isUpToDate() {
	r.env.Helper()
	epoch, offset := r.began()
	all := r.env.all(r.name)
	last := all[len(all)-1].p.Data
	r.env.wait(func() bool { return r.has(last) }, "for %s, %q", r.label, last)
	var want, got []string
	for _, s := range behind(all, offset) {
		want = append(want, fmt.Sprintf("%d: %+q", s.receipt.Offset, s.p.Data))
		if s.receipt.Epoch != epoch {
			r.env.Errorf("brokertest: expected one epoch of a name on all nodes; Began of %s said %q, and a Receipt %q", r.label, epoch, s.receipt.Epoch)
		}
	}
	for _, t := range r.told.all() {
		if t.method == "Deliver" {
			got = append(got, fmt.Sprintf("%d: %+q", t.message.Offset, t.message.Data))
		}
	}
	if !slices.Equal(got, want) {
		r.env.Errorf("brokertest: expected for %s, which began at %d, what was published behind that, with the offsets of the Receipts: %s; it got %s", r.label, offset, want, got)
	}
}

func keys(e *env) {
	a, b := e.node(), e.node()
	own, other := a.listen("news"), b.listen("news")
	list := []broker.Publication{{Data: "one", Key: "ann 1"}, {Data: "two", Key: "ann 2"}, {Data: "three", Key: "ANN 1"}, {Data: "four"}, {Data: "four"}}
	var first broker.Receipt
	for i, p := range list {
		receipt := a.publish("news", p)
		if receipt.Duplicate {
			e.Errorf("brokertest: expected no duplicate, as key %q is new; Publish returned %+v", p.Key, receipt)
		}
		if i == 0 {
			first = receipt
		}
	}
	for _, m := range e.nodes {
		if again := m.publish("news", list[0]); !again.Duplicate || again.Offset != first.Offset || again.Epoch != first.Epoch {
			e.Errorf("brokertest: expected the Receipt of a duplicate of %+v; Publish of %s returned %+v", first, m.name, again)
		}
	}
	if elsewhere := a.publish("other", list[0]); elsewhere.Duplicate {
		e.Errorf("brokertest: expected no duplicate, as the key is new for this name; Publish returned %+v", elsewhere)
	}
	for _, r := range []*receiver{own, other} {
		r.expect(list...)
	}
	e.nothingElse(own, other)
}

func resetInItsPlace(e *env) {
	a, b := e.node(), e.node()
	list := []*receiver{a.listen("news"), b.listen("news")}
	beside := b.listen("beside")
	var want []broker.Publication
	publish := func(m *member, p broker.Publication) broker.Receipt {
		want = append(want, p)
		return m.publish("news", p)
	}
	a.publish("beside", text("stays"))
	publish(a, text("1"))
	before := publish(b, text("2"))
	reset := publish(a, broker.Publication{Reset: true})
	epoch := reset.Epoch
	for _, m := range e.nodes {
		m.page("news", epoch, before.Offset, 10).is("no", false)
		m.page("news", epoch, reset.Offset, 10).is("yes", false)
	}
	publish(b, text("3"))
	publish(a, text("4"))
	for _, m := range e.nodes {
		for _, offset := range []uint64{0, before.Offset} {
			m.page("news", epoch, offset, 10).is("no", false, e.all("news")[3:]...)
			m.page("news", epoch, offset, 1).is("no", true, e.all("news")[3])
		}
		m.page("news", epoch, reset.Offset, 10).is("yes", false, e.all("news")[3:]...)
		m.page("beside", epoch, 0, 10).is("", false, e.all("beside")...)
	}
	for _, r := range list {
		r.expect(want...)
	}
	beside.expect(text("stays"))
	e.nothingElse(append(list, beside)...)
}

func keptBesidePlain(e *env) {
	a, b := e.node(), e.node()
	list := slices.Concat(a.subscribe("news", "plain news"), b.subscribe("plain news", "news"))
	for i := range 20 {
		for _, name := range []string{"news", "plain news"} {
			e.nodes[i%2].publish(name, broker.Publication{Data: fmt.Sprint(i), Key: fmt.Sprint("key ", i)})
		}
	}
	for _, r := range list {
		r.numbers(20)
	}
	e.breakServer()
	a.waitDown()
	b.waitDown()
	e.healServer()
	a.waitUp()
	b.waitUp()
	for _, r := range list[:2] {
		b.publish(r.name, text("after"))
	}
	for _, r := range list {
		e.wait(func() bool { return r.has("after") }, "for %s, what was published after Up", r.label)
		if !r.keep && r.losses.Load() == 0 {
			e.Errorf("brokertest: expected Lost after a reconnect for a name that is not kept; it was not called for %s", r.label)
		}
	}
	e.nothingElse(list...)
}

func fits(e *env) {
	m := e.unopened()
	check := func(when string) {
		e.promptly(func() {
			if err := m.historian().Fits(promised, time.Minute); err != nil {
				e.Errorf("brokertest: expected nil of Fits(%d, 1 min), %s; it returned %v", promised, when, err)
			}
		}, "that Fits, "+when+", returns")
	}
	check("before Open")
	e.open(m)
	m.waitUp()
	check("after Open")
	r := m.listen("news")
	for i := range promised + 20 {
		m.publish("news", text(fmt.Sprint(i)))
	}
	epoch, _ := r.began()
	last := e.all("news")[20:]
	m.page("news", epoch, last[0].receipt.Offset-1, promised).is("", false, last...)
}

// historian is the node as a Historian.
func (m *member) historian() broker.Historian {
	m.env.Helper()
	h, is := m.Broker.(broker.Historian)
	if !is {
		m.env.Fatalf("brokertest: expected a broker.Historian, as the implementation keeps messages; %s is %T", m.name, m.Broker)
	}
	return h
}

// wantAfterErr calls After, which has to fail.
func (m *member) wantAfterErr(want error, why, epoch string) {
	m.env.Helper()
	ctx, cancel := within(patience)
	defer cancel()
	if _, err := m.historian().After(ctx, "news", epoch, 0, 10); !errors.Is(err, want) {
		m.env.Errorf("brokertest: expected %q of After of %s, %s; it returned %v", want, m.name, why, err)
	}
}

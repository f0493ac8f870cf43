package brokertest

import (
	"fmt"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// needsCut skips a case that the group cannot run.
func (e *env) needsCut() {
	if e.group.Cut == nil {
		e.Skip("the group cannot cut one node")
	}
}

func (m *member) cut() {
	m.env.Helper()
	m.env.outside(func() { m.env.group.Cut(m.Broker) })
	m.waitDown()
}

func (m *member) mend() {
	m.env.Helper()
	m.env.outside(func() { m.env.group.Mend(m.Broker) })
	m.waitUp()
}

func cutIsFilled(e *env) {
	e.needsCut()
	a, b := e.node(), e.node()
	list := slices.Concat(a.subscribe("news"), b.subscribe("news", "quiet"))
	epoch, _ := list[0].began()
	for round := range 3 {
		a.publish("news", text(fmt.Sprint("before ", round)))
		b.cut()
		b.wantAfterErr(broker.ErrDown, "which is cut", epoch)
		for i := range 50 {
			a.publish("news", text(fmt.Sprintf("%d:%d", round, i)))
		}
		b.mend()
		b.publish("quiet", text(fmt.Sprint("after ", round)))
		b.publish("news", text(fmt.Sprint("after ", round)))
	}
	for _, r := range list {
		r.isUpToDate()
	}
	e.nothingElse(list...)
}

func resetWhileCut(e *env) {
	e.needsCut()
	e.forgets = true
	a, b := e.node(), e.node()
	list := []*receiver{a.listen("news"), b.listen("news")}
	a.publish("news", text("1"))
	for _, r := range list {
		r.expect(text("1"))
	}
	b.cut()
	a.publish("news", text("2"), broker.Publication{Reset: true}, text("3"))
	b.mend()
	list[0].expect(text("1"), text("2"), broker.Publication{Reset: true}, text("3"))
	e.wait(func() bool { return list[1].has("3") }, "for %s, what was published while it was cut", list[1].label)
	got := list[1].publications()
	if !got[len(got)-2].Reset {
		e.Errorf("brokertest: expected that a Reset comes to a node that was cut, in its place; %s got %+v", list[1].label, got)
	}
	e.nothingElse(list...)
}

func cutAndNotKept(e *env) {
	e.needsCut()
	if e.group.Forget == nil {
		e.Skip("the group cannot drop what is kept")
	}
	e.forgets = true
	a, b := e.node(), e.node()
	always, r, calm := a.listen("news"), b.listen("news"), b.listen("calm")
	for _, name := range []string{"news", "calm"} {
		a.publish(name, text("1"))
	}
	r.expect(text("1"))
	calm.expect(text("1"))
	b.cut()
	for _, name := range []string{"news", "calm"} {
		a.publish(name, text("2"))
	}
	e.outside(func() { e.group.Forget("news") })
	b.mend()
	for _, name := range []string{"news", "calm"} {
		a.publish(name, text("3"))
	}
	r.next(1, text("3"))
	if r.losses.Load() == 0 {
		e.Errorf("brokertest: expected Lost, as what was published while %s was cut is not kept any more; it was not called for %s", b.name, r.label)
	}
	always.expect(text("1"), text("2"), text("3"))
	calm.expect(text("1"), text("2"), text("3"))
	e.nothingElse(always, r, calm)
}

func cutUnderLoad(e *env) {
	e.needsCut()
	nodes := []*member{e.node(), e.node(), e.node()}
	var list []*receiver
	for _, m := range nodes {
		list = append(list, m.listen("news"))
	}
	stopped := make(chan struct{})
	counts := make(chan int, len(nodes))
	for _, m := range nodes {
		go func() { counts <- m.repeat("news", stopped) }()
	}
	for range 5 {
		had := list[0].count.Load()
		e.wait(func() bool { return list[0].count.Load() > had+50 }, "publications for %s", list[0].label)
		nodes[1].cut()
		had = list[0].count.Load()
		e.wait(func() bool { return list[0].count.Load() > had+50 }, "publications for %s, which is not cut", list[0].label)
		nodes[1].mend()
	}
	close(stopped)
	total := 0
	for range nodes {
		total += <-counts
	}
	for _, r := range list {
		e.wait(func() bool { return r.count.Load() >= int64(total) }, "%d publications for %s", total, r.label)
		next := make(map[string]int)
		for _, p := range r.publications() {
			if want := fmt.Sprint(next[p.From]); p.Data != want {
				e.Fatalf("brokertest: expected that each publication comes once, in order; %s got number %s of %s when %s was next", r.label, p.Data, p.From, want)
			}
			next[p.From]++
		}
		r.sameAs(list[0])
	}
	e.nothingElse(list...)
}

// sameAs checks that two receivers of a name that is kept have got the same.
func (r *receiver) sameAs(other *receiver) {
	r.env.Helper()
	if !slices.Equal(r.publications(), other.publications()) {
		r.env.Errorf("brokertest: expected one order on all nodes; that of %s differs from that of %s", r.label, other.label)
	}
}

// repeat publishes numbers to a name until it is stopped, each with a key until there is no error. It returns how many there were.
func (m *member) repeat(name string, stopped <-chan struct{}) (n int) {
	for began := time.Now(); time.Since(began) < 2*patience; {
		_, err := m.try(name, broker.Publication{From: m.name, Data: fmt.Sprint(n), Key: fmt.Sprint(m.name, " ", n)})
		if err == nil {
			n++
			select {
			case <-stopped:
				return n
			default:
			}
		}
		if err != nil || n%20 == 0 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	m.env.faults.add("expected that Publish of " + m.name + " succeeds, at last; it has not")
	return n
}

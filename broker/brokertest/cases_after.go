package brokertest

import (
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// page is what After has returned, and what it was asked for.
type page struct {
	broker.Page
	env    *env
	label  string
	offset uint64
}

// page calls After, which has to succeed.
func (m *member) page(name, epoch string, offset uint64, most int) page {
	m.env.Helper()
	ctx, cancel := within(patience)
	defer cancel()
	p, err := m.historian().After(ctx, name, epoch, offset, most)
	label := fmt.Sprintf("After of %s, name %s, offset %d, most %d,", m.name, short(name), offset, most)
	if err != nil {
		m.env.Fatalf("brokertest: expected nil of %s which is connected; it returned %v", label, err)
	}
	if len(p.Messages) > most {
		m.env.Fatalf("brokertest: expected no more messages of %s than that; it returned %d", label, len(p.Messages))
	}
	got := page{p, m.env, label, offset}
	got.check()
	return got
}

// check is for all pages.
func (p page) check() {
	p.env.Helper()
	if p.More && len(p.Messages) == 0 {
		p.env.Errorf("brokertest: expected a message of %s as it says that there are more", p.label)
	}
	last := p.offset
	for i, m := range p.Messages {
		switch {
		case m.Offset <= last:
			p.env.Fatalf("brokertest: expected offsets above %d of %s; there is %d", last, p.label, m.Offset)
		case m.Prev != last && (i > 0 || p.Whole):
			p.env.Fatalf("brokertest: expected that Prev in the page of %s is the offset before it, %d; it is %d", p.label, last, m.Prev)
		case !recent(m.At):
			p.env.Fatalf("brokertest: expected the time of publication of %s; it returned %v", p.label, m.At)
		}
		last = m.Offset
	}
	if p.End < last {
		p.env.Errorf("brokertest: expected that End of %s is not below %d; it is %d", p.label, last, p.End)
	}
}

// is checks a page. whole is "yes", "no", or "" for what need not be proven.
func (p page) is(whole string, more bool, want ...sent) {
	p.env.Helper()
	for i, m := range p.Messages {
		if i == len(want) {
			p.env.Fatalf("brokertest: expected %d messages of %s; there is another one: %s", len(want), p.label, printed(m.Publication))
		}
		if w := want[i]; m.Publication != w.p || m.Offset != w.receipt.Offset { // #nosec G602 -- there are as many
			p.env.Fatalf("brokertest: expected message %d of %s to be %s with offset %d; it is %s with offset %d", i+1, p.label,
				printed(w.p), w.receipt.Offset, printed(m.Publication), m.Offset)
		}
	}
	if len(p.Messages) < len(want) {
		p.env.Fatalf("brokertest: expected %d messages of %s; there are %d", len(want), p.label, len(p.Messages))
	}
	if p.More != more {
		p.env.Errorf("brokertest: expected More to be %v of %s; it is %v", more, p.label, p.More)
	}
	if is := map[bool]string{true: "yes", false: "no"}[p.Whole]; whole != "" && is != whole {
		p.env.Errorf("brokertest: expected that the page is whole: %s, of %s; it is: %s", whole, p.label, is)
	}
}

func after(e *env) {
	a, b := e.node(), e.node()
	epoch, offset := a.listen("news").began()
	for _, m := range e.nodes {
		m.page("news", epoch, 0, 10).is("yes", false)
		m.page("news", epoch, offset, 10).is("yes", false)
	}
	for i, p := range publications()[:25] {
		e.nodes[i%2].publish("news", p)
		a.publish("other", text("beside it"))
	}
	all := e.all("news")
	for _, m := range e.nodes {
		m.page("news", epoch, 0, 10).is("yes", true, all[:10]...)
		m.page("news", epoch, all[9].receipt.Offset, 10).is("yes", true, all[10:20]...)
		m.page("news", epoch, all[19].receipt.Offset, 10).is("yes", false, all[20:]...)
		m.page("news", epoch, all[19].receipt.Offset, 5).is("yes", false, all[20:]...)
		m.page("news", epoch, all[2].receipt.Offset, 1).is("yes", true, all[3])
		m.page("news", epoch, all[24].receipt.Offset, 10).is("yes", false)
	}
	late := b.listen("news")
	_, offset = late.began()
	a.publish("news", text("the last one"))
	all = e.all("news")
	for _, m := range e.nodes {
		m.page("news", epoch, offset, 10).is("yes", false, behind(all, offset)...)
		m.page("news", epoch, 0, 1000).is("yes", false, all...)
	}
	late.isUpToDate()
}

func afterJoins(e *env) {
	a, b := e.node(), e.node()
	always := b.listen("news")
	epoch, _ := always.began()
	stop := a.flood("news")
	var read []uint64 // offsets, from the first one
	for range 20 {
		e.wait(func() bool { return always.count.Load() > int64(len(read)) }, "publications for %s", always.label)
		r := b.listen("news")
		_, offset := r.began()
		var last uint64
		for more := true; more && last < offset; {
			if len(read) > 0 {
				last = read[len(read)-1]
			}
			p := b.page("news", epoch, last, 100)
			if !p.Whole {
				e.Fatalf("brokertest: expected that the page of %s is whole", p.label)
			}
			for _, m := range p.Messages {
				if m.Data != fmt.Sprint(len(read)) {
					e.Fatalf("brokertest: expected the next publication, %d, of %s; there is %s", len(read), p.label, printed(m.Publication))
				}
				read, last = append(read, m.Offset), m.Offset
			}
			more = p.More
		}
		e.wait(func() bool { return r.count.Load() > 0 }, "a publication for %s", r.label)
		kept := 0
		for kept < len(read) && read[kept] <= offset {
			kept++
		}
		if got := r.publications()[0]; got.Data != fmt.Sprint(kept) {
			e.Fatalf("brokertest: expected that After has what was published up to the offset of Began, and that the rest is delivered; After has %d publications, and %s got %s first", kept, r.label, printed(got))
		}
		b.unsubscribe(r)
	}
	always.numbers(stop())
}

func afterFails(e *env) {
	early := e.unopened()
	early.wantAfterErr(broker.ErrClosed, "which is not open", "")
	a, b := e.node(), e.node()
	r := a.listen("news")
	epoch, _ := r.began()
	a.publish("news", text("1"))
	b.wantAfterErr(broker.ErrEpoch, "which is asked about an epoch that has never been", epoch+"0")
	b.wantAfterErr(broker.ErrEpoch, "which is asked about no epoch", "")
	e.promptly(func() {
		if _, err := b.historian().After(ended(), "news", epoch, 0, 10); err != nil && err != ended().Err() {
			e.Errorf("brokertest: expected the context's error, or nil, of After with a context that has ended; it returned %v", err)
		}
	}, "that After with a context that has ended returns")
	e.breakServer()
	a.waitDown()
	b.waitDown()
	b.wantAfterErr(broker.ErrDown, "whose server is away", epoch)
	e.healServer()
	a.waitUp()
	b.waitUp()
	a.publish("news", text("2"))
	e.wait(func() bool { return r.has("2") }, "for %s, what was published after Up", r.label)
	if r.epoch() == epoch {
		b.page("news", epoch, 0, 10).is("yes", false, e.all("news")...)
	} else {
		b.wantAfterErr(broker.ErrEpoch, "whose server has lost what was kept", epoch)
		b.page("news", r.epoch(), 0, 10).is("yes", false, e.all("news")[1:]...)
	}
	b.close()
	b.wantAfterErr(broker.ErrClosed, "which is closed", epoch)
}

func afterForgets(e *env) {
	if e.group.Forget == nil {
		e.Skip("the group cannot drop what is kept")
	}
	e.forgets = true
	a, b := e.node(), e.node()
	r := a.listen("news")
	epoch, _ := r.began()
	a.publish("news", text("1"), text("2"), text("3"))
	a.publish("other", text("stays"))
	all := e.all("news")
	e.outside(func() { e.group.Forget("news") })
	for _, offset := range []uint64{0, all[1].receipt.Offset} {
		b.page("news", epoch, offset, 10).is("no", false)
	}
	b.publish("news", text("4"))
	all = e.all("news")
	for _, offset := range []uint64{0, all[1].receipt.Offset} {
		b.page("news", epoch, offset, 10).is("no", false, all[3])
	}
	b.page("news", epoch, all[2].receipt.Offset, 10).is("", false, all[3])
	b.page("news", epoch, all[3].receipt.Offset, 10).is("", false)
	b.page("other", epoch, 0, 10).is("", false, e.all("other")...)
	r.expect(text("1"), text("2"), text("3"), text("4"))
	e.nothingElse(r)
}

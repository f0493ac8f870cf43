package brokertest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// publications have all that a field may have in it.
func publications() []broker.Publication {
	var bytes strings.Builder
	for i := range 256 {
		bytes.WriteByte(byte(i))
	}
	list := []broker.Publication{
		{},
		text("hello"),
		text("\x00"),
		text("\x00\x00leading"),
		text("trailing\x00\r\n"),
		text("\xff"),
		text("\xff\x00\x01"),
		text("日本 \u202e \u00e9 e\u0301"),
		text(bytes.String()),
		{JSON: true},
		{Data: `{"a":1}`, JSON: true},
		{Data: `{"a":1}`},
		{From: "ann"},
		{Data: "hello", From: "a\x00b\xff\n"},
		{Data: "x", From: strings.Repeat("f", 300), Key: strings.Repeat("k", 300), JSON: true},
	}
	for i, key := range []string{"key", "key ", "KEY", "\x00", "a\x00b", "\xff\xfe", "鍵", "a.b\r\n: c"} {
		list = append(list,
			broker.Publication{Key: key},
			broker.Publication{Key: key + "2", Data: bytes.String(), From: bytes.String(), JSON: i%2 == 0})
	}
	return list
}

func everyField(e *env) {
	a, b := e.node(), e.node()
	var list []*receiver
	for _, m := range []*member{a, b} {
		list = append(list, m.listen("from a"), m.listen("from b"))
	}
	want := publications()
	a.publish("from a", want...)
	b.publish("from b", want...)
	for _, r := range list {
		r.expect(want...)
	}
	e.nothingElse(list...)
}

// nothingElse checks that receivers get nothing but what they have had: each node publishes to each of their names, and that comes next. A
// publication that had come twice, or to the wrong name, would have come before.
func (e *env) nothingElse(list ...*receiver) {
	e.Helper()
	had := make(map[*receiver]int)
	last := make(map[string][]string)
	for _, r := range list {
		had[r] = len(r.publications())
		last[r.name] = nil
	}
	for name := range last {
		for _, m := range e.nodes {
			if m.closed {
				continue
			}
			data := fmt.Sprintf("the last one of %s to %+q", m.name, name)
			m.publish(name, text(data))
			last[name] = append(last[name], data)
		}
	}
	for _, r := range list {
		want := last[r.name]
		e.wait(func() bool { return r.count.Load() >= int64(had[r]+len(want)) }, "%d publications more for %s", len(want), r.label)
		var got []string
		for _, p := range r.publications()[had[r]:] {
			got = append(got, p.Data)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			e.Errorf("brokertest: expected nothing for %s but what was published to its name, once; it got %+q, not %+q", r.label, got, want)
		}
	}
}

func publishersKeepTheirOrder(e *env) {
	const publishers, each = 6, 300
	nodes := []*member{e.node(), e.node(), e.node()}
	var list []*receiver
	for _, m := range nodes {
		list = append(list, m.listen("news"))
	}
	errs := make(chan error, publishers)
	for p := range publishers {
		go func() {
			var own []broker.Publication
			for i := range each {
				own = append(own, broker.Publication{From: fmt.Sprint(p), Data: fmt.Sprint(i)})
			}
			_, err := nodes[p%len(nodes)].try("news", own...)
			errs <- err
		}()
	}
	for range publishers {
		if err := <-errs; err != nil {
			e.Errorf("brokertest: expected nil of Publish, in several goroutines at once; it returned %v", err)
		}
	}
	for _, r := range list {
		e.wait(func() bool { return r.count.Load() >= publishers*each }, "%d publications for %s", publishers*each, r.label)
		next := make(map[string]int)
		for _, p := range r.publications() {
			if want := fmt.Sprint(next[p.From]); p.Data != want {
				e.Fatalf("brokertest: expected that the publications of each publisher come once, in order; %s got number %s of publisher %s when %s was next", r.label, p.Data, p.From, want)
			}
			next[p.From]++
		}
	}
	if e.impl.OneOrder || e.keep {
		for _, r := range list[1:] {
			if !slices.Equal(r.publications(), list[0].publications()) {
				e.Errorf("brokertest: expected one order on all nodes; that of %s differs from that of %s", r.label, list[0].label)
			}
		}
	}
	e.nothingElse(list...)
}

// hostile names are all different ones.
func hostile() []string {
	long := strings.Repeat("n", 254)
	return []string{
		"", " ", ".", "..", "a", "A", "a ", " a", "a.", ".a", "a.b", "a.B", "a..b", "a b", "a_b", "a-b", "a/b", "a+b", "a:b", "a,b", "a\tb", "a\r\nb",
		"*", ">", "a.*", "a.>", "*.b", "#", "+", "?", "[ab]", "a*", `\`, `\*`, `"`, "'", "%", "$", "~", "{}",
		"=", "==", "a=2Eb", "=2E", "=3D", "%2E", "a%2Eb", "a%20b", "%252E", `\x00`, `\u0000`, "&#46;", "_", "__", "_2E", "a_2Eb",
		"YQ", "YQ==", "61", "0x61", "ME", "null", "0",
		"$SYS.x", "$JS.API.>", "_INBOX.x", "a.c", "a.s",
		"a\u00a0b", "\u00a0", "日本", "日", "\u00e9", "e\u0301", "\u00df", "ss", "\u0130", "i", "I", "\u0131", "\u017f", "K", "k", "\u212a", "\ufb01", "fi", "\u200b", "\ufeff",
		"\U0001f44d", "\U0001f44d\U0001f3fd", "\ufffd", "\xff", "\xc3",
		"\x00", "\x00\x00", "\x00a", "\x00A", "a\x00", "a\x00b", "\x00.", "\x00*", "\x00日本",
		long + "n", long + "N", long + ".", long + "\x00", strings.Repeat("日", 85), strings.Repeat("*", 255), strings.Repeat("\x00", 255),
	}
}

func namesAreOpaque(e *env) {
	names := hostile()
	a, b := e.node(), e.node()
	list := slices.Concat(a.subscribe(names...), b.subscribe(names...))
	for i, name := range names {
		a.publish(name, text(fmt.Sprint("a", i)))
	}
	for i, r := range list {
		r.expect(text(fmt.Sprint("a", i%len(names))))
	}
	e.nothingElse(list...)
	a.unsubscribe(a.receivers...)
	e.nothingElse(b.receivers...)
}

func whatFollowsSubscribe(e *env) {
	a, b := e.node(), e.node()
	for i := range 200 {
		name := fmt.Sprint("topic ", i)
		own := a.listen(name)
		a.publish(name, text("own"))
		own.expect(text("own")) // or the server could have it after the next subscription
		other := b.listen(name)
		a.publish(name, text("other"))
		other.expect(text("other"))
		own.expect(text("own"), text("other"))
	}
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprint("together ", i))
	}
	list := b.subscribe(names...)
	for i := len(names) - 1; i >= 0; i-- {
		a.publish(names[i], text("now"))
	}
	for _, r := range list {
		r.expect(text("now"))
	}
}

func tooBig(e *env) {
	a, b := e.node(), e.node()
	own, other := a.listen("news"), b.listen("news")
	whole := text(strings.Repeat("x", e.impl.Largest))
	a.publish("news", text("before"), whole)
	a.wantErr(broker.ErrTooBig, "which has a publication that is a byte too big", "news", whole.Data+"x")
	a.wantErr(broker.ErrTooBig, "which has a publication that is much too big", "news", strings.Repeat(whole.Data, 3)+"x")
	a.publish("news", text("after"))
	for _, r := range []*receiver{own, other} {
		r.expect(text("before"), whole, text("after"))
	}
	e.nothingElse(own, other)
	for _, m := range e.nodes {
		if m.watcher.state() != "Up" {
			e.Errorf("brokertest: expected that the connection survives ErrTooBig; %s was told Down", m.name)
		}
	}
}

func endedContexts(e *env) {
	a, b := e.node(), e.node()
	r := b.listen("news")
	e.promptly(func() {
		switch _, err := a.Publish(ended(), "news", text("maybe")); {
		case err == nil:
			r.expect(text("maybe"))
		case err != ended().Err():
			e.Errorf("brokertest: expected the context's error, or nil, of Publish with a context that has ended; it returned %v", err)
		}
	}, "that Publish with a context that has ended returns")
	late := []*receiver{b.receiver("late 1"), b.receiver("late 2")}
	e.promptly(func() { _ = b.Subscribe(ended(), subscriptions(late)) }, "that Subscribe with a context that has ended returns")
	b.enforce(late...)
	for _, l := range late {
		a.publish(l.name, text("hello"))
		l.expect(text("hello"))
	}
	e.promptly(func() { _ = a.Close(ended()) }, "that Close with a context that has ended returns")
	a.closed = true // what was running may run still
	a.wantErr(broker.ErrClosed, "which is closed", "news", "closed")
	e.nothingElse(late...)
}

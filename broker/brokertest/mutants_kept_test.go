package brokertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// keptMutants are of a network that keeps messages.
var keptMutants = []mutation{
	{"is no Historian", func(b broker.Broker) broker.Broker { return &struct{ broker.Broker }{b} }, "kept: fits", "expected a broker.Historian"},
	{"never calls Began", began(func(int, broker.Receiver, string, uint64) {}), "kept: every field crosses", "expected Began before the first Deliver"},
	{"calls Began twice", began(func(_ int, to broker.Receiver, epoch string, offset uint64) {
		to.Began(epoch, offset)
		to.Began(epoch, offset)
	}), "kept: every field crosses", "expected Began once at the beginning"},
	{"has an epoch without a name", began(func(_ int, to broker.Receiver, _ string, offset uint64) { to.Began("", offset) }), "kept: every field crosses", "expected an epoch that has a name"},
	{"no Began after Lost", began(func(n int, to broker.Receiver, epoch string, offset uint64) {
		if n == 1 {
			to.Began(epoch, offset)
		}
	}), "kept: a cut, and not kept any more", "expected Began before the first Deliver, and after Lost"},
	{"begins behind what it has delivered", began(func(_ int, to broker.Receiver, epoch string, _ uint64) { to.Began(epoch, 0) }), "kept: a cut, and not kept any more", "expected no offset below"},
	{"begins at 0", began(func(_ int, to broker.Receiver, epoch string, _ uint64) { to.Began(epoch, 0) }), "kept: offsets", "which began at 0"},
	{"begins too late", began(func(_ int, to broker.Receiver, epoch string, offset uint64) { to.Began(epoch, offset+stride) }), "kept: offsets", "expected an offset above"},
	{"has no page up to Began", lags, "kept: after joins what is delivered", "expected that After has what was published up to the offset of Began"},
	{"delivers what is not behind Began", began(func(_ int, to broker.Receiver, epoch string, offset uint64) {
		to.Began(epoch, offset)
		if offset > 0 {
			to.Deliver([]broker.Message{{Offset: offset}})
		}
	}), "kept: offsets", "expected an offset above"},
	{"each node has an epoch", func(b broker.Broker) broker.Broker {
		return began(func(_ int, to broker.Receiver, _ string, offset uint64) { to.Began(fmt.Sprintf("%p", b), offset) })(b)
	}, "kept: offsets", "expected one epoch of a name on all nodes"},

	{"another epoch in Receipts", receipts(func(_ string, r *broker.Receipt) { r.Epoch += "0" }), "kept: offsets", "expected one epoch of a name on all nodes"},
	{"no epoch in Receipts", receipts(func(_ string, r *broker.Receipt) { r.Epoch = "" }), "kept: receivers of one name", "expected an epoch and an offset of what is kept"},
	{"wrong offset in a Receipt", receipts(func(_ string, r *broker.Receipt) { r.Offset++ }), "kept: offsets", "with the offsets of the Receipts"},
	{"one offset in all Receipts", receipts(func(_ string, r *broker.Receipt) { r.Offset = stride }), "kept: every field crosses", "expected one publication in epoch"},
	{"a high offset in Receipts", receipts(func(_ string, r *broker.Receipt) { r.Offset += tooHigh }), "kept: offsets", "below 2^53"},
	{"Prev is that of all names", messages(func(_ broker.Receiver, m *broker.Message) { m.Prev = m.Offset - stride }), "kept: offsets", "expected Lost, or Prev 14, the offset before it"},
	{"a wrong time", messages(func(_ broker.Receiver, m *broker.Message) { m.At = time.Unix(1, 0) }), "kept: offsets", "expected the time of publication"},
	{"each node has an order of its own", swaps, "kept: publishers keep their order", "expected one order on all nodes"},
	{"each node has an order of its own", swaps, "kept: a cut under load", "expected one order on all nodes"},
	{"another publication on one node", messages(func(to broker.Receiver, m *broker.Message) {
		if strings.Contains(to.(*receiver).label, "node 2") {
			m.From = "nobody"
		}
	}), "kept: offsets", "expected one publication in epoch"},
	{"loses without a word", func(b broker.Broker) broker.Broker {
		time.AfterFunc(2*time.Millisecond, func() { b.(*Node).LoseSilently(1) })
		return b
	}, "kept: unsubscribe under load", "expected Lost"},

	{"knows no keys", mangle(func(p *broker.Publication) { p.Key = "" }), "kept: keys", "expected the Receipt of a duplicate"},
	{"knows keys of all names together", receipts(func(name string, r *broker.Receipt) { r.Duplicate = r.Duplicate || name == "other" }), "kept: keys", "expected no duplicate, as the key is new for this name"},
	{"another offset of a duplicate", receipts(func(_ string, r *broker.Receipt) {
		if r.Duplicate {
			r.Offset += stride
		}
	}), "kept: keys", "expected the Receipt of a duplicate"},
	{"publishes twice what it has not confirmed", repeats, "kept: a cut under load", "expected that each publication comes once, in order"},

	{"Reset is a publication like others", mangle(func(p *broker.Publication) { p.Reset = false }), "kept: reset", "there is another one"},
	{"Reset does not come", deliver(func(int, broker.Receiver) func([]broker.Message) []broker.Message { return withoutReset }), "kept: reset", "publications for receiver"},
	{"Reset does not come", deliver(func(int, broker.Receiver) func([]broker.Message) []broker.Message { return withoutReset }), "kept: a reset while cut", "publications for receiver"},
	{"Reset does not come to a node that was cut", deliver(func(_ int, to broker.Receiver) func([]broker.Message) []broker.Message {
		if strings.Contains(to.(*receiver).label, "node 2") {
			return withoutReset
		}
		return func(ms []broker.Message) []broker.Message { return ms }
	}), "kept: a reset while cut", "expected that a Reset comes to a node that was cut"},
	{"Reset is of all names", pages(func(a asked, p *broker.Page) {
		if a.name == "beside" {
			*p = broker.Page{}
		}
	}), "kept: reset", "expected 1 messages of After"},
	{"a Reset in a page", pages(func(a asked, p *broker.Page) {
		if len(p.Messages) > 0 && !p.Whole {
			p.Messages = slices.Insert(p.Messages, 0, broker.Message{Offset: p.Messages[0].Prev, Publication: broker.Publication{Reset: true}, At: time.Now()})
		}
	}), "kept: reset", "expected"},
	{"whole across a Reset", pages(alwaysWhole), "kept: reset", "expected that the page is whole: no"},

	{"numbers what it does not keep", messages(func(to broker.Receiver, m *broker.Message) {
		if !to.(*receiver).keep {
			m.Offset = 1
		}
	}), "kept: beside names that are not", "expected offsets of 0"},
	{"calls Began for what it does not keep", func(b broker.Broker) broker.Broker {
		return proxied(b, func(to broker.Receiver) *proxy {
			return &proxy{Receiver: to, lost: func(cause error) {
				to.Lost(cause)
				to.Began("epoch-1", 0)
			}}
		})
	}, "kept: beside names that are not", "expected that Began is not called"},
	{"a Receipt of what it does not keep", receipts(func(_ string, r *broker.Receipt) { r.Epoch = "epoch-1" }), "kept: beside names that are not", "expected the zero Receipt of what is not kept"},
	{"no Lost of what it does not keep", func(b broker.Broker) broker.Broker {
		return proxied(b, func(to broker.Receiver) *proxy { return &proxy{Receiver: to, lost: func(error) {}} })
	}, "kept: beside names that are not", "expected Lost after a reconnect for a name that is not kept"},

	{"fits nothing", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, fits: func(int, time.Duration) error { return errors.ErrUnsupported }}
	}, "kept: fits", "expected nil of Fits(100, 1 min), before Open"},
	{"does not know what fits before Open", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, fits: func(int, time.Duration) error {
			_, err := b.Publish(context.Background(), "x", broker.Publication{})
			return err
		}}
	}, "kept: fits", "expected nil of Fits(100, 1 min), before Open"},
	{"asks the server what fits", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, fits: func(int, time.Duration) error {
			time.Sleep(5 * time.Second)
			return nil
		}}
	}, "kept: fits", "expected that Fits, before Open, returns at once"},
	{"keeps less than it says", func(b broker.Broker) broker.Broker {
		b.(*Node).network.Keep(99)
		return &mutant{Broker: b, fits: func(int, time.Duration) error { return nil }}
	}, "kept: fits", "expected message 1 of After"},

	{"does not look at most", asks(func(a *asked) { a.most = 1000 }), "kept: after", "expected no more messages of After"},
	{"does not look at the offset", asks(func(a *asked) { a.offset = 0 }), "kept: after", "expected offsets above"},
	{"does not look at the name", asks(func(a *asked) { a.name = "other" }), "kept: after", "of After of node 1"},
	{"does not look at the epoch", asks(func(a *asked) { a.epoch = "epoch-1" }), "kept: after fails", "which is asked about an epoch that has never been"},
	{"skips a message in a page", pages(func(_ asked, p *broker.Page) {
		if len(p.Messages) > 2 {
			p.Messages = slices.Delete(p.Messages, 1, 2)
			p.Messages[1].Prev = p.Messages[0].Offset
		}
	}), "kept: after", "expected message 2 of After"},
	{"has not got the latest in a page", pages(func(_ asked, p *broker.Page) {
		if n := len(p.Messages); n > 0 && !p.More {
			p.Messages = p.Messages[:n-1]
		}
	}), "kept: after", "expected 5 messages of After"},
	{"never whole", pages(func(_ asked, p *broker.Page) { p.Whole = false }), "kept: after", "expected that the page is whole: yes"},
	{"never whole", pages(func(_ asked, p *broker.Page) { p.Whole = false }), "kept: after joins what is delivered", "is whole"},
	{"always whole", pages(alwaysWhole), "kept: after what was dropped", "expected that the page is whole: no"},
	{"never more", pages(func(_ asked, p *broker.Page) { p.More = false }), "kept: after", "expected More to be true"},
	{"always more", pages(func(_ asked, p *broker.Page) { p.More = true }), "kept: after", "expected a message of After"},
	{"more when the page is full", pages(func(a asked, p *broker.Page) { p.More = len(p.Messages) == a.most }), "kept: after", "expected More to be false"},
	{"no Prev in pages", pages(func(_ asked, p *broker.Page) {
		for i := range p.Messages {
			p.Messages[i].Prev = 0
		}
	}), "kept: after", "expected that Prev in the page"},
	{"no times in pages", pages(func(_ asked, p *broker.Page) {
		for i := range p.Messages {
			p.Messages[i].At = time.Time{}
		}
	}), "kept: after", "expected the time of publication"},
	{"loses From in pages", pages(func(_ asked, p *broker.Page) {
		for i := range p.Messages {
			p.Messages[i].From = ""
		}
	}), "kept: after", "expected message 3 of After"},
	{"an empty page while down", afterNil(broker.ErrDown), "kept: after fails", "whose server is away"},
	{"an empty page while down", afterNil(broker.ErrDown), "kept: a cut is filled", "which is cut"},
	{"an empty page after Close", afterNil(broker.ErrClosed), "kept: after fails", "which is closed"},
	{"an empty page before Open", afterNil(broker.ErrClosed), "kept: after fails", "which is not open"},
	{"After does not look at its context", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, after: func(ctx context.Context, name, epoch string, offset uint64, most int) (broker.Page, error) {
			if ctx.Err() != nil {
				time.Sleep(5 * time.Second)
			}
			return b.(broker.Historian).After(ctx, name, epoch, offset, most)
		}}
	}, "kept: after fails", "expected that After with a context that has ended returns at once"},

	{"does not fill a cut", deliver(func(int, broker.Receiver) func([]broker.Message) []broker.Message {
		return func(ms []broker.Message) []broker.Message {
			return slices.DeleteFunc(ms, func(m broker.Message) bool { return strings.Contains(m.Data, ":4") })
		}
	}), "kept: a cut is filled", "what was published behind that"},
	{"fills a cut, and says Lost", func(b broker.Broker) broker.Broker {
		return proxied(b, func(to broker.Receiver) *proxy {
			return &proxy{Receiver: to, deliver: func(ms []broker.Message) {
				if to.(*receiver).count.Load() > 0 {
					to.Lost(errCut)
					to.Began("epoch-1", ms[0].Prev)
				}
				to.Deliver(ms)
			}}
		})
	}, "kept: a cut is filled", "expected Lost only for what is not kept any more"},
	{"no Lost when it cannot fill a cut", func(b broker.Broker) broker.Broker {
		return proxied(b, func(to broker.Receiver) *proxy { return &proxy{Receiver: to, lost: func(error) {}} })
	}, "kept: a cut, and not kept any more", "expected Lost, as what was published while node 2 was cut"},
	{"publishes later what was refused", publishesLater, "kept: down and up", "expected that what Publish has refused with ErrDown never comes"},
	{"Up before subscriptions are in force", upTooEarly, "kept: down and up", "without being asked for again"},
	{"loses a publication after a reconnect", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, watch: func(w broker.Watcher) broker.Watcher {
			return &watched2{w, func(cause error, n int) {
				w.Down(cause, n)
				b.(*Node).LoseSilently(1)
			}, nil}
		}}
	}, "kept: down and up under load", "expected Lost"},
}

// restartMutants are of a network that loses what it has kept when it is away.
var restartMutants = []mutation{
	{"has one epoch for ever", func(b broker.Broker) broker.Broker {
		b = receipts(func(_ string, r *broker.Receipt) { r.Epoch = "epoch-1" })(b)
		return began(func(_ int, to broker.Receiver, _ string, offset uint64) { to.Began("epoch-1", offset) })(b)
	}, "kept: down and up", "expected"},
	{"does not say Lost for another epoch", func(b broker.Broker) broker.Broker {
		return proxied(b, func(to broker.Receiver) *proxy { return &proxy{Receiver: to, lost: func(error) {}} })
	}, "kept: down and up", "expected Began once at the beginning, and once after Lost"},
	{"does not look at the epoch", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, after: func(ctx context.Context, name, _ string, offset uint64, most int) (broker.Page, error) {
			var epoch string
			b.(*Node).network.do(func(s *server) { epoch = s.epochName() })
			return b.(broker.Historian).After(ctx, name, epoch, offset, most)
		}}
	}, "kept: after fails", "whose server has lost what was kept"},
}

// began changes calls of Began. It is told how many there were for a Receiver.
func began(call func(n int, to broker.Receiver, epoch string, offset uint64)) func(broker.Broker) broker.Broker {
	return func(b broker.Broker) broker.Broker {
		return proxied(b, func(to broker.Receiver) *proxy {
			n := 0
			return &proxy{Receiver: to, began: func(epoch string, offset uint64) {
				n++
				call(n, to, epoch, offset)
			}}
		})
	}
}

// receipts changes those of publications.
func receipts(change func(name string, r *broker.Receipt)) func(broker.Broker) broker.Broker {
	return func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, publish: func(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
			r, err := b.Publish(ctx, name, p)
			if err == nil {
				change(name, &r)
			}
			return r, err
		}}
	}
}

// messages changes those that are delivered.
func messages(change func(broker.Receiver, *broker.Message)) func(broker.Broker) broker.Broker {
	return deliver(func(_ int, to broker.Receiver) func([]broker.Message) []broker.Message {
		return func(ms []broker.Message) []broker.Message {
			for i := range ms {
				change(to, &ms[i])
			}
			return ms
		}
	})
}

// swaps exchanges two publications of different nodes or publishers on the second node, and not their numbers.
func swaps(b broker.Broker) broker.Broker {
	return deliver(func(n int, to broker.Receiver) func([]broker.Message) []broker.Message {
		var back []broker.Message
		return func(ms []broker.Message) (out []broker.Message) {
			if !strings.Contains(to.(*receiver).label, "node 2") {
				return ms
			}
			for _, m := range ms {
				if n++; n == 1 {
					back = []broker.Message{m}
					continue
				}
				if back != nil && back[0].From != m.From {
					before := &back[len(back)-1]
					before.Publication, m.Publication = m.Publication, before.Publication
					out = append(out, back...)
					back = nil
				}
				if back != nil {
					back = append(back, m)
					continue
				}
				out = append(out, m)
			}
			return out
		}
	})(b)
}

// lags has pages that end before the offset that Began has said.
func lags(b broker.Broker) broker.Broker {
	var end atomic.Uint64
	m := began(func(_ int, to broker.Receiver, epoch string, offset uint64) {
		end.Store(offset)
		to.Began(epoch, offset)
	})(b).(*mutant)
	m.after = func(ctx context.Context, name, epoch string, offset uint64, most int) (broker.Page, error) {
		p, err := b.(broker.Historian).After(ctx, name, epoch, offset, most)
		for i, m := range p.Messages {
			if m.Offset >= end.Load() {
				p.Messages, p.More = p.Messages[:i], false
				break
			}
		}
		return p, err
	}
	return m
}

func withoutReset(ms []broker.Message) []broker.Message {
	return slices.DeleteFunc(ms, func(m broker.Message) bool { return m.Reset })
}

// repeats publishes now and then without the key, and says that it may have failed.
func repeats(b broker.Broker) broker.Broker {
	n := 0
	return &mutant{Broker: b, publish: func(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
		if n++; n%50 > 0 {
			return b.Publish(ctx, name, p)
		}
		p.Key = ""
		_, _ = b.Publish(ctx, name, p)
		return broker.Receipt{}, errors.New("no answer")
	}}
}

// asked is what After was asked.
type asked struct {
	name, epoch string
	offset      uint64
	most        int
}

// asks changes what After is asked.
func asks(change func(*asked)) func(broker.Broker) broker.Broker {
	return func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, after: func(ctx context.Context, name, epoch string, offset uint64, most int) (broker.Page, error) {
			a := asked{name, epoch, offset, most}
			change(&a)
			return b.(broker.Historian).After(ctx, a.name, a.epoch, a.offset, a.most)
		}}
	}
}

// pages changes what After returns.
func pages(change func(asked, *broker.Page)) func(broker.Broker) broker.Broker {
	return func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, after: func(ctx context.Context, name, epoch string, offset uint64, most int) (broker.Page, error) {
			p, err := b.(broker.Historian).After(ctx, name, epoch, offset, most)
			if err == nil {
				change(asked{name, epoch, offset, most}, &p)
			}
			return p, err
		}}
	}
}

func alwaysWhole(a asked, p *broker.Page) {
	p.Whole = true
	if len(p.Messages) > 0 {
		p.Messages[0].Prev = a.offset
	}
}

// afterNil returns an empty page instead of an error.
func afterNil(instead error) func(broker.Broker) broker.Broker {
	return func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, after: func(ctx context.Context, name, epoch string, offset uint64, most int) (broker.Page, error) {
			p, err := b.(broker.Historian).After(ctx, name, epoch, offset, most)
			if errors.Is(err, instead) {
				err = nil
			}
			return p, err
		}}
	}
}

func TestTheSuiteFindsFaultsOfHistorians(t *testing.T) {
	findFaults(t, inMemory(NewKeepingNetwork, true, true), keptMutants)
}

func TestTheSuiteFindsFaultsAfterRestarts(t *testing.T) {
	findFaults(t, restarting(), restartMutants)
}

// TestEachCaseHasAMutant: a case that nothing fails tests nothing. One mutant is enough for a case that is there for both kinds of names.
func TestEachCaseHasAMutant(t *testing.T) {
	found := make(map[string]bool)
	for _, m := range slices.Concat(mutants, keptMutants, restartMutants) {
		found[m.found] = true
	}
	for _, c := range cases {
		if name := strings.TrimPrefix(c.name, "kept: "); !found[c.name] && !found[name] {
			t.Errorf("no mutant fails %q", c.name)
		}
	}
}

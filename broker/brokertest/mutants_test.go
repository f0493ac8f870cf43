package brokertest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// mutation is a broker with one fault: that of a network with something in between.
type mutation struct {
	fault string
	wrap  func(broker.Broker) broker.Broker
	found string // by the case with this name
	says  string // in a failure
}

// mutants are of a network that keeps nothing.
var mutants = []mutation{
	{"Unsubscribe does nothing now and then", func(b broker.Broker) broker.Broker {
		calls := 0
		return &mutant{Broker: b, unsubscribe: func(subs []broker.Subscription) {
			if calls++; calls%50 > 0 {
				b.Unsubscribe(subs)
			}
		}}
	}, "unsubscribe under load", "is running or called after Unsubscribe has returned; Deliver was called"},
	{"Unsubscribe does nothing", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, unsubscribe: func([]broker.Subscription) {}}
	}, "receivers of one name", "after Unsubscribe has returned"},
	{"Unsubscribe does not wait for a Receiver", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, unsubscribe: func(subs []broker.Subscription) { go b.Unsubscribe(subs) }}
	}, "unsubscribe waits for a receiver", "expected that Unsubscribe waits for a Receiver that is running"},
	{"Unsubscribe ends all of the name", endsByName, "receivers of one name", "expected 2 publications for receiver 2"},
	{"Unsubscribe ends all of the name", endsByName, "a name comes and goes", "publications for receiver 2 of node 1"},
	{"Unsubscribe waits for the network", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, unsubscribe: func(subs []broker.Subscription) {
			ctx, cancel := within(time.Minute)
			defer cancel()
			_ = b.Subscribe(ctx, subs)
			b.Unsubscribe(subs)
		}}
	}, "unsubscribe while down", "expected that Unsubscribe, which must not wait for the network, returns at once"},
	{"Subscribe returns too early", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, subscribe: func(ctx context.Context, subs []broker.Subscription) error {
			time.AfterFunc(time.Millisecond, func() { _ = b.Subscribe(context.Background(), subs) })
			return nil
		}}
	}, "what follows Subscribe comes", "expected 1 publications for receiver 1"},
	{"Subscribe forgets its context", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, subscribe: func(_ context.Context, subs []broker.Subscription) error {
			ctx, cancel := within(30 * time.Second)
			defer cancel()
			return b.Subscribe(ctx, subs)
		}}
	}, "unsubscribe while down", "expected that Subscribe ends with its context"},
	{"Subscribe takes what it has already twice", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, subscribe: func(ctx context.Context, subs []broker.Subscription) error {
			again := slices.Clone(subs)
			for i, s := range subs {
				again[i].To = &proxy{Receiver: s.To}
			}
			return b.Subscribe(ctx, again)
		}}
	}, "subscribe again", "expected 1 publications for receiver"},
	{"Subscribe says nil while down", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, subscribe: func(ctx context.Context, subs []broker.Subscription) error {
			_ = b.Subscribe(ctx, subs)
			return nil
		}}
	}, "away at the beginning", "expected an error of Subscribe"},

	{"swaps two messages", deliver(func(n int, _ broker.Receiver) func([]broker.Message) []broker.Message {
		var back []broker.Message
		return func(ms []broker.Message) (out []broker.Message) {
			for _, m := range ms {
				if n++; n == 50 { // the first publisher has more
					back = []broker.Message{m}
					continue
				}
				out = append(out, m)
				if back != nil && back[0].From == m.From { // those of two publishers have no order
					out = append(out, back...)
					back = nil
				}
			}
			return out
		}
	}), "publishers keep their order", "expected that the publications of each publisher come once, in order"},
	{"delivers twice", deliver(func(n int, _ broker.Receiver) func([]broker.Message) []broker.Message {
		return func(ms []broker.Message) (out []broker.Message) {
			for _, m := range ms {
				if out = append(out, m); n == 7 {
					out = append(out, m)
				}
				n++
			}
			return out
		}
	}), "every field crosses", "expected publication"},
	{"delivers twice", deliver(func(n int, _ broker.Receiver) func([]broker.Message) []broker.Message {
		return func(ms []broker.Message) []broker.Message {
			if n++; n == 3 {
				ms = append(ms, ms[len(ms)-1])
			}
			return ms
		}
	}), "down and up under load", "expected that each publication comes at most once"},
	{"has an order of its own on each node", deliver(func(n int, to broker.Receiver) func([]broker.Message) []broker.Message {
		var back []broker.Message // those of the publisher that is first, which come last on the second node
		return func(ms []broker.Message) (out []broker.Message) {
			if !strings.Contains(to.(*receiver).label, "node 2") {
				return ms
			}
			for _, m := range ms {
				if len(back) == 0 || m.From == back[0].From {
					back = append(back, m)
				} else {
					out = append(out, m)
				}
				if n++; n == 6*300 {
					out = append(out, back...)
				}
			}
			return out
		}
	}), "publishers keep their order", "expected one order on all nodes"},
	{"loses without a word", func(b broker.Broker) broker.Broker {
		b.(*Node).LoseSilently(3)
		return b
	}, "unsubscribe under load", "expected Lost for what is missing"},
	{"loses without a word when a Receiver is slow", deliver(func(_ int, to broker.Receiver) func([]broker.Message) []broker.Message {
		return func(ms []broker.Message) []broker.Message {
			if r := to.(*receiver); r.gate.Load() != nil || len(ms) < 3 {
				return ms
			}
			return ms[:len(ms)/2]
		}
	}), "a receiver that blocks", "expected"},
	{"shares slices", func(b broker.Broker) broker.Broker {
		var last []broker.Message
		return proxied(b, func(to broker.Receiver) *proxy {
			return &proxy{Receiver: to, deliver: func(ms []broker.Message) {
				if len(last) == len(ms) && slices.EqualFunc(last, ms, func(a, b broker.Message) bool { return a.Data == b.Data }) {
					ms = last
				}
				last = ms
				to.Deliver(ms)
			}}
		})
	}, "receivers of one name", "expected that a Receiver may keep the slice it gets"},
	{"uses slices again", func(b broker.Broker) broker.Broker {
		buffer := make([]broker.Message, 5000)
		return proxied(b, func(to broker.Receiver) *proxy {
			return &proxy{Receiver: to, deliver: func(ms []broker.Message) { to.Deliver(buffer[:copy(buffer, ms)]) }}
		})
	}, "what follows Subscribe comes", "expected that a Receiver may keep the slice it gets"},
	{"calls a Receiver from two goroutines", func(b broker.Broker) broker.Broker {
		return proxied(b, func(to broker.Receiver) *proxy {
			return &proxy{Receiver: to, deliver: func(ms []broker.Message) { go to.Deliver(ms) }}
		})
	}, "a receiver that blocks", "expected one goroutine at a time"},

	{"loses From", mangle(func(p *broker.Publication) { p.From = "" }), "every field crosses", "expected publication 13"},
	{"loses JSON", mangle(func(p *broker.Publication) { p.JSON = false }), "every field crosses", "expected publication 10"},
	{"loses Key", mangle(func(p *broker.Publication) { p.Key = "" }), "every field crosses", "expected publication 15"},
	{"makes data UTF-8", mangle(func(p *broker.Publication) { p.Data = strings.ToValidUTF8(p.Data, "\ufffd") }), "every field crosses", "expected publication 6"},
	{"ends data at a NUL", mangle(func(p *broker.Publication) { p.Data, _, _ = strings.Cut(p.Data, "\x00") }), "every field crosses", "expected publication 3"},
	{"truncates what is too big", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, publish: func(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
			p.Data = p.Data[:min(len(p.Data), 1<<20)]
			return b.Publish(ctx, name, p)
		}}
	}, "too big", "expected \"broker: publication too big\" of Publish"},
	{"loses the connection over what is too big", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, publish: func(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
			r, err := b.Publish(ctx, name, p)
			if errors.Is(err, broker.ErrTooBig) {
				b.(*Node).Cut()
				b.(*Node).Heal()
			}
			return r, err
		}}
	}, "too big", "expected that nothing is lost"},
	{"returns a Receipt", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, publish: func(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
			r, err := b.Publish(ctx, name, p)
			r.Offset = 1
			return r, err
		}}
	}, "receivers of one name", "expected the zero Receipt"},
	{"numbers messages, and keeps nothing", deliver(func(n int, _ broker.Receiver) func([]broker.Message) []broker.Message {
		return func(ms []broker.Message) []broker.Message {
			for i := range ms {
				n++
				ms[i].Offset = uint64(n)
			}
			return ms
		}
	}), "receivers of one name", "expected offsets of 0"},
	{"calls Began, and keeps nothing", func(b broker.Broker) broker.Broker {
		return proxied(b, func(to broker.Receiver) *proxy {
			return &proxy{Receiver: to, deliver: func(ms []broker.Message) {
				to.Began("epoch", 0)
				to.Deliver(ms)
			}}
		})
	}, "receivers of one name", "expected that Began is not called"},

	{"ends names at a NUL", rename(func(s string) string { s, _, _ = strings.Cut(s, "\x00"); return s }), "names are opaque", "of node 1, name "},
	{"drops NULs in names", rename(func(s string) string { return strings.ReplaceAll(s, "\x00", "") }), "names are opaque", "of node 1, name "},
	{"folds the case of names", rename(strings.ToLower), "names are opaque", "of node 1, name "},
	{"trims names", rename(strings.TrimSpace), "names are opaque", "of node 1, name "},
	{"makes names UTF-8", rename(func(s string) string { return strings.ToValidUTF8(s, "\ufffd") }), "names are opaque", "of node 1, name "},
	{"composes accents", rename(func(s string) string { return strings.ReplaceAll(s, "e\u0301", "\u00e9") }), "names are opaque", "of node 1, name "},
	{"shortens names", rename(func(s string) string { return s[:min(len(s), 254)] }), "names are opaque", "of node 1, name "},
	{"escapes with what may stand in a name", rename(func(s string) string { return strings.ReplaceAll(s, ".", "=2E") }), "names are opaque", "of node 1, name "},
	{"does not take the empty name", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, subscribe: func(ctx context.Context, subs []broker.Subscription) error {
			if slices.ContainsFunc(subs, func(s broker.Subscription) bool { return s.Name == "" }) {
				return errors.New("no name")
			}
			return b.Subscribe(ctx, subs)
		}}
	}, "names are opaque", "expected nil of Subscribe"},

	{"Publish says nil while down", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, publish: func(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
			r, err := b.Publish(ctx, name, p)
			if errors.Is(err, broker.ErrDown) {
				err = nil
			}
			return r, err
		}}
	}, "down and up", "expected \"broker: no connection\" of Publish"},
	{"Publish waits while down", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, publish: func(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
			r, err := b.Publish(ctx, name, p)
			if errors.Is(err, broker.ErrDown) {
				time.Sleep(5 * time.Second)
			}
			return r, err
		}}
	}, "away at the beginning", "expected that Publish of node 1, whose server is away, returns at once"},
	{"publishes later what was refused", publishesLater, "down and up", "expected that what Publish has refused with ErrDown never comes"},
	{"no Lost after a reconnect", func(b broker.Broker) broker.Broker {
		return proxied(b, func(to broker.Receiver) *proxy { return &proxy{Receiver: to, lost: func(error) {}} })
	}, "down and up", "expected Lost after a reconnect"},
	{"no Lost after a reconnect", func(b broker.Broker) broker.Broker {
		return proxied(b, func(to broker.Receiver) *proxy { return &proxy{Receiver: to, lost: func(error) {}} })
	}, "many subscriptions", "Lost of receiver 1 of node 1"},
	{"Lost too late", func(b broker.Broker) broker.Broker {
		return proxied(b, func(to broker.Receiver) *proxy {
			var late error
			return &proxy{Receiver: to, lost: func(cause error) { late = cause }, deliver: func(ms []broker.Message) {
				to.Deliver(ms)
				if late != nil {
					to.Lost(late)
				}
				late = nil
			}}
		})
	}, "down and up", "expected Lost after a reconnect, before anything is delivered"},
	{"Up before subscriptions are in force", upTooEarly, "down and up", "without being asked for again"},
	{"does not renew subscriptions", func(b broker.Broker) broker.Broker {
		var all []broker.Subscription
		return &mutant{Broker: b, subscribe: func(ctx context.Context, subs []broker.Subscription) error {
			all = append(all, subs...)
			return b.Subscribe(ctx, subs)
		}, watch: func(w broker.Watcher) broker.Watcher {
			return &watched2{w, nil, func() { go b.Unsubscribe(all) }}
		}}
	}, "down and up", "without being asked for again"},
	{"Down twice", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, watch: func(w broker.Watcher) broker.Watcher {
			return &watched2{w, func(err error, n int) { w.Down(err, n); w.Down(err, n) }, nil}
		}}
	}, "down and up", "expected Down and Up of the Watcher of node 1 in turn"},
	{"no word at the beginning", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, watch: func(w broker.Watcher) broker.Watcher {
			return &watched2{w, func(error, int) {}, nil}
		}}
	}, "away at the beginning", "expected a call of the Watcher"},
	{"Up first", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, watch: func(w broker.Watcher) broker.Watcher {
			w.Up()
			return w
		}}
	}, "away at the beginning", "expected"},
	{"doubts what it has confirmed", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, watch: func(w broker.Watcher) broker.Watcher {
			return &watched2{w, func(err error, n int) { w.Down(err, n+1) }, nil}
		}}
	}, "nothing confirmed is in doubt", "expected no publication in doubt"},
	{"confirms what it has not published", buffers, "publications in doubt", "expected that Down says how many publications may be lost"},

	{"Close loses what was accepted", buffers, "close publishes", "expected"},
	{"calls after Close", callsAfterClose, "close ends everything", "is running or called after Close has returned"},
	{"Close does not end the Watcher", func(b broker.Broker) broker.Broker {
		m := &mutant{Broker: b}
		m.watch = func(w broker.Watcher) broker.Watcher {
			m.close = func(ctx context.Context) error {
				time.AfterFunc(time.Millisecond, func() { w.Down(nil, 0) })
				return b.Close(ctx)
			}
			return w
		}
		return m
	}, "close while down", "of the Watcher of node 1 is running or called after Close has returned"},
	{"a goroutine is left", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, close: func(ctx context.Context) error {
			go time.Sleep(time.Hour)
			return b.Close(ctx)
		}}
	}, "receivers of one name", "expected that goroutines of a broker have ended soon after Close"},
	{"says ErrDown when it is closed", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, publish: func(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
			r, err := b.Publish(ctx, name, p)
			if errors.Is(err, broker.ErrClosed) {
				err = broker.ErrDown
			}
			return r, err
		}}
	}, "close ends everything", "expected \"broker: closed\" of Publish"},
	{"Close does not end Subscribe", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, subscribe: func(ctx context.Context, subs []broker.Subscription) error {
			err := b.Subscribe(ctx, subs)
			if errors.Is(err, broker.ErrClosed) {
				<-ctx.Done()
			}
			return err
		}}
	}, "close while down", "expected that Close ends a Subscribe that waits"},
	{"Close hangs while down", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, close: func(ctx context.Context) error {
			if _, err := b.Publish(ctx, "x", broker.Publication{}); errors.Is(err, broker.ErrDown) {
				time.Sleep(8 * time.Second)
			}
			return b.Close(ctx)
		}}
	}, "close while down", "expected that Close of node 1, which has no connection, returns at once"},
	{"ignores an ended context", func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, publish: func(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
			if ctx.Err() != nil {
				time.Sleep(5 * time.Second)
			}
			return b.Publish(ctx, name, p)
		}}
	}, "ended contexts", "expected that Publish with a context that has ended returns at once"},
}

// mutant is a broker with other functions in the place of its methods, as far as there are any.
type mutant struct {
	broker.Broker
	watch       func(broker.Watcher) broker.Watcher
	subscribe   func(context.Context, []broker.Subscription) error
	unsubscribe func([]broker.Subscription)
	publish     func(context.Context, string, broker.Publication) (broker.Receipt, error)
	close       func(context.Context) error
	fits        func(int, time.Duration) error
	after       func(context.Context, string, string, uint64, int) (broker.Page, error)
}

func (m *mutant) Open(w broker.Watcher) error {
	if m.watch != nil {
		w = m.watch(w)
	}
	return m.Broker.Open(w)
}

func (m *mutant) Subscribe(ctx context.Context, subs []broker.Subscription) error {
	if m.subscribe != nil {
		return m.subscribe(ctx, subs)
	}
	return m.Broker.Subscribe(ctx, subs)
}

func (m *mutant) Unsubscribe(subs []broker.Subscription) {
	if m.unsubscribe != nil {
		m.unsubscribe(subs)
		return
	}
	m.Broker.Unsubscribe(subs)
}

func (m *mutant) Publish(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
	if m.publish != nil {
		return m.publish(ctx, name, p)
	}
	return m.Broker.Publish(ctx, name, p)
}

func (m *mutant) Close(ctx context.Context) error {
	if m.close != nil {
		return m.close(ctx)
	}
	return m.Broker.Close(ctx)
}

func (m *mutant) Fits(messages int, age time.Duration) error {
	if m.fits != nil {
		return m.fits(messages, age)
	}
	return m.Broker.(broker.Historian).Fits(messages, age)
}

func (m *mutant) After(ctx context.Context, name, epoch string, offset uint64, most int) (broker.Page, error) {
	if m.after != nil {
		return m.after(ctx, name, epoch, offset, most)
	}
	return m.Broker.(broker.Historian).After(ctx, name, epoch, offset, most)
}

// watched2 is a Watcher with other functions.
type watched2 struct {
	broker.Watcher
	down func(error, int)
	up   func()
}

func (w *watched2) Down(cause error, inDoubt int) {
	if w.down != nil {
		w.down(cause, inDoubt)
		return
	}
	w.Watcher.Down(cause, inDoubt)
}

func (w *watched2) Up() {
	w.Watcher.Up()
	if w.up != nil {
		w.up()
	}
}

// proxy is a Receiver with other functions.
type proxy struct {
	broker.Receiver
	began   func(string, uint64)
	deliver func([]broker.Message)
	lost    func(error)
}

func (p *proxy) Began(epoch string, offset uint64) {
	if p.began != nil {
		p.began(epoch, offset)
		return
	}
	p.Receiver.Began(epoch, offset)
}

func (p *proxy) Deliver(ms []broker.Message) {
	if p.deliver != nil {
		p.deliver(ms)
		return
	}
	p.Receiver.Deliver(ms)
}

func (p *proxy) Lost(cause error) {
	if p.lost != nil {
		p.lost(cause)
		return
	}
	p.Receiver.Lost(cause)
}

// proxied has a proxy for each Receiver.
func proxied(b broker.Broker, wrap func(broker.Receiver) *proxy) broker.Broker {
	of := make(map[broker.Receiver]*proxy)
	translate := func(subs []broker.Subscription) []broker.Subscription {
		subs = slices.Clone(subs)
		for i, s := range subs {
			if of[s.To] == nil {
				of[s.To] = wrap(s.To)
			}
			subs[i].To = of[s.To]
		}
		return subs
	}
	return &mutant{
		Broker: b,
		subscribe: func(ctx context.Context, subs []broker.Subscription) error {
			return b.Subscribe(ctx, translate(subs))
		},
		unsubscribe: func(subs []broker.Subscription) { b.Unsubscribe(translate(subs)) },
	}
}

// deliver changes what is delivered; make is called for each Receiver.
func deliver(make func(int, broker.Receiver) func([]broker.Message) []broker.Message) func(broker.Broker) broker.Broker {
	return func(b broker.Broker) broker.Broker {
		return proxied(b, func(to broker.Receiver) *proxy {
			change := make(0, to)
			return &proxy{Receiver: to, deliver: func(ms []broker.Message) {
				if ms := change(ms); len(ms) > 0 {
					to.Deliver(ms)
				}
			}}
		})
	}
}

// mangle changes what is published.
func mangle(change func(*broker.Publication)) func(broker.Broker) broker.Broker {
	return func(b broker.Broker) broker.Broker {
		return &mutant{Broker: b, publish: func(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
			change(&p)
			return b.Publish(ctx, name, p)
		}}
	}
}

// rename changes names, on their way there and back.
func rename(change func(string) string) func(broker.Broker) broker.Broker {
	return func(b broker.Broker) broker.Broker {
		all := func(subs []broker.Subscription) []broker.Subscription {
			subs = slices.Clone(subs)
			for i := range subs {
				subs[i].Name = change(subs[i].Name)
			}
			return subs
		}
		return &mutant{
			Broker:      b,
			subscribe:   func(ctx context.Context, subs []broker.Subscription) error { return b.Subscribe(ctx, all(subs)) },
			unsubscribe: func(subs []broker.Subscription) { b.Unsubscribe(all(subs)) },
			publish: func(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
				return b.Publish(ctx, change(name), p)
			},
		}
	}
}

func endsByName(b broker.Broker) broker.Broker {
	var all []broker.Subscription
	return &mutant{
		Broker: b,
		subscribe: func(ctx context.Context, subs []broker.Subscription) error {
			all = append(all, subs...)
			return b.Subscribe(ctx, subs)
		},
		unsubscribe: func(subs []broker.Subscription) {
			for _, gone := range subs {
				for _, s := range all {
					if s.Name == gone.Name {
						b.Unsubscribe([]broker.Subscription{s})
					}
				}
			}
		},
	}
}

// publishesLater publishes what it has refused, when there is a connection again.
func publishesLater(b broker.Broker) broker.Broker {
	type late struct {
		name string
		p    broker.Publication
	}
	var mu sync.Mutex
	var refused []late
	return &mutant{
		Broker: b,
		publish: func(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
			r, err := b.Publish(ctx, name, p)
			if errors.Is(err, broker.ErrDown) {
				mu.Lock()
				defer mu.Unlock()
				refused = append(refused, late{name, p})
			}
			return r, err
		},
		watch: func(w broker.Watcher) broker.Watcher {
			return &watched2{w, nil, func() {
				mu.Lock()
				defer mu.Unlock()
				for _, l := range refused {
					_, _ = b.Publish(context.Background(), l.name, l.p)
				}
				refused = nil
			}}
		},
	}
}

// upTooEarly renews its subscriptions a second after Up.
func upTooEarly(b broker.Broker) broker.Broker {
	var all []broker.Subscription
	ups := 0
	return &mutant{
		Broker: b,
		subscribe: func(ctx context.Context, subs []broker.Subscription) error {
			all = append(all, subs...)
			return b.Subscribe(ctx, subs)
		},
		watch: func(w broker.Watcher) broker.Watcher {
			return &watched2{w, func(cause error, n int) {
				w.Down(cause, n)
				go b.Unsubscribe(all)
			}, func() {
				if ups++; ups > 1 {
					time.AfterFunc(time.Second, func() { _ = b.Subscribe(context.Background(), all) })
				}
			}}
		},
	}
}

// buffers publishes every 10 ms what has been accepted, and loses the rest when the connection, or it, ends.
func buffers(b broker.Broker) broker.Broker {
	type late struct {
		name string
		p    broker.Publication
	}
	var mu sync.Mutex
	var accepted []late
	flush := func() {
		mu.Lock()
		defer mu.Unlock()
		for _, l := range accepted {
			_, _ = b.Publish(context.Background(), l.name, l.p)
		}
		accepted = nil
	}
	up := false
	return &mutant{
		Broker: b,
		publish: func(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
			mu.Lock()
			defer mu.Unlock()
			if !up {
				return b.Publish(ctx, name, p)
			}
			if len(accepted) == 0 {
				time.AfterFunc(10*time.Millisecond, flush)
			}
			accepted = append(accepted, late{name, p})
			return broker.Receipt{}, nil
		},
		watch: func(w broker.Watcher) broker.Watcher {
			set := func(is bool) {
				mu.Lock()
				defer mu.Unlock()
				up, accepted = is, nil
			}
			return &watched2{w, func(cause error, n int) {
				set(false)
				w.Down(cause, n)
			}, func() { set(true) }}
		},
		close: func(ctx context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			up, accepted = false, nil
			return b.Close(ctx)
		},
	}
}

func callsAfterClose(b broker.Broker) broker.Broker {
	var to broker.Receiver
	return &mutant{
		Broker: b,
		subscribe: func(ctx context.Context, subs []broker.Subscription) error {
			to = subs[0].To
			return b.Subscribe(ctx, subs)
		},
		close: func(ctx context.Context) error {
			last := to
			time.AfterFunc(time.Millisecond, func() { last.Lost(errCut) })
			return b.Close(ctx)
		},
	}
}

func TestTheSuiteFindsFaults(t *testing.T) { findFaults(t, inMemory(NewNetwork, false, true), mutants) }

// findFaults tests whether the suite does.
func findFaults(t *testing.T, impl Implementation, list []mutation) {
	for _, m := range list {
		t.Run(m.fault+"/"+m.found, func(t *testing.T) {
			i := slices.IndexFunc(cases, func(c testCase) bool { return c.name == m.found })
			synctest.Test(t, func(t *testing.T) {
				said := record(t, func(t testing.TB) { cases[i].run(t, wrapped(impl, m.wrap)) })
				time.Sleep(2 * time.Hour) // what a mutant has left ends
				switch {
				case len(said) == 0:
					t.Errorf("the suite has found nothing")
				case !strings.Contains(strings.Join(said, "\n"), m.says):
					t.Errorf("the suite has found\n%s\nwhich does not say %q", strings.Join(said, "\n"), m.says)
				}
			})
		})
	}
}

// wrapped is an implementation with something in front of each broker.
func wrapped(impl Implementation, wrap func(broker.Broker) broker.Broker) Implementation {
	open := impl.Open
	impl.Open = func(t testing.TB) Group {
		g := open(t)
		inner := make(map[broker.Broker]broker.Broker)
		plain := g
		g.Node = func(t testing.TB) broker.Broker {
			n := plain.Node(t)
			b := wrap(n)
			inner[b] = n
			return b
		}
		g.Cut = func(b broker.Broker) { plain.Cut(inner[b]) }
		g.Mend = func(b broker.Broker) { plain.Mend(inner[b]) }
		return g
	}
	return impl
}

// recorder is a testing.TB that takes notes instead of failing the test.
type recorder struct {
	testing.TB // for the private method, and for what is harmless
	said       []string
	cleanups   []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// record runs a test in a goroutine of its own, with its clean-up, and returns what it has failed with.
func record(t testing.TB, test func(testing.TB)) []string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, f := range slices.Backward(r.cleanups) {
				f()
			}
		}()
		test(r)
	}()
	<-done
	return r.said
}

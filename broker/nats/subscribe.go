package natsbroker

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// Subscribe implements broker.Broker. While there is no connection it waits for one.
func (b *Broker) Subscribe(ctx context.Context, subs []broker.Subscription) error {
	feeds, err := b.register(subs)
	if err != nil {
		return err
	}
	if b.closing.Load() {
		return broker.ErrClosed
	}
	done := make(chan error, 1)
	// NATS waits for a write that is in its way, and not for a context.
	b.spawn(func() { done <- b.enforce(ctx, feeds) })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-b.stop:
		return broker.ErrClosed
	}
}

// register makes feeds of those that are new. It returns all.
func (b *Broker) register(subs []broker.Subscription) ([]*feed, error) {
	dials, _ := b.watch.count()
	feeds := make([]*feed, 0, len(subs))
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.opened {
		return nil, broker.ErrClosed
	}
	for _, s := range subs {
		f := b.feeds[s.To]
		if f == nil {
			var err error
			if f, err = b.newFeed(s, dials); err != nil {
				return nil, err
			}
			b.feeds[s.To] = f
		} else if f.name != s.Name {
			return nil, fmt.Errorf("natsbroker: this Receiver is the subscription of %q, and cannot be that of %q", f.name, s.Name)
		}
		feeds = append(feeds, f)
	}
	return feeds, nil
}

func (b *Broker) newFeed(s broker.Subscription, dials uint64) (f *feed, err error) {
	f = &feed{name: s.Name, to: s.To, born: dials, silent: &b.silent}
	if b.keeper == nil || !s.Keep {
		f.subject, err = subject(b.prefix, s.Name)
		return f, err
	}
	f.keep = new(keep)
	if f.subject, err = subject(b.keeper.to, s.Name); err == nil {
		f.source, err = subject(b.keeper.from, s.Name)
	}
	return f, err
}

// enforce returns nil once all feeds are in force.
func (b *Broker) enforce(ctx context.Context, feeds []*feed) error {
	for {
		before, err := b.askAll(feeds)
		if err != nil {
			return err
		}
		s, changed := b.current()
		if s != nil && s.alive() {
			err := s.flush(ctx)
			if err == nil {
				if err := b.permitted(s.conn.LastError(), before, feeds); err != nil {
					return err
				}
				return b.beginAll(ctx, feeds)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		select {
		case <-changed: // NATS has asked for all of them on the new connection
		case <-ctx.Done():
			return ctx.Err()
		case <-b.stop:
			return broker.ErrClosed
		}
	}
}

// beginAll has those that are new compared with the stream, and returns once Began was called for all of what is kept.
func (b *Broker) beginAll(ctx context.Context, feeds []*feed) error {
	for {
		some := make(map[*feed]struct{})
		for _, f := range feeds {
			if f.keep != nil && (!f.inForce.Swap(true) || !f.begun.Load()) {
				some[f] = struct{}{}
			}
		}
		if len(some) == 0 {
			return nil
		}
		done := make(chan struct{})
		b.keeper.ask(check{feeds: some, done: []chan<- struct{}{done}})
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		case <-b.stop:
			return broker.ErrClosed
		}
	}
}

func (b *Broker) current() (*session, <-chan struct{}) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.session.Load(), b.upChanged
}

// askAll asks NATS for what was not asked for yet, or denied. It returns the connection's last error from before.
func (b *Broker) askAll(feeds []*feed) (before, err error) {
	b.subscribing.Lock()
	defer b.subscribing.Unlock()
	b.mu.RLock()
	conn := b.conn
	b.mu.RUnlock()
	if conn == nil {
		return nil, nil // attach will do it
	}
	before = conn.LastError()
	for _, f := range feeds {
		if err := b.ask(conn, f); err != nil {
			if conn.IsClosed() {
				break // there will be another one
			}
			return nil, fmt.Errorf("natsbroker: %w", err)
		}
	}
	return before, nil
}

// ask is called with subscribing held.
func (b *Broker) ask(conn *nats.Conn, f *feed) error {
	b.mu.Lock()
	old := f.sub
	if old != nil && f.denied == nil {
		b.mu.Unlock()
		return nil
	}
	delete(b.bySub, old)
	f.sub, f.denied = nil, nil
	b.mu.Unlock()
	if old != nil {
		_ = old.Unsubscribe()
	}
	sub, err := conn.ChanSubscribe(f.subject, b.in)
	if err != nil {
		return err
	}
	b.mu.Lock()
	wanted := b.feeds[f.to] == f && !b.ended // Close does not look at what comes later
	if wanted {
		f.sub = sub
		f.inForce.Store(false)
		b.bySub[sub] = f
	}
	b.mu.Unlock()
	if !wanted {
		_ = sub.Unsubscribe()
	}
	return nil
}

// permitted returns what the server has said against feeds before it answered a flush. NATS calls its handler for that some time later.
func (b *Broker) permitted(last, before error, feeds []*feed) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range feeds {
		if f.denied == nil && last != before && concerns(last, f.subject) {
			f.denied = last
		}
		if f.denied != nil {
			return fmt.Errorf("natsbroker: %w", f.denied)
		}
	}
	return nil
}

// Unsubscribe implements broker.Broker. The server is told later.
func (b *Broker) Unsubscribe(subs []broker.Subscription) {
	var ended []*feed
	var asked []*nats.Subscription
	b.mu.Lock()
	for _, s := range subs {
		f := b.feeds[s.To]
		if f == nil || f.name != s.Name {
			continue
		}
		delete(b.feeds, s.To)
		ended = append(ended, f)
		if f.sub != nil {
			delete(b.bySub, f.sub)
			asked = append(asked, f.sub)
		}
	}
	b.mu.Unlock()
	for _, f := range ended {
		f.end()
		if f.keep != nil {
			b.queue.putDo(func() { b.dispatcher.forget(f) })
		}
	}
	if len(asked) == 0 || b.closing.Load() {
		return
	}
	b.spawn(func() { // NATS waits for a write that is in its way
		for _, sub := range asked {
			_ = sub.Unsubscribe()
		}
	})
}

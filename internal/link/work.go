package link

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/broker"
)

// How subscriptions are made and ended. All functions in this file run in the link's actor, but call, which is an edge.

func (m enter) handle(l *Link) {
	feeds := []*feed{{link: l, topic: m.Topic}}
	if feeds[0].keeps() {
		feeds[0].placed = make(chan struct{})
	}
	if m.Topic != nil && m.Topic.KnowsPresence() {
		feeds = append(feeds, &feed{link: l, topic: m.Topic, people: true})
	}
	l.feeds[m.Topic] = feeds
	for _, f := range feeds {
		l.wanted[f] = struct{}{}
	}
}

func (m leave) handle(l *Link) {
	for _, f := range l.feeds[m.Topic] {
		l.end(f)
	}
	delete(l.feeds, m.Topic)
}

// end has a subscription ended that may not have been made.
func (l *Link) end(f *feed) {
	f.gone = true
	_, waits := l.wanted[f]
	delete(l.wanted, f)
	switch {
	case waits && !f.tried: // the broker has never heard of it
	case waits, f.subscribed:
		l.ended = append(l.ended, f)
	} // else it is being subscribed: see called
}

func (hurry) handle(l *Link) {
	l.loads.stop()
	l.stopTimer()
	l.backoff, l.loads.backoff = 0, 0
}

func (m called) handle(l *Link) {
	l.calling = false
	for _, f := range m.subscribed {
		f.subscribed = true
		if f.gone {
			l.ended = append(l.ended, f)
		}
	}
	for _, f := range m.refused {
		f.subscribed = false
		if !f.gone {
			l.wanted[f] = struct{}{}
		}
	}
	if m.err == nil {
		l.backoff = 0
		return
	}
	if l.ctx.Err() == nil {
		l.backoff = longer(l.backoff)
		l.timer = time.AfterFunc(l.backoff, func() { l.ref.Post(elapsed{}) })
		if !l.IsDown() { // which was reported
			l.owner.Failed(fmt.Errorf("subscribing to %d topics: %w", len(m.refused), m.err))
		}
	}
}

// longer returns the backoff after one that did not help.
func longer(backoff time.Duration) time.Duration {
	return min(max(leastBackoff, 2*backoff), mostBackoff)
}

func (elapsed) handle(l *Link) { l.stopTimer() }

func (l *Link) stopTimer() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

func (m shut) handle(l *Link) { l.closing = m.Request }

// work has the broker called when there is something to do and no call runs. A topic that has taken the place of another one of its name is
// subscribed before that one is unsubscribed, so that nothing is missed between the two.
func (l *Link) work() {
	switch {
	case l.calling, l.ctx.Err() != nil && (l.sharing || l.loads.running > 0):
	case l.ctx.Err() != nil:
		l.stopTimer()
		l.loads.stop()
		l.losses.stop()
		l.closing.Reply(struct{}{})
	case !l.working.Load(), l.timer != nil:
	case len(l.wanted)+len(l.ended) > 0:
		subscribe, unsubscribe := l.takeWork()
		l.calling = true
		go l.call(subscribe, unsubscribe)
	}
}

// takeWork returns what is subscribed and unsubscribed next: in turn what the broker does not keep, and the rest, for which it may have to
// ask elsewhere. So topics without a history do not wait for an answer that others need.
func (l *Link) takeWork() (subscribe, unsubscribe []*feed) {
	kept := !l.lastKept
	if !l.has(kept) {
		kept = !kept
	}
	l.lastKept = kept
	for f := range l.wanted {
		if f.keeps() == kept {
			f.tried = true
			subscribe = append(subscribe, f)
			delete(l.wanted, f)
		}
	}
	l.ended = slices.DeleteFunc(l.ended, func(f *feed) bool {
		is := f.keeps() == kept
		if is {
			unsubscribe = append(unsubscribe, f)
		}
		return is
	})
	return subscribe, unsubscribe
}

// has reports whether there is something to do about what the broker keeps, or about the rest.
func (l *Link) has(kept bool) bool {
	for f := range l.wanted {
		if f.keeps() == kept {
			return true
		}
	}
	return slices.ContainsFunc(l.ended, func(f *feed) bool { return f.keeps() == kept })
}

// call makes and ends subscriptions at the broker. It is an edge: it may block.
func (l *Link) call(subscribe, unsubscribe []*feed) {
	var refused []*feed
	var err error
	if len(subscribe) > 0 {
		ctx, cancel := context.WithTimeout(l.ctx, callTimeout)
		defer cancel()
		refused, err = l.subscribe(ctx, subscribe)
	}
	if len(unsubscribe) > 0 {
		if panicked := actor.Recovered(func() { l.broker.Unsubscribe(subscriptions(unsubscribe)) }); panicked != nil {
			l.owner.Failed(panicked)
		}
	}
	l.ref.Post(called{subscribe, refused, err})
}

// maxParts is how many times a call may be divided, so that a broker that refuses everything is not asked for each topic.
const maxParts = 32

// subscribe makes subscriptions, and returns those that could not be made, and why. The broker may refuse one for a reason that is not that
// of the others, so they are divided until it is alone.
func (l *Link) subscribe(ctx context.Context, feeds []*feed) (refused []*feed, why error) {
	parts := [][]*feed{feeds}
	for divided := 0; len(parts) > 0; {
		part := parts[len(parts)-1]
		parts = parts[:len(parts)-1]
		err := l.enforce(ctx, part)
		switch half := len(part) / 2; {
		case err == nil:
		case half > 0 && divided < maxParts && ctx.Err() == nil && !l.IsDown():
			divided++
			parts = append(parts, part[:half], part[half:])
		default:
			refused, why = append(refused, part...), err
		}
	}
	return refused, why
}

// enforce makes subscriptions, all of them or none.
func (l *Link) enforce(ctx context.Context, feeds []*feed) (err error) {
	if panicked := actor.Recovered(func() { err = l.broker.Subscribe(ctx, subscriptions(feeds)) }); panicked != nil {
		err = panicked
	}
	if err == nil {
		err = awaitPlaces(ctx, feeds)
	}
	if err != nil {
		return err
	}
	for _, f := range feeds {
		if f.topic != nil && !f.people {
			f.topic.InForce()
			l.owner.InForce(f.topic)
		}
	}
	return nil
}

// awaitPlaces waits until all know where they stand who have to.
func awaitPlaces(ctx context.Context, feeds []*feed) error {
	for _, f := range feeds {
		if !f.keeps() {
			continue
		}
		select {
		case <-f.placed:
		case <-ctx.Done():
			return fmt.Errorf("waiting to be told where a topic stands: %w", ctx.Err())
		}
	}
	return nil
}

func subscriptions(feeds []*feed) []broker.Subscription {
	list := make([]broker.Subscription, len(feeds))
	for i, f := range feeds {
		list[i] = broker.Subscription{Name: f.name(), Keep: f.keeps(), To: f}
	}
	return list
}

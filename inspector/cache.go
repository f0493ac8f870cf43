package inspector

import (
	"context"
	"strings"
	"time"
)

const (
	minAge     = 900 * time.Millisecond // before something is found out anew; somewhat less than the second at which pages ask
	costFactor = 20                     // and so many times as long as that took
	idle       = time.Minute            // after which what nobody asks for is forgotten
	maxEntries = 16                     // that are kept
)

// cache keeps what was found out about an instance, by key, so that all who look share it.
//
// What it keeps is in a channel with room for one: whoever has taken it out owns it, and others wait until it is back.
type cache[T any] struct {
	find func(key string, before T) T // finds out anew; before is the zero T the first time
	turn chan *kept[T]
}

type kept[T any] struct {
	entries map[string]*entry[T]
	timer   *time.Timer // for forgetting; nil while there is nothing to forget
}

type entry[T any] struct {
	value T
	found time.Time
	cost  time.Duration // of finding it out, and of its first use
	asked time.Time
}

func newCache[T any](find func(key string, before T) T) *cache[T] {
	c := &cache[T]{find: find, turn: make(chan *kept[T], 1)}
	c.turn <- &kept[T]{}
	return c
}

// with calls use with what is known under a key, which is found out first if that is time. Nobody else uses it at the same
// time. It blocks while others do, and returns the context's error when that ends first.
func (c *cache[T]) with(ctx context.Context, key string, use func(T)) error {
	var k *kept[T]
	select {
	case k = <-c.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { c.turn <- k }()
	now := time.Now()
	e := k.entry(key)
	e.asked = now
	if k.timer == nil {
		k.timer = time.AfterFunc(idle, c.forget)
	}
	if !e.found.IsZero() && now.Sub(e.found) < max(minAge, costFactor*e.cost) {
		use(e.value)
		return nil
	}
	e.value = c.find(key, e.value)
	use(e.value)
	e.found, e.cost = now, time.Since(now)
	return nil
}

// entry returns the one of a key. If there are too many, the one that nobody has asked for longest makes room.
func (k *kept[T]) entry(key string) *entry[T] {
	if e := k.entries[key]; e != nil {
		return e
	}
	if len(k.entries) == maxEntries {
		oldest := ""
		for other, e := range k.entries {
			if first := k.entries[oldest]; first == nil || e.asked.Before(first.asked) {
				oldest = other
			}
		}
		delete(k.entries, oldest)
	}
	if k.entries == nil {
		k.entries = make(map[string]*entry[T])
	}
	e := &entry[T]{}
	k.entries[strings.Clone(key)] = e // a piece of a request would keep all of it
	return e
}

// forget runs in the timer's goroutine.
func (c *cache[T]) forget() {
	k := <-c.turn
	defer func() { c.turn <- k }()
	next := idle
	for key, e := range k.entries {
		left := idle - time.Since(e.asked)
		if left <= 0 {
			delete(k.entries, key)
			continue
		}
		next = min(next, left)
	}
	if len(k.entries) == 0 {
		*k = kept[T]{}
	} else {
		k.timer.Reset(next)
	}
}

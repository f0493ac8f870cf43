package topic

import (
	"runtime"
	"sync"
)

// Who writes what a topic has delivered. A subscriber that was idle has no goroutine that does it.

// groupSize is how many subscribers are flushed in one goroutine, one after the other: enough to make the goroutine's
// own cost small, and few enough that several processors share a large audience evenly.
const groupSize = 64

// group is subscribers that have to be flushed.
type group struct {
	members [groupSize]Subscriber
	n       int
	each    int // bytes that each has to write
}

var groups = sync.Pool{New: func() any { return new(group) }}

// flush flushes them, in the topic's goroutine or one of its own. It must not be called twice. Now and then it lets others go first:
// to write a large batch to all takes milliseconds, and when a topic is flooded, goroutines that do it are always waiting.
func (g *group) flush() {
	written := 0
	for i, s := range g.members[:g.n] {
		if written += g.each; written > ownWork {
			runtime.Gosched()
			written = g.each
		}
		s.Flush()
		g.members[i] = nil
	}
	g.n = 0
	groups.Put(g)
}

// flushLater, in the topic's goroutine, sees to it that an idle subscriber is flushed: with others in a goroutine of theirs when
// there are many, by the topic itself otherwise.
func (t *Topic) flushLater(s Subscriber) {
	if t.idle != nil && t.idle.n == groupSize {
		go t.idle.flush()
		t.idle = nil
	}
	if t.idle == nil {
		t.idle = groups.Get().(*group)
		t.idle.each = t.last
	}
	t.idle.members[t.idle.n] = s
	t.idle.n++
}

// A topic flushes its last group itself when that is less work than ownWork, in bytes, each write counting as writeCost more:
// about 100 microseconds. Other topics wait for their turn meanwhile.
const (
	ownWork   = 256 << 10
	writeCost = 16 << 10
)

// flushIdle, in the topic's goroutine, flushes the subscribers that are left.
func (t *Topic) flushIdle() {
	g := t.idle
	t.idle = nil
	switch {
	case g == nil:
	case g.n*(g.each+writeCost) <= ownWork:
		g.flush()
	default:
		go g.flush()
	}
}

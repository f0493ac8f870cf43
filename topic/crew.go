package topic

import "sync"

// crewSize is how many subscribers are written to in one goroutine, one after the other: enough to make the goroutine's
// own cost small, and few enough that several processors share a large audience evenly.
const crewSize = 64

// crew is subscribers who have to be run.
type crew struct {
	members [crewSize]Subscriber
	n       int
}

var crews = sync.Pool{New: func() any { return new(crew) }}

// run runs them, and must not be called twice.
func (c *crew) run() {
	for i, s := range c.members[:c.n] {
		s.Run()
		c.members[i] = nil
	}
	c.n = 0
	crews.Put(c)
}

// hire sees to it that an idle subscriber is run: with others in a goroutine of theirs when there are many, by the topic
// itself otherwise.
func (t *Topic) hire(s Subscriber) {
	if t.idle != nil && t.idle.n == crewSize {
		go t.idle.run()
		t.idle = nil
	}
	if t.idle == nil {
		t.idle = crews.Get().(*crew)
	}
	t.idle.members[t.idle.n] = s
	t.idle.n++
}

// A topic runs its last crew itself when that is less work than littleWork, in bytes, each write counting as writeCost more:
// about 100 microseconds. Other topics wait for their turn meanwhile.
const (
	littleWork = 256 << 10
	writeCost  = 16 << 10
)

// runIdle runs those who are left.
func (t *Topic) runIdle() {
	c := t.idle
	t.idle = nil
	switch {
	case c == nil:
	case c.n*(t.last+writeCost) <= littleWork:
		c.run()
	default:
		go c.run()
	}
}

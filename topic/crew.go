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

// run runs them, in the topic's goroutine or one of its own. It must not be called twice.
func (c *crew) run() {
	for i, s := range c.members[:c.n] {
		s.Run()
		c.members[i] = nil
	}
	c.n = 0
	crews.Put(c)
}

// enlist, in the topic's goroutine, sees to it that an idle subscriber is run: with others in a goroutine of theirs when
// there are many, by the topic itself otherwise.
func (t *Topic) enlist(s Subscriber) {
	if t.crew != nil && t.crew.n == crewSize {
		go t.crew.run()
		t.crew = nil
	}
	if t.crew == nil {
		t.crew = crews.Get().(*crew)
	}
	t.crew.members[t.crew.n] = s
	t.crew.n++
}

// A topic runs its last crew itself when that is less work than littleWork, in bytes, each write counting as writeCost more:
// about 100 microseconds. Other topics wait for their turn meanwhile.
const (
	littleWork = 256 << 10
	writeCost  = 16 << 10
)

// runCrew, in the topic's goroutine, runs those who are left.
func (t *Topic) runCrew() {
	c := t.crew
	t.crew = nil
	switch {
	case c == nil:
	case c.n*(t.last+writeCost) <= littleWork:
		c.run()
	default:
		go c.run()
	}
}

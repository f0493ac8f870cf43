package topic

import "sync"

// crewSize is how many subscribers share a goroutine to write in. It is a compromise between what a goroutine costs and
// how evenly the processors are busy.
const crewSize = 64

// crew is some subscribers who have to be run.
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

// hire sees to it that an idle subscriber is run: in a goroutine with others when there are many, by the topic itself
// otherwise.
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

// runIdle runs those who are left.
func (t *Topic) runIdle() {
	if c := t.idle; c != nil {
		t.idle = nil
		c.run()
	}
}

package contender

import (
	"slices"
	"sync"
)

// index is who subscribes to what, for the libraries that leave this to the application. A connection is compared as
// a map key.
type index[C comparable] struct {
	inbox
	mu     sync.RWMutex
	topics map[string]*members[C]
	joined map[C][]string
	count  int
}

// members is a slice, so that a broadcast runs through memory in order.
type members[C comparable] struct {
	list  []C
	place map[C]int
}

func newIndex[C comparable]() *index[C] {
	return &index[C]{topics: make(map[string]*members[C]), joined: make(map[C][]string)}
}

// handle does what a subscriber says, and counts what is no command.
func (x *index[C]) handle(c C, message []byte) {
	if topic, subscribe, ok := command(message); !ok {
		x.take()
	} else if subscribe {
		x.subscribe(c, topic)
	} else {
		x.unsubscribe(c, topic)
	}
}

func (x *index[C]) subscribe(c C, topic string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	m := x.topics[topic]
	if m == nil {
		m = &members[C]{place: make(map[C]int)}
		x.topics[topic] = m
	}
	if _, ok := m.place[c]; ok {
		return
	}
	m.place[c] = len(m.list)
	m.list = append(m.list, c)
	x.joined[c] = append(x.joined[c], topic)
	x.count++
}

func (x *index[C]) unsubscribe(c C, topic string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.remove(c, topic) {
		x.joined[c] = slices.DeleteFunc(x.joined[c], func(t string) bool { return t == topic })
	}
}

// leave ends all subscriptions of a connection.
func (x *index[C]) leave(c C) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, topic := range x.joined[c] {
		x.remove(c, topic)
	}
	delete(x.joined, c)
}

func (x *index[C]) remove(c C, topic string) bool {
	m := x.topics[topic]
	if m == nil {
		return false
	}
	at, ok := m.place[c]
	if !ok {
		return false
	}
	last := len(m.list) - 1
	moved := m.list[last]
	m.list[at], m.place[moved] = moved, at
	clear(m.list[last:])
	m.list = m.list[:last]
	delete(m.place, c)
	if last == 0 {
		delete(x.topics, topic)
	}
	x.count--
	return true
}

// with calls f with the subscribers of a topic, under the lock that keeps them from changing. Publishers share it.
func (x *index[C]) with(topic string, f func([]C)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if m := x.topics[topic]; m != nil {
		f(m.list)
	}
}

func (x *index[C]) subscriptions() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.count
}

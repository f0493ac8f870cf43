package tank

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"

	"github.com/fanqie/tank-websocket-go-server/topic"
)

// refs remembers the refs of topics that were published to, so that a publisher need not ask the supervisor each time.
// It is a cache and no more: it may miss any topic, and a ref in it may be of a topic that has ended, which says so when
// it is used. Any goroutine may use it, and none waits.
type refs struct {
	seed  maphash.Seed
	slots atomic.Pointer[slots]
}

// slots is a table in which each topic has one place, given by its name; its length is a power of two.
type slots []atomic.Pointer[topic.Topic]

// minRefs is the length of the first table.
const minRefs = 16

func (r *refs) slot(table *slots, name string) *atomic.Pointer[topic.Topic] {
	return &(*table)[maphash.String(r.seed, name)&uint64(len(*table)-1)]
}

// find returns the topic of that name, or nil when it is not remembered.
func (r *refs) find(name string) *topic.Topic {
	if table := r.slots.Load(); table != nil {
		if t := r.slot(table, name).Load(); t != nil && t.Name() == name {
			return t
		}
	}
	return nil
}

// remember keeps a ref, of one of that many live topics. When there are too many for the table, it starts a larger one.
func (r *refs) remember(t *topic.Topic, live int) {
	table := r.slots.Load()
	if table == nil || len(*table) < live {
		larger := make(slots, max(minRefs, 1<<bits.Len(uint(2*live))))
		r.slots.CompareAndSwap(table, &larger)
		table = &larger
	}
	r.slot(table, t.Name()).Store(t)
}

// forget drops the ref of a topic that has ended, and the table with the last of them.
func (r *refs) forget(t *topic.Topic, live int) {
	table := r.slots.Load()
	if live == 0 {
		r.slots.Store(nil)
	} else if table != nil {
		r.slot(table, t.Name()).CompareAndSwap(t, nil)
	}
}

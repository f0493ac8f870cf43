package hub

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"

	"github.com/fanqie/tank-websocket-go-server/topic"
)

// directory finds live topics by name. The supervisor alone changes it; any goroutine may look, and neither waits for
// the other: what readers see is never changed, but replaced.
type directory struct {
	seed  maphash.Seed
	table atomic.Pointer[table]

	count int // of topics; owned by the supervisor
}

// table is a hash table whose length is a power of two.
type table []atomic.Pointer[listing]

// listing is one of the topics that share a place in the table. It is immutable.
type listing struct {
	topic *topic.Topic
	next  *listing
}

// minTable is the length of the smallest table.
const minTable = 16

func newDirectory() *directory {
	d := &directory{seed: maphash.MakeSeed()}
	d.resize(minTable)
	return d
}

func (d *directory) place(in *table, name string) *atomic.Pointer[listing] {
	return &(*in)[maphash.String(d.seed, name)&uint64(len(*in)-1)] // #nosec G115 -- a table is never empty
}

// find returns the topic of that name, or nil when nobody subscribes to it. The topic may have ended by the time it is
// used, which it will say. Any goroutine may call it; it does not wait.
func (d *directory) find(name string) *topic.Topic {
	for e := d.place(d.table.Load(), name).Load(); e != nil; e = e.next {
		if e.topic.Name() == name {
			return e.topic
		}
	}
	return nil
}

// add lists a topic, in front of another one of its name if it is to take that one's place.
func (d *directory) add(t *topic.Topic) {
	d.count++
	if d.count > len(*d.table.Load()) {
		d.resize(2 * d.count)
	}
	at := d.place(d.table.Load(), t.Name())
	at.Store(&listing{t, at.Load()})
}

// remove ends the listing of a topic.
func (d *directory) remove(t *topic.Topic) {
	at := d.place(d.table.Load(), t.Name())
	at.Store(at.Load().without(t))
	d.count--
	if n := len(*d.table.Load()); n > minTable && d.count < n/8 {
		d.resize(2 * d.count)
	}
}

// without returns the list less a topic that is in it. Those before it are made anew, because somebody may be reading them.
func (e *listing) without(t *topic.Topic) *listing {
	if e.topic == t {
		return e.next
	}
	return &listing{e.topic, e.next.without(t)}
}

// resize makes a table with room for n topics.
func (d *directory) resize(n int) {
	larger := make(table, 1<<bits.Len(uint(max(n, minTable)-1)))
	if old := d.table.Load(); old != nil {
		for i := range *old {
			for e := (*old)[i].Load(); e != nil; e = e.next {
				at := d.place(&larger, e.topic.Name())
				at.Store(&listing{e.topic, at.Load()})
			}
		}
	}
	d.table.Store(&larger)
}

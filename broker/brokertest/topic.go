package brokertest

import (
	"slices"
	"sort"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// address is where publications go: those that are kept have names of their own.
type address struct {
	name string
	keep bool
}

// topic is what the server has for an address.
type topic struct {
	subs []*subscription

	// Of names that are kept.
	keys    map[string]uint64 // offsets of the publications with keys
	kept    []broker.Message  // oldest first, without Prev
	last    uint64            // offset of the last publication
	dropped uint64            // offset of the last publication that is not kept any more
	reset   uint64            // offset of the last Reset
}

// keep keeps a message that has just been published. limit is how many may be kept; 0: any number.
func (t *topic) keep(m broker.Message, limit int) {
	if m.Reset {
		t.drop(0)
		t.reset = m.Offset
	}
	if m.Key != "" {
		if t.keys == nil {
			t.keys = make(map[string]uint64)
		}
		t.keys[m.Key] = m.Offset
	}
	t.kept = append(t.kept, m)
	t.last = m.Offset
	if limit > 0 {
		t.drop(limit)
	}
}

// drop drops all that is kept, the last so many messages aside.
func (t *topic) drop(left int) {
	if n := len(t.kept) - left; n > 0 {
		t.dropped = t.kept[n-1].Offset
		t.kept = slices.Delete(t.kept, 0, n)
	}
}

// forget is for the loss of everything, offsets included.
func (t *topic) forget() { *t = topic{subs: t.subs} }

// behind returns what is kept that was published behind an offset, and whether that is all that was.
func (t *topic) behind(offset uint64) (list []broker.Message, whole bool) {
	i := sort.Search(len(t.kept), func(i int) bool { return t.kept[i].Offset > offset })
	return t.kept[i:], t.dropped <= offset
}

// page is behind for After, which does not go across a Reset.
func (t *topic) page(offset uint64, most int) broker.Page {
	from := max(offset, t.dropped, t.reset)
	list, _ := t.behind(from)
	n := min(len(list), most)
	p := broker.Page{Messages: slices.Clone(list[:n]), Whole: from == offset, More: n < len(list)}
	for i := range p.Messages {
		p.Messages[i].Prev, from = from, p.Messages[i].Offset
	}
	return p
}

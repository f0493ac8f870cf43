package brokertest

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// receiver is a Receiver that remembers what it was told.
type receiver struct {
	guard
	env       *env
	name      string
	keep      bool // the name is kept
	label     string
	scribbles bool // into the slices that it gets and keeps, which no other may see
	told      journal[told]
	kept      journal[kept]
	count     atomic.Int64 // of messages, in told by then
	losses    atomic.Int64
	failed    map[int]bool                  // numbers that may not have been published, if the name is kept
	gate      atomic.Pointer[chan struct{}] // Deliver waits until it is closed; nil: it does not
	blocked   atomic.Bool                   // Deliver has waited, or does
}

// told is a call of a receiver, or one message of Deliver.
type told struct {
	method  string
	message broker.Message
	epoch   string
	offset  uint64
}

// kept is a slice, and what it has to hold.
type kept struct{ slice, want []broker.Message }

// Began implements broker.Receiver.
func (r *receiver) Began(epoch string, offset uint64) {
	defer r.enter(r.env, "Began", r.label)()
	r.told.add(told{method: "Began", epoch: epoch, offset: offset})
	if !r.keep {
		r.env.faults.add("expected that Began is not called for a name that is not kept; it was called for " + r.label)
	}
}

// Deliver implements broker.Receiver.
func (r *receiver) Deliver(messages []broker.Message) {
	defer r.enter(r.env, "Deliver", r.label)()
	if gate := r.gate.Load(); gate != nil {
		r.blocked.Store(true)
		<-*gate
	}
	for _, m := range messages {
		r.told.add(told{method: "Deliver", message: m})
		if !r.keep && (m.Offset != 0 || m.Prev != 0 || !m.At.IsZero()) {
			r.env.faults.add(fmt.Sprintf("expected offsets of 0 and no time of what is not kept; %s got %+v", r.label, m))
		}
	}
	if r.scribbles {
		for i := range messages {
			messages[i] = broker.Message{Publication: text("scribbled over by its owner")}
		}
	}
	r.kept.add(kept{messages, slices.Clone(messages)})
	r.count.Add(int64(len(messages)))
}

// Lost implements broker.Receiver.
func (r *receiver) Lost(error) {
	defer r.enter(r.env, "Lost", r.label)()
	r.told.add(told{method: "Lost"})
	r.losses.Add(1)
}

// block makes Deliver wait until open is called, at the end of the case if not before.
func (r *receiver) block() {
	gate := make(chan struct{})
	r.gate.Store(&gate)
}

// open ends block.
func (r *receiver) open() {
	if gate := r.gate.Swap(nil); gate != nil {
		close(*gate)
	}
}

// publications returns what was delivered.
func (r *receiver) publications() []broker.Publication {
	var list []broker.Publication
	for _, t := range r.told.all() {
		if t.method == "Deliver" {
			list = append(list, t.message.Publication)
		}
	}
	return list
}

// expect waits for publications that are all that have been delivered. Nothing may have been lost.
func (r *receiver) expect(want ...broker.Publication) {
	r.env.Helper()
	r.env.wait(func() bool { return r.count.Load() >= int64(len(want)) || r.losses.Load() > 0 },
		"%d publications for %s", len(want), r.label)
	if n := r.losses.Load(); n > 0 {
		r.env.Fatalf("brokertest: expected that nothing is lost; Lost of %s was called %d times", r.label, n)
	}
	r.compare(r.publications(), want)
}

// next waits for publications that are all that have been delivered since the first from ones.
func (r *receiver) next(from int64, want ...broker.Publication) {
	r.env.Helper()
	r.env.wait(func() bool { return r.count.Load() >= from+int64(len(want)) }, "%d publications more for %s", len(want), r.label)
	r.compare(r.publications()[from:], want)
}

func (r *receiver) compare(got, want []broker.Publication) {
	r.env.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			r.env.Fatalf("brokertest: expected %d publications for %s; there is another one: %s", len(want), r.label, printed(got[i]))
		case i >= len(got):
			r.env.Fatalf("brokertest: expected %d publications for %s; there are %d", len(want), r.label, len(got))
		case got[i] != want[i]:
			r.env.Fatalf("brokertest: expected publication %d of %s to be %s; it is %s", i+1, r.label, printed(want[i]), printed(got[i]))
		}
	}
}

// printed shortens the data of a publication.
func printed(p broker.Publication) string {
	if len(p.Data) > 100 {
		p.Data = fmt.Sprintf("%s... (%d bytes)", p.Data[:100], len(p.Data))
	}
	return fmt.Sprintf("%+q", fmt.Sprintf("%+v", p))
}

// numbers waits until a receiver has what a flood has published, from 0 to before end, or was told that something is missing, and
// checks that nothing is missing without a word, comes twice, or out of order. It returns how many are missing.
func (r *receiver) numbers(end int) (missing int) {
	r.env.Helper()
	arrived := func() bool {
		last := r.told.last.Load()
		return last != nil && (last.value.method == "Lost" || last.value.message.Data == fmt.Sprint(end-1))
	}
	r.env.wait(arrived, "for %s, each of %d publications or a call of Lost", r.label, end)
	next, told := 0, false
	for _, t := range r.told.all() {
		switch t.method {
		case "Lost":
			told = true
		case "Deliver":
			var n int
			if _, err := fmt.Sscan(t.message.Data, &n); err != nil {
				r.env.Fatalf("brokertest: expected numbers for %s; it got %s", r.label, printed(t.message.Publication))
			}
			switch {
			case n < next:
				r.env.Fatalf("brokertest: expected that each publication comes at most once, and in order; %s got %d when %d was next", r.label, n, next)
			case n > next && !told && !r.mayMiss(next, n):
				r.env.Fatalf("brokertest: expected Lost for what is missing; %s got %d when %d was next", r.label, n, next)
			}
			missing += n - next
			next, told = n+1, false
		}
	}
	return missing + end - next
}

// mayMiss reports whether none of some numbers need have been published. Where nothing is kept, Lost has to be called anyway.
func (r *receiver) mayMiss(from, to int) bool {
	for n := from; n < to; n++ {
		if !r.keep || !r.failed[n] {
			return false
		}
	}
	return true
}

// check is for the end of a case.
func (r *receiver) check() {
	r.env.Helper()
	for _, k := range r.kept.all() {
		if !slices.Equal(k.slice, k.want) {
			r.env.Errorf("brokertest: expected that a Receiver may keep the slice it gets; that of %s was changed afterwards", r.label)
			break
		}
	}
	if r.keep {
		r.checkOffsets()
	}
}

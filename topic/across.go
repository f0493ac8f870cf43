package topic

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// A topic behind a broker. What is published to it comes from there, once its subscription at the broker is in force; and some of it may
// be missing. All functions in this file run in the topic's actor, but the exported ones and goLive.

type (
	inForce struct{}                         // the subscription at the broker is in force
	arrived struct{ publications []Arrival } // have come from the broker
	gap     struct{}                         // publications may be missing between those before and those that follow
	notice  struct{ frames []byte }          // tell all members that speak tank.v2
)

// Arrival is a publication that has come from the broker.
type Arrival struct {
	wire.Publication
	Seq   uint64    // of a broker that keeps messages: its number
	At    time.Time // when it was published; zero: just now
	Reset bool      // it has no data, and says that what was published before it is not kept any more
}

// InForce says that the topic's subscription at the broker is in force. Members that wait for that begin. Only the link may call it, at
// most once. It never blocks.
func (t *Topic) InForce() {
	t.ref.Post(inForce{})
	t.goLive()
}

// Live is closed when the topic's subscription at the broker is in force, or the topic has ended.
func (t *Topic) Live() <-chan struct{} { return t.live }

// IsLive reports whether Live is closed.
func (t *Topic) IsLive() bool {
	select {
	case <-t.live:
		return true
	default:
		return false
	}
}

// goLive closes Live. Any goroutine may call it.
func (t *Topic) goLive() {
	if t.live != nil {
		t.closeLive.Do(func() { close(t.live) })
	}
}

// Arrive puts publications that have come from the broker into the topic's mailbox, and keeps the slice. A key has to name its owner. It
// blocks while the mailbox is full. It returns actor.ErrStopped after Stop, or the context's error. Only edges may call it.
func (t *Topic) Arrive(ctx context.Context, publications []Arrival) error {
	var m Message = arrived{publications}
	if rand.IntN(sampleEvery) < len(publications) { // #nosec G404 -- nobody gains by guessing it
		m = sampled{m, time.Now().UnixNano()}
	}
	return t.Put(ctx, m)
}

// Gap says that publications may be missing between those that have arrived and those that follow. It never blocks.
func (t *Topic) Gap() { t.ref.Post(gap{}) }

// Notify tells all members that speak tank.v2 something that is not about the topic. It never blocks.
func (t *Topic) Notify(frames []byte) { t.ref.Post(notice{frames}) }

// hold lets a member wait until the subscription at the broker is in force. One that speaks tank.v2 is none before, unless the topic is
// verbatim; what comes for it is counted from there.
func (t *Topic) hold(m *Member) {
	if m.held == 0 {
		t.held = append(t.held, m)
		m.held = int32(len(t.held)) // #nosec G115 -- 2^31 do not fit into memory
	}
}

// release lets a member wait no more.
func (t *Topic) release(m *Member) {
	last := len(t.held) - 1
	moved := t.held[last]
	t.held[m.held-1], moved.held = moved, m.held
	t.held[last] = nil
	t.held = t.held[:last]
	m.held = 0
}

func (inForce) handle(t *Topic) {
	t.deliverBatch()
	t.joining = false
	held := t.held
	t.held = nil
	for _, m := range held {
		m.held = 0
		join{m}.handle(t)
	}
}

// handle publishes what has come, but what was published before with the same key.
func (m arrived) handle(t *Topic) {
	for i := range m.publications {
		p := &m.publications[i]
		if t.shared != nil {
			t.take(p)
		} else if _, known := t.noteKey(ownedKey{key: p.Key}); !known {
			publishWhole{&p.Publication}.handle(t)
		}
		if t.size.isFull() {
			t.deliverBatch()
		}
	}
	t.goOnAhead()
}

// handle takes a number that no publication has: whoever stands before it may have missed something, and sees that.
func (gap) handle(t *Topic) {
	t.deliverBatch()
	t.seq++
	t.doubt = t.seq
	t.stands.Store(t.seq)
	if !t.verbatim {
		t.tellV2(wire.NewAnswers(wire.V2, wire.AppendGap(nil, t.name, t.seq+1), 1).About(t.name))
	}
	t.noteLasting()
}

func (m notice) handle(t *Topic) {
	t.deliverBatch()
	t.tellV2(wire.NewAnswers(wire.V2, m.frames, 1))
}

// tellV2 gives answers to all members that speak tank.v2.
func (t *Topic) tellV2(b *wire.Batch) {
	b.Unasked = true
	t.handTo(b, slices.DeleteFunc(slices.Clone(t.members), func(m *Member) bool { return !m.Subscriber.Encoding().IsV2() }))
}

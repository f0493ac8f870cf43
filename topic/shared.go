package topic

import (
	"cmp"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// A topic whose messages a broker keeps. Their numbers and the epoch are the broker's, and mean the same on all instances. What lies before
// the messages that the topic has itself is loaded from there when somebody asks for it, see load.go. All functions in this file run in the
// topic's actor, but the exported ones.

// shared is what such a topic has beside others. Owned by the topic.
type shared struct {
	onLoad    func(*Topic, Load) // immutable
	began     bool               // the broker has said where the topic stands
	from      uint64             // what came behind that number need not be asked for: the topic has it, as far as it keeps so much
	least     uint64             // what came behind a lower number need not be asked for: something is missing, or more than is kept
	oldest    bool               // the topic has the oldest message that there is, as far as it keeps so much
	load      Load               // that is under way; the zero Load: none
	attempts  uint64             // of loading anything
	tries     int                // of loading the same
	needed    []uint64           // from where on those who wait need something; empty while something is loaded
	ahead     ahead
	leaders   map[*Member]uint64 // who stands at a higher number than the topic, and at which
	gathering bool               // more may need something
	asks      []ask              // that wait for it, of members
	reads     []read             // that wait for it
	directs   []direct           // that wait for it, for members who do
	receipts  []settle           // of what has not come yet
	past      []string           // the last epochs before this one
	first     int64              // when the first message of the batch was published, Unix nanoseconds; 0: just now
	last      int64              // when the last one was
}

// began says that the broker has said where the topic stands.
type began struct{ at wire.Position }

// IsShared reports whether a broker keeps the topic's messages.
func (t *Topic) IsShared() bool { return t.shared != nil }

// Began says where the topic stands: at first, and whenever messages before that may be missing. It never blocks.
func (t *Topic) Began(at wire.Position) { t.ref.Post(began{at}) }

func (t *Topic) epochIs(epoch string) bool {
	e := t.epoch.Load()
	return e != nil && *e == epoch
}

// handle begins the numbering that the broker has, or goes on in it behind what is missing.
func (m began) handle(t *Topic) {
	s := t.shared
	if s == nil {
		return
	}
	t.deliverBatch()
	first, same := !s.began, t.epochIs(m.at.Epoch)
	s.began = true
	if same {
		m.at.Seq = max(m.at.Seq, t.seq)
	} else {
		s.nextEpoch(t, m.at.Epoch)
	}
	t.goOnAt(m.at.Seq)
	switch {
	case first:
	case same:
		t.tellV2(wire.NewAnswers(wire.V2, wire.AppendGap(nil, t.name, t.seq+1), 1).About(t.name))
	default:
		t.tellPositions()
	}
	t.acknowledge()
	t.goOn()
}

// goOnAt forgets what is kept, and goes on behind a number.
func (t *Topic) goOnAt(seq uint64) {
	t.seq = seq
	t.stands.Store(seq)
	t.shared.from, t.shared.least, t.shared.oldest = seq, 0, seq == 0
	t.shared.load = Load{} // which does not fit any more
	t.forget()
	t.tellKept()
}

// resetAt is for what was published to forget what was published before.
func (t *Topic) resetAt(seq uint64) {
	t.deliverBatch()
	t.goOnAt(seq)
	t.shared.least, t.shared.oldest = seq, true // the broker has no more either
	for _, m := range t.lacking() {
		t.tellPosition(m)
	}
	t.goOn()
}

// end answers all who wait when the topic has ended.
func (s *shared) end() {
	if s == nil {
		return
	}
	for _, a := range s.asks {
		a.Discard()
	}
	for _, m := range s.receipts {
		m.Discard()
	}
	s.asks, s.reads, s.directs, s.receipts = nil, nil, nil, nil
}

// take publishes what has come, unless it has come before.
func (t *Topic) take(p *Arrival) {
	switch {
	case p.Seq <= t.seq:
	case p.Reset:
		t.resetAt(p.Seq)
	default:
		t.noteTime(p)
		if asObject := t.append(&p.Publication, p.Seq); asObject {
			t.appendObject(p.Publication)
		}
		if len(t.shared.leaders) > 0 {
			t.deliverBatch() // by itself, as not all get it
		}
	}
}

// noteTime notes when a message was published that the batch is about to get. What is in a batch is dropped together when it is too old, so
// a message that was published much later, or was under way for long and others were not, is for another batch.
func (t *Topic) noteTime(p *Arrival) {
	s, at := t.shared, int64(0)
	if !p.At.IsZero() {
		at = p.At.UnixNano()
	}
	if age := t.history.limits.Age; age > 0 && t.batch != nil && (at-s.first > int64(age/blockParts) || (at == 0) != (s.first == 0)) {
		t.deliverBatch()
	}
	if t.batch == nil {
		s.first = at
	}
	s.last = at
}

// times returns when the first and the last message of the batch were published. The nil shared has those that are published now.
func (s *shared) times(now int64) (first, last int64) {
	if s == nil {
		return now, now
	}
	return cmp.Or(s.first, now), cmp.Or(s.last, now)
}

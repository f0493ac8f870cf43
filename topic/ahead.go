package topic

import (
	"maps"
	"math"
	"slices"
)

// ahead is what a topic whose messages a broker keeps knows of numbers above its own. Another instance may stand at such a number, because
// it has got more, or because nothing was kept when the topic began there: then no message has that number. Owned by the topic.
type ahead struct {
	seq   uint64 // the topic's number, for which the rest is true
	next  uint64 // number of the first message behind it
	end   uint64 // no higher number was given to anything
	waits bool   // somebody waits for that message
}

// aheadOf returns what was found when the topic had asked for what is behind its last message.
func aheadOf(m loaded) ahead {
	a := ahead{seq: m.load.From, next: math.MaxUint64, end: m.end}
	if len(m.runs) > 0 {
		a.next = (*m.runs[0].numbers)[0]
	}
	return a
}

// knows reports whether it is known what is between the topic's number and a higher one: nothing, or there is no such number.
func (a *ahead) knows(seq, higher uint64) bool {
	return a.seq == seq && a.end != 0 && (higher < a.next || higher > a.end)
}

// awaits reports, and notes, whether a message is between the topic's number and a higher one that was given, so it comes.
func (a *ahead) awaits(seq, higher uint64) bool {
	is := higher > seq && a.seq == seq && a.end != 0 && higher >= a.next && higher <= a.end
	a.waits = a.waits || is
	return is
}

// isPlace reports whether a higher number than the topic's is a place behind its last message, with nothing in between.
func (a *ahead) isPlace(seq, higher uint64) bool { return a.knows(seq, higher) && higher <= a.end }

// lead notes where a member stands: at a higher number than the topic's, if its client comes from another instance. What has a number up to
// that, the client has, or it was gone before: all of it may still come here, for others.
func (t *Topic) lead(m *Member, seq uint64) {
	s := t.shared
	if s == nil {
		return
	}
	delete(s.leaders, m)
	if seq > t.seq {
		if s.leaders == nil {
			s.leaders = make(map[*Member]uint64)
		}
		s.leaders[m] = seq
	}
}

// lacking returns the members who do not stand at the topic's number yet, and forgets who is not ahead any more.
func (t *Topic) lacking() []*Member {
	s := t.shared
	if s == nil || len(s.leaders) == 0 {
		return t.members
	}
	list := slices.DeleteFunc(slices.Clone(t.members), func(m *Member) bool { return s.leaders[m] >= t.seq })
	maps.DeleteFunc(s.leaders, func(_ *Member, seq uint64) bool { return seq <= t.seq })
	return list
}

// goOnAhead lets those go on who have waited for what has come.
func (t *Topic) goOnAhead() {
	if s := t.shared; s != nil && s.ahead.waits && s.load.attempt == 0 {
		s.ahead.waits = false
		t.deliverBatch()
		t.goOn()
	}
}

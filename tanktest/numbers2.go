package tanktest

import (
	"fmt"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// standing is where a client stands in the numbering of a topic that it is subscribed to.
//
// Invariant: whole <= last, and they are equal unless gap is set.
type standing struct {
	epoch string
	whole uint64 // everything up to this number has come, or the server has said that it will not
	last  uint64 // number of the last publication
	gap   uint64 // it is known that publications before this number may be missing; 0: none are
	told  uint64 // numbers up to here may be missing in the replay of the last messages: a gap of a broker has one
	stood uint64 // the server said that the topic stands there: between the last message up to this number and the first behind it is none
	watch bool   // the client has asked who is in the topic, and asks again in Resume
}

func newStanding(at tank.Position) *standing {
	return &standing{epoch: at.Epoch, whole: at.Seq, last: at.Seq, stood: at.Seq}
}

func (s *standing) position() tank.Position { return tank.Position{Epoch: s.epoch, Seq: s.whole} }

// take counts a publication. prev is the number of the one before it in the topic, if the publication says that; otherwise that is
// seq-1. It returns what is wrong, or "".
func (s *standing) take(seq uint64, prev *uint64) (wrong string) {
	if seq == 0 { // to this client alone
		return ""
	}
	before := seq - 1
	if prev != nil {
		before = *prev
	}
	first := max(s.last+1, s.gap) // that may be missing without a reason
	switch {
	case seq <= s.last:
		return "it is a duplicate, or out of order"
	case prev != nil && before <= s.stood:
		s.move(seq)
		return ""
	case before < s.last:
		return fmt.Sprintf("it says that the one before it is number %d", before)
	case before == s.last, before < s.gap, before <= s.told:
		s.move(seq)
		return ""
	case prev != nil:
		return fmt.Sprintf("what came between them, up to number %d, is missing", before)
	}
	return missing(first, before)
}

// move moves the client on to a number.
func (s *standing) move(seq uint64) {
	s.last = max(s.last, seq)
	if s.gap == 0 {
		s.whole = s.last
	}
}

// missing says that numbers are.
func missing(first, last uint64) string {
	switch last - first {
	case 0:
		return fmt.Sprintf("number %d is missing", first)
	case 1:
		return fmt.Sprintf("numbers %d and %d are missing", first, last)
	}
	return fmt.Sprintf("numbers %d to %d are missing", first, last)
}

// String says in a failure message where the client stands.
func (s *standing) String() string {
	switch {
	case s.gap == 0:
		return fmt.Sprint(s.whole)
	case s.last == s.whole:
		return fmt.Sprintf("%d (a gap before %d)", s.whole, s.gap)
	}
	return fmt.Sprintf("%d (a gap before %d, and then up to %d)", s.whole, s.gap, s.last)
}

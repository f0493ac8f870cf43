package check

import "fmt"

// Stream is what one connection receives of one topic during one subscription. From subscribing on nothing may be skipped,
// so the numbers of each publisher must follow each other; the first that comes may be any. One goroutine owns it.
type Stream struct {
	who        string
	tally      *Tally
	publishers map[string]*sequence
	position   Position
	fromStart  bool
}

// sequence is what came of one publisher.
type sequence struct {
	first, last uint64
	missing     map[uint64]struct{} // between the two; nil: nothing
}

// NewStream begins a subscription.
func NewStream(who string, tally *Tally) *Stream {
	return &Stream{who: who, tally: tally, publishers: make(map[string]*sequence)}
}

// FromStart is NewStream for a subscription that is older than the first message: of each publisher, number 1 must come.
func FromStart(who string, tally *Tally) *Stream {
	s := NewStream(who, tally)
	s.fromStart = true
	return s
}

// Take checks the next message.
func (s *Stream) Take(m Message) {
	s.tally.delivered()
	s.position = s.position.After(m)
	q := s.publishers[m.Publisher]
	if q == nil {
		q = &sequence{first: m.Seq, last: m.Seq - 1}
		if s.fromStart {
			q.first, q.last = 1, 0
		}
		s.publishers[m.Publisher] = q
	}
	_, missing := q.missing[m.Seq]
	switch {
	case m.Seq == q.last+1:
		q.last = m.Seq
	case m.Seq > q.last:
		s.skipped(q, m)
	case missing:
		delete(q.missing, m.Seq)
		s.tally.late(s.who, m)
	case m.Seq < q.first:
		s.tally.fault(&s.tally.counts.Inversions, 1, "%s: %v came behind number %d", s.who, m, q.first)
	default:
		s.tally.fault(&s.tally.counts.Duplicates, 1, "%s: %v came again", s.who, m)
	}
}

func (s *Stream) skipped(q *sequence, m Message) {
	s.tally.fault(&s.tally.counts.Gaps, m.Seq-q.last-1, "%s: %v came behind number %d", s.who, m, q.last)
	if q.missing == nil {
		q.missing = make(map[uint64]struct{})
	}
	for n := q.last + 1; n < m.Seq; n++ {
		q.missing[n] = struct{}{}
	}
	q.last = m.Seq
}

// Position is where the stream is.
func (s *Stream) Position() Position { return s.position }

// Last returns the highest number that came of a publisher, 0 when none did.
func (s *Stream) Last(publisher string) uint64 {
	if q := s.publishers[publisher]; q != nil {
		return q.last
	}
	return 0
}

// EndsWith checks, at the end of the connection, that the last message of a publisher came.
func (s *Stream) EndsWith(m Message) {
	if last := s.Last(m.Publisher); last < m.Seq {
		s.tally.fault(&s.tally.counts.Gaps, m.Seq-last, "%s: nothing behind number %d came, but %v was published", s.who, last, m)
	} else if last > m.Seq {
		s.tally.Other("%s: number %d came, but %v was the last to be published", s.who, last, fmt.Sprint(m))
	}
}

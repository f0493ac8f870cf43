package hub

import (
	"iter"

	"github.com/fanqie/tank-websocket-go-server/topic"
)

// subscriptions are those of a session, in any order: a list, because most sessions have few, and beside it an index when they are many.
// The zero value has none. Owned by the supervisor.
//
// Invariant: with an index, each topic has its place in the list there.
type subscriptions struct {
	list  []subscription
	index map[*liveTopic]int // nil: the list is short
}

type subscription struct {
	topic  *liveTopic
	member *topic.Member
}

const (
	// maxShort is the length past which a list gets an index. It loses that when it has half of it.
	maxShort = 16
	// keptShort is how much room an empty list keeps.
	keptShort = 4
)

func (s *subscriptions) len() int { return len(s.list) }

// all yields the subscriptions. The one that was yielded last may be removed meanwhile.
func (s *subscriptions) all() iter.Seq2[*liveTopic, *topic.Member] {
	return func(yield func(*liveTopic, *topic.Member) bool) {
		for i := len(s.list) - 1; i >= 0; i-- { // what takes the place of a removed one was yielded before
			if !yield(s.list[i].topic, s.list[i].member) {
				return
			}
		}
	}
}

// of returns the member of a topic, or nil when there is no subscription.
func (s *subscriptions) of(t *liveTopic) *topic.Member {
	if at := s.place(t); at >= 0 {
		return s.list[at].member
	}
	return nil
}

// place returns where a topic is in the list, or -1.
func (s *subscriptions) place(t *liveTopic) int {
	if s.index != nil {
		if at, found := s.index[t]; found {
			return at
		}
		return -1
	}
	for i := range s.list {
		if s.list[i].topic == t {
			return i
		}
	}
	return -1
}

// add adds a subscription to a topic that has none.
func (s *subscriptions) add(t *liveTopic, m *topic.Member) {
	s.list = append(s.list, subscription{t, m})
	switch n := len(s.list); {
	case s.index != nil:
		s.index[t] = n - 1
	case n > maxShort:
		s.index = make(map[*liveTopic]int, 2*n)
		for i, of := range s.list {
			s.index[of.topic] = i
		}
	}
}

// remove removes the subscription to a topic, which there is, and puts the last one into its place.
func (s *subscriptions) remove(t *liveTopic) *topic.Member {
	at, last := s.place(t), len(s.list)-1
	removed := s.list[at]
	s.list[at] = s.list[last]
	s.list[last] = subscription{}
	s.list = s.list[:last]
	switch {
	case last == 0 && cap(s.list) > keptShort:
		*s = subscriptions{}
	case s.index != nil && last <= maxShort/2:
		s.index = nil
		s.list = append(make([]subscription, 0, maxShort), s.list...)
	case s.index != nil:
		delete(s.index, t)
		if at < last {
			s.index[s.list[at].topic] = at
		}
	}
	return removed.member
}

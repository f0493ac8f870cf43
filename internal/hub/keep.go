package hub

import (
	"slices"
	"time"
)

// What is given up when topics keep too much, in this order: lingering topics, the longest first; idle topics that keep something, the
// longest idle first; then the oldest of what the other topics keep, that topic first to which nothing was published for longest. All
// functions in this file run in the supervisor's goroutine.

// abandonedShare is how much more than the excess is given up at a time, one part in so many of the budget, so that not every message
// that is kept has all topics looked at.
const abandonedShare = 16

func (overHistory) handle(s *supervisor) {
	if !s.hub.historyBudget.Rearm() {
		return
	}
	excess := s.hub.historyBudget.Excess()
	for _, bytes := range s.abandoned {
		excess -= bytes
	}
	if excess > 0 {
		s.abandonSome(excess + int64(s.hub.config.TotalHistoryBytes/abandonedShare))
	}
}

// abandonSome gives so many bytes up.
func (s *supervisor) abandonSome(bytes int64) {
	for len(s.lingering) > 0 && bytes > 0 && s.hub.historyBudget.Excess() > 0 {
		before := s.hub.historyBudget.Held()
		s.endOldest()
		bytes -= before - s.hub.historyBudget.Held()
	}
	for _, t := range s.keepers() {
		if bytes <= 0 {
			return
		}
		most := t.topic.Kept()
		if t.isIdle() {
			s.abandoned[t.topic] = most
			s.endTopic(t.liveTopic)
		} else {
			most = min(most, bytes)
			s.abandoned[t.topic] = most
			t.topic.Abandon(most)
		}
		bytes -= most
	}
}

// keeper is a topic that keeps something.
type keeper struct {
	*liveTopic
	since time.Time // when it became idle, or else when something was published
}

// keepers returns the topics that keep something, in the order in which to give that up.
func (s *supervisor) keepers() []keeper {
	var list []keeper
	for _, t := range s.topics {
		if _, abandoned := s.abandoned[t.topic]; abandoned || t.topic.Kept() == 0 {
			continue
		}
		since := t.idleSince
		if !t.isIdle() {
			since = t.topic.Stats().LastPublishedAt
		}
		list = append(list, keeper{t, since})
	}
	slices.SortFunc(list, func(a, b keeper) int {
		switch {
		case a.isIdle() == b.isIdle():
			return a.since.Compare(b.since)
		case a.isIdle():
			return -1
		}
		return 1
	})
	return list
}

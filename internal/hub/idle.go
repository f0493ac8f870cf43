package hub

import (
	"container/heap"
	"slices"
	"time"
)

// Idle topics: those without subscribers. One that keeps messages lives until these are too old. One whose numbering somebody knows
// lingers, so that whoever comes back soon can be told whether anything was missed. Another one retires. All functions in this file run
// in the supervisor's goroutine.

// linger is how long an idle topic lives although it keeps nothing.
const linger = 2 * time.Minute

const (
	// lingeringBytes is what a lingering topic counts in the budget of what topics keep.
	lingeringBytes = 1 << 10
	// lingeringShare is how much of that budget lingering topics may take: one part in so many.
	lingeringShare = 8
)

// due is a time at which something is to be done about a topic, unless the topic has another one by then.
type due struct {
	at   time.Time
	live *liveTopic
}

// schedule is what is due, as a heap with the next one first. Owned by the supervisor.
type schedule []due

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].at.Before(s[j].at) }
func (s schedule) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(d any)        { *s = append(*s, d.(due)) }
func (s *schedule) Pop() any {
	last := len(*s) - 1
	d := (*s)[last]
	(*s)[last] = due{}
	*s = (*s)[:last]
	return d
}

// first returns when something is due next, or the zero time.
func (s schedule) first() time.Time {
	if len(s) == 0 {
		return time.Time{}
	}
	return s[0].at
}

// take returns what is due at a time, one after the other, or nil.
func (s *schedule) take(now time.Time) *due {
	if len(*s) == 0 || s.first().After(now) {
		return nil
	}
	d := heap.Pop(s).(due)
	return &d
}

// minStale is how many entries that are no longer due are worth forgetting.
const minStale = 16

// add adds what is due. Each of so many topics can have one entry that counts: when there are more than twice as many, add forgets
// those that are no longer due.
func (s *schedule) add(d due, topics int, isDue func(due) bool) {
	heap.Push(s, d)
	if len(*s) > 2*topics+minStale {
		*s = slices.DeleteFunc(*s, func(d due) bool { return !isDue(d) })
		heap.Init(s)
	}
}

// list counts a topic among those that live, if it has subscribers or keeps messages.
func (s *supervisor) list(t *liveTopic) {
	if listed := t.subscribers > 0 || t.kept; listed != t.listed {
		t.listed = listed
		if listed {
			s.hub.liveTopics.Add(1)
		} else {
			s.hub.liveTopics.Add(-1)
		}
	}
}

// idle decides what becomes of an idle topic, unless all topics were told to end.
func (s *supervisor) idle(t *liveTopic) {
	if s.hub.life.state() > draining {
		return
	}
	if t.idleSince.IsZero() {
		t.idleSince = time.Now()
	}
	switch {
	case t.kept:
		s.noLongerLingers(t)
	case t.topic.Lasts(), t.pinned.After(time.Now()):
		s.linger(t)
	default:
		s.retire(t)
	}
}

// retire ends an idle topic that keeps nothing. Where messages are to be kept, one may be waiting in its mailbox: then it
// goes on, see topicKept and topicStopped.
func (s *supervisor) retire(t *liveTopic) {
	if s.hub.keeps(t.topic.Name()) {
		s.noLongerLingers(t)
		t.topic.Retire()
	} else {
		s.endTopic(t)
	}
}

// linger lets an idle topic live for a while.
func (s *supervisor) linger(t *liveTopic) {
	if t.idleSince.IsZero() {
		t.idleSince = time.Now()
	}
	if t.kept {
		return
	}
	if t.lingers.IsZero() {
		s.hub.historyBudget.Add(lingeringBytes)
		s.hub.lingering.Add(1)
	}
	t.lingers = time.Now().Add(linger)
	count := int(s.hub.lingering.Load())
	s.lingering.add(due{t.lingers, t}, count, isLingering)
	for most := max(1, s.hub.config.TotalHistoryBytes/lingeringShare/lingeringBytes); count > most; count-- {
		s.endOldest()
	}
	s.wakeFor(s.lingering.first())
	s.hub.historyBudget.Check()
}

func isSweep(d due) bool     { return d.live.swept.Equal(d.at) }
func isLingering(d due) bool { return d.live.lingers.Equal(d.at) }

// endOldest ends the topic that has lingered longest.
func (s *supervisor) endOldest() {
	for len(s.lingering) > 0 {
		if d := heap.Pop(&s.lingering).(due); isLingering(d) {
			s.retire(d.live)
			return
		}
	}
}

func (s *supervisor) noLongerLingers(t *liveTopic) {
	if !t.lingers.IsZero() {
		t.lingers = time.Time{}
		s.hub.historyBudget.Add(-lingeringBytes)
		s.hub.lingering.Add(-1)
	}
}

// noLongerIdle is for a topic that has a subscriber, or has ended.
func (s *supervisor) noLongerIdle(t *liveTopic) {
	s.noLongerLingers(t)
	t.idleSince = time.Time{}
}

func (m topicKept) handle(s *supervisor) {
	delete(s.abandoned, m.topic)
	s.hub.historyBudget.Check()
	t := s.live(m.topic.Name())
	if t == nil || t.topic != m.topic {
		return // it has ended
	}
	t.kept, t.swept = m.kept, m.due
	s.list(t)
	if !m.due.IsZero() {
		s.sweeps.add(due{m.due, t}, len(s.topics), isSweep)
		s.wakeFor(s.sweeps.first())
	}
	if t.isIdle() {
		s.idle(t)
	}
}

// tendTopics sweeps topics whose messages are too old, and ends those that have lingered.
func (s *supervisor) tendTopics(now time.Time) {
	for d := s.sweeps.take(now); d != nil; d = s.sweeps.take(now) {
		if isSweep(*d) {
			d.live.swept = time.Time{}
			d.live.topic.Sweep()
		}
	}
	for d := s.lingering.take(now); d != nil; d = s.lingering.take(now) {
		if isLingering(*d) {
			s.retire(d.live)
		}
	}
	s.wakeFor(s.sweeps.first())
	s.wakeFor(s.lingering.first())
}

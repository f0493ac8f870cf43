package hub

import (
	"strings"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// The topics that live, and how they begin and end. All functions in this file run in the supervisor's goroutine, but OnKept,
// OnPanic and OnStop, which run in a topic's.

// liveTopic is a topic that has subscribers, or still has messages to deliver to former ones: a client that subscribes again
// gets these messages before new ones. Or it is idle, see idle.go.
//
// Invariant: subscribers is the number of sessions that have it in their subscriptions, and of its listeners.
//
// Invariant: idleSince is zero unless the topic is idle, and lingers is zero unless it is idle and keeps nothing.
type liveTopic struct {
	topic        *topic.Topic
	subscribers  int
	pendingEmpty int  // how many times its last subscriber left for which topicEmpty is still to come
	kept         bool // it keeps messages
	listed       bool // it counts in Hub.liveTopics
	joining      bool // its subscription at the broker is not yet in force

	emptied     func()                // posts topicEmpty; any goroutine may call it
	unannounced map[*Session]struct{} // subscriptions that are told of when that is in force; mostly nil

	idleSince time.Time // when it became idle
	lingers   time.Time // when it ends if nobody comes; zero: it does not linger
	pinned    time.Time // it lives until then, whoever leaves; zero: it may end
	swept     time.Time // when it is to be swept; zero: not at all
	reminded  time.Time // when it is to be reminded to tell who is present; zero: not at all
}

// isIdle reports whether the topic has no subscribers, and has delivered everything to former ones.
func (t *liveTopic) isIdle() bool { return t.subscribers == 0 && t.pendingEmpty == 0 }

func (s *supervisor) spawnTopic(name string) *topic.Topic {
	s.topicActors++
	var onShare func(*topic.Topic, topic.Shared)
	if s.hub.link != nil {
		onShare = s.hub.link.Share
	}
	var onLoad func(*topic.Topic, topic.Load)
	if s.hub.Shares(name) {
		onLoad = s.hub.link.Load
	}
	return topic.Spawn(name, topic.Options{
		QueueBytes:    s.hub.config.TopicQueueBytes,
		Deflater:      s.hub.config.Deflater,
		Pool:          s.hub.pool,
		Verbatim:      name == Broadcast,
		Joining:       s.hub.link != nil,
		OnLoad:        onLoad,
		BatchMessages: s.hub.config.BatchMessages,
		History:       s.hub.history(name),
		Budget:        s.hub.historyBudget,
		Counters:      &s.hub.counters,
		OnKept:        func(t *topic.Topic, kept bool, due time.Time) { s.post(topicKept{t, kept, due}) },
		Presence:      s.hub.presence(name),
		OnPresence:    func(t *topic.Topic, due time.Time) { s.post(topicPresence{t, due}) },
		OnShare:       onShare,
		OnPanic: func(t *topic.Topic, err *actor.PanicError) {
			s.fault(Fault{Kind: TopicPanicked, Err: err, Topic: t.Name()})
		},
		OnStop: func(t *topic.Topic, err error) { s.post(topicStopped{t, err}) },
	})
}

// newTopic makes a topic for its first subscriber.
func (s *supervisor) newTopic(name string) *liveTopic {
	t := &liveTopic{topic: s.spawnTopic(name)}
	t.emptied = func() { s.post(topicEmpty{t}) }
	s.topics[name] = t
	s.enterLink(t)
	s.hub.topics.add(t.topic)
	return t
}

// handle looks at a topic without subscribers, unless somebody has subscribed again.
func (m topicEmpty) handle(s *supervisor) {
	t := m.live
	if t.pendingEmpty--; t.isIdle() {
		s.idle(t)
	}
}

// endTopic ends a topic without subscribers. A later subscriber gets a new topic actor.
func (s *supervisor) endTopic(t *liveTopic) {
	t.topic.Stop()
	s.removeTopic(t)
}

// removeTopic forgets a topic that has ended, or is about to.
func (s *supervisor) removeTopic(t *liveTopic) {
	s.noLongerIdle(t)
	t.kept, t.swept, t.reminded = false, time.Time{}, time.Time{}
	s.list(t)
	s.leaveLink(t.topic)
	s.hub.topics.remove(t.topic)
	delete(s.topics, t.topic.Name())
	if len(s.topics) == 0 {
		s.topics = make(map[string]*liveTopic) // a map does not become smaller by itself
	}
}

// handle replaces a topic that has ended without being told to by endTopic: it was given up, or has retired. A subscriber may have come
// in the same moment.
func (m topicStopped) handle(s *supervisor) {
	s.topicActors--
	delete(s.abandoned, m.topic)
	if t := s.live(m.topic.Name()); t != nil && t.topic == m.topic && s.hub.life.state() <= draining {
		if t.isIdle() && t != s.broadcast {
			s.removeTopic(t)
		} else {
			s.replace(t)
		}
	}
	s.advance()
}

// replace gives the subscribers of a topic actor that has ended a new one, with a new numbering. If all have left, the new one ends
// when the supervisor gets to topicEmpty.
func (s *supervisor) replace(t *liveTopic) {
	old := t.topic
	t.kept, t.swept, t.reminded = false, time.Time{}, time.Time{}
	s.list(t)
	t.topic = s.spawnTopic(old.Name())
	s.enterLink(t)
	s.leaveLink(old)
	for _, c := range s.sessions {
		if t == s.broadcast && c.broadcast != nil {
			t.topic.Adopt(c.broadcast)
		} else if member := c.subscriptions.of(t); member != nil {
			t.topic.Adopt(member)
		}
	}
	for l := range s.listeners {
		if l.live == t {
			t.topic.Adopt(l.member)
		}
	}
	s.hub.topics.add(t.topic) // in front of the old one, so that publishers find one or the other all the while
	s.hub.topics.remove(old)
}

// live returns the topic of that name, or nil when there is none.
func (s *supervisor) live(name string) *liveTopic {
	if name == Broadcast {
		return s.broadcast
	}
	return s.topics[name]
}

func (m lookup) handle(s *supervisor) {
	switch t := s.live(m.topic); {
	case s.hub.life.state() > draining:
		m.Fail(ErrClosed)
	case t == nil && !m.create:
		m.Reply(nil)
	default:
		if t == nil {
			t = s.newTopic(strings.Clone(m.topic)) // it may be a piece of something large
		}
		if m.pin || m.create && t.topic.IsShared() { // which would end before it has what it is made for
			t.pinned = time.Now().Add(linger)
		}
		if t.isIdle() {
			s.linger(t)
		}
		m.Reply(t.topic)
	}
}

func (m listTopics) handle(s *supervisor) {
	list := make([]liveTopic, 0, len(s.topics))
	for _, t := range s.topics {
		if m.lingering && !t.lingers.IsZero() || !m.lingering && t.listed {
			list = append(list, *t)
		}
	}
	m.Reply(list)
}

package hub

import (
	"context"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// Who is present in topics. Each topic knows that itself, and is reminded here when it has to tell watchers. All functions in this file run
// in the supervisor's goroutine, but Present, which runs in an edge.

// Present returns who is present in a topic; nobody, when there is no such topic or it does not know. It waits for the timeout at most.
// It returns ErrBusy then, and ErrClosed once topics have ended.
func (h *Hub) Present(timeout time.Duration, name string) (here wire.Here, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_, err = h.withTopic(name, false, func(t *topic.Topic) (err error) {
		here, err = t.Present(ctx)
		return err
	})
	return here, err
}

func isReminder(d due) bool { return d.live.reminded.Equal(d.at) }

func (m topicPresence) handle(s *supervisor) {
	t := s.topics[m.topic.Name()]
	if t == nil || t.topic != m.topic {
		return // it has ended
	}
	t.reminded = m.due
	s.presences.add(due{m.due, t}, len(s.topics), isReminder)
	s.wakeFor(s.presences.first())
}

// tellPresence reminds the topics whose time has come.
func (s *supervisor) tellPresence(now time.Time) {
	for d := s.presences.take(now); d != nil; d = s.presences.take(now) {
		if isReminder(*d) {
			d.live.reminded = time.Time{}
			d.live.topic.TellPresence()
		}
	}
	s.wakeFor(s.presences.first())
}

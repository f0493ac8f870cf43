package hub

import (
	"context"
	"errors"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// All functions in this file run in the goroutines of edges. Those that ask the supervisor wait for its answer, and it never
// waits itself.

// ask calls the supervisor with a request that is answered with an error or nil.
func (h *Hub) ask(build func(actor.Request[struct{}]) message) error {
	_, err := actor.Call(context.Background(), h.supervisor, build)
	return translate(err)
}

// get calls the supervisor. When that has ended, the answer is the zero value.
func get[T any](h *Hub, build func(actor.Request[T]) message) T {
	answer, _ := actor.Call(context.Background(), h.supervisor, build)
	return answer
}

// Registration is what Register has to know, beside the session.
type Registration struct {
	Address string      // of the connection, which may be any text
	Expires time.Time   // when the credentials do; zero: never
	Hook    bool        // a hook runs next, see HookDone
	Hello   *wire.Batch // what the client is told first; nil: nothing
}

// Register makes a session of a connection. It returns ErrClosed when the instance is closing or closed, and ErrLimit when the
// user has too many sessions that are being closed. A session whose user has too many others is registered, and closed.
func (h *Hub) Register(s *Session, how Registration) error {
	if !s.Authenticated {
		s.network = networkOf(how.Address)
	}
	return h.ask(func(r actor.Request[struct{}]) message {
		return register{r, s, unixNano(how.Expires), how.Hook, how.Hello}
	})
}

// Gone ends a session whose socket is closed. vanished says that its user may come back. It does not wait.
func (h *Hub) Gone(s *Session, vanished bool, reason string) {
	if !h.supervisor.Post(gone{session: s, vanished: vanished, reason: reason}) {
		s.end(nil)
	}
}

// ReaderDone says that no callback of a session runs any more, but for a hook, if one comes. It does not wait.
func (h *Hub) ReaderDone(hook bool) { h.supervisor.Post(readerDone{hook}) }

// HookDone says that a hook has returned: one that a session was registered with, or that came with ReaderDone. It does not wait.
func (h *Hub) HookDone() { h.supervisor.Post(hookDone{}) }

// Subscribe returns nil when the session is subscribed, ErrLimit when it has as many subscriptions as it may have, or ErrClosed. Behind a
// broker it returns ErrBusy when the topic's subscription there is not in force in time, and the session stays subscribed.
// The name has to be valid, and must not be a piece of something large. info is what others in the topic are told of the user.
func (h *Hub) Subscribe(s *Session, topic, info string) error {
	ctx := context.Background()
	if h.link != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.config.PublishTimeout)
		defer cancel()
	}
	_, err := actor.Call(ctx, h.supervisor, func(r actor.Request[struct{}]) message {
		return subscribe{Request: r, session: s, topic: topic, info: info}
	})
	if err == nil && h.link != nil { // it may have been subscribed before
		err = h.awaitInForce(ctx, topic, false, nil)
	}
	return translate(err)
}

// Ask, History and Presence are those of package topic.
type (
	Ask      = topic.Ask
	History  = topic.History
	Presence = topic.Presence
)

// EndReason is what a client that speaks tank.v2 is told when the server ends one of its subscriptions.
type EndReason struct{ Code, Message string }

// Unsubscribe returns nil when the subscription has ended, ErrNotFound when there was none, or ErrClosed.
func (h *Hub) Unsubscribe(s *Session, topic string, why EndReason) error {
	return h.ask(func(r actor.Request[struct{}]) message {
		return unsubscribe{Request: r, session: s, topic: topic, why: &why}
	})
}

// Sync waits until the supervisor has handled all that was posted to it before, or has ended.
func (h *Hub) Sync() { _ = h.ask(func(r actor.Request[struct{}]) message { return barrier{r} }) }

// Report gives something to Observer.Report. It does not wait. It reports false when the supervisor has ended.
func (h *Hub) Report(what any) bool { return h.supervisor.Post(report{what}) }

// CloseUser closes every session of a user with 1000, and returns how many it closed.
func (h *Hub) CloseUser(userID string) int {
	return get(h, func(r actor.Request[int]) message { return closeUser{r, userID} })
}

// UserSessions returns the sessions of a user, in any order.
func (h *Hub) UserSessions(userID string) []*Session {
	return get(h, func(r actor.Request[[]*Session]) message { return listUser{r, userID} })
}

// UnsubscribeUser ends the subscriptions that the sessions of a user have to a topic, and returns how many these were.
func (h *Hub) UnsubscribeUser(userID, topic string) int {
	return get(h, func(r actor.Request[int]) message { return unsubscribeUser{r, userID, topic} })
}

// IsSubscribed reports whether a session is subscribed to a topic.
func (h *Hub) IsSubscribed(s *Session, topic string) bool {
	return get(h, func(r actor.Request[bool]) message { return isSubscribed{r, s, topic} })
}

// Session returns the session of a connection, or nil.
func (h *Hub) Session(id string) *Session {
	return get(h, func(r actor.Request[*Session]) message { return findSession{r, id} })
}

// AllSessions returns all sessions, in any order.
func (h *Hub) AllSessions() []*Session {
	return get(h, func(r actor.Request[[]*Session]) message { return listSessions{r} })
}

// SubscriptionsOf returns the topics of a session, in any order.
func (h *Hub) SubscriptionsOf(s *Session) []string {
	return get(h, func(r actor.Request[[]string]) message { return listSubscriptions{r, s} })
}

// CountSubscribers returns the number of subscribers of a topic.
func (h *Hub) CountSubscribers(topic string) int {
	return get(h, func(r actor.Request[int]) message { return countSubscribers{r, topic} })
}

// TopicStats are the statistics of one live topic.
type TopicStats struct {
	topic.Stats
	Name        string
	Subscribers int
}

// AllTopics returns the statistics of every topic that has subscribers or keeps messages, or else of those that linger, in any order. It
// does not stop the topics.
func (h *Hub) AllTopics(lingering bool) []TopicStats {
	live := get(h, func(r actor.Request[[]liveTopic]) message { return listTopics{r, lingering} })
	all := make([]TopicStats, len(live))
	for i, t := range live {
		all[i] = TopicStats{t.topic.Stats(), t.topic.Name(), t.subscribers}
	}
	return all
}

// Members returns the subscribers of a topic, in any order. It waits until the topic has queued all accepted messages for them.
func (h *Hub) Members(name string) (members []topic.Subscriber) {
	_, _ = h.withTopic(name, false, func(t *topic.Topic) (err error) {
		members, err = t.Members(context.Background())
		return err
	})
	return members
}

// withTopic calls use with the topic of a name. A topic that has ended, because it lost its last subscriber or is being replaced, makes
// use return actor.ErrStopped: then use is called with the next topic of that name. With create, a topic that keeps messages begins where
// there is none. found is false when there is no topic. The error is that of use, or ErrClosed once Shutdown ends the topics.
func (h *Hub) withTopic(name string, create bool, use func(*topic.Topic) error) (found bool, err error) {
	t := h.topics.find(name)
	if t == nil && create && h.keeps(name) {
		t, err = h.lookup(lookup{topic: name, create: true})
	}
	for t != nil && err == nil {
		if err = use(t); !errors.Is(err, actor.ErrStopped) {
			return true, translate(err)
		}
		t, err = h.lookup(lookup{topic: name, create: create && h.keeps(name)})
	}
	if err == nil && h.life.state() > draining {
		err = ErrClosed
	}
	return false, err
}

// lookup asks the supervisor for a topic.
func (h *Hub) lookup(m lookup) (*topic.Topic, error) {
	t, err := actor.Call(context.Background(), h.supervisor, func(r actor.Request[*topic.Topic]) message {
		m.Request = r
		return m
	})
	return t, translate(err)
}

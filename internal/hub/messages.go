package hub

import (
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// message is what the supervisor understands: one type per verb, and this is all of them.
type message interface{ handle(*supervisor) }

type (
	// From edges, which wait for the answer.
	register struct { // a connection has been upgraded
		actor.Request[struct{}]
		session *Session
		expires int64       // see Session
		hook    bool        // a hook runs next, and then says HookDone
		hello   *wire.Batch // what the client is told first; nil: nothing
	}
	subscribe struct { // with the zero Request, nobody waits: the request is the client's own, one of Changes
		actor.Request[struct{}]
		session *Session
		topic   string
		info    string     // what others in the topic are told of the user, see topic.Member
		ask     *topic.Ask // of a client that speaks tank.v2; else nil
	}
	unsubscribe struct { // with the zero Request, nobody waits: the request is the client's own, one of Changes
		actor.Request[struct{}]
		session *Session
		topic   string
		id      uint64     // of the client's command; 0: it has none
		why     *EndReason // what a client that speaks tank.v2 is told; nil: nothing
	}
	lookup struct { // answered with nil when there is none
		actor.Request[*topic.Topic]
		topic  string
		create bool // make one if there is none
		pin    bool // let it live for a while without subscribers
	}
	countSubscribers struct {
		actor.Request[int]
		topic string
	}
	findSession struct { // answered with nil when there is none
		actor.Request[*Session]
		id string
	}
	listSessions struct{ actor.Request[[]*Session] }
	awaitHooks   struct{ actor.Request[bool] }     // answered when no hook runs, with whether one did before
	barrier      struct{ actor.Request[struct{}] } // everything posted before has been handled
	listTopics   struct {                          // answered with those that have subscribers or keep messages, or else with those that linger
		actor.Request[[]liveTopic]
		lingering bool
	}
	listSubscriptions struct {
		actor.Request[[]string]
		session *Session
	}
	closeUser struct {
		actor.Request[int]
		userID string
	}
	listen struct {
		actor.Request[struct{}]
		listener *Listener
	}
	isSubscribed struct {
		actor.Request[bool]
		session *Session
		topic   string
	}
	findMember struct { // fails with ErrNotFound when there is none
		actor.Request[membership]
		session *Session
		topic   string
	}
	listUser struct {
		actor.Request[[]*Session]
		userID string
	}
	unsubscribeUser struct {
		actor.Request[int]
		userID, topic string
	}
	renew struct { // see Hub.Renew
		actor.Request[struct{}]
		session *Session
		expires int64
		value   any
	}
	drainSome struct { // answered with whether sessions are left that are not being closed
		actor.Request[bool]
		most  int
		empty chan<- struct{} // is closed when no session is left
	}

	// From clients, topics and edges, which do not wait.
	gone struct { // a connection's socket is closed
		session  *Session
		reason   string
		vanished bool     // its user may come back
		topics   []string // that it has left so far
	}
	readerDone struct{ hook bool } // a connection's last callback has returned, or all but a hook that runs next
	hookDone   struct{}            // a hook has returned
	topicEmpty struct {            // a topic actor has delivered everything to its last subscriber
		live *liveTopic
	}
	topicStopped struct { // a topic actor has ended
		topic *topic.Topic
		err   error // nil when it was told to
	}
	topicKept struct { // a topic keeps messages, and did not before; or nothing any more; or it was swept
		topic *topic.Topic
		kept  bool
		due   time.Time // when to sweep it next; zero: never
	}
	topicInForce  struct{ topic *topic.Topic } // its subscription at the broker is in force
	brokerState   struct{ cause error }        // the connection to the broker is lost; nil: it is there
	topicPresence struct {                     // a topic wants to be reminded to tell who is present
		topic *topic.Topic
		due   time.Time
	}
	unlisten    struct{ listener *Listener }
	overBudget  struct{}           // the queued bytes of all clients exceed the budget
	overHistory struct{}           // what all topics keep exceeds the budget
	report      struct{ what any } // see Hub.Report

	// Of the instance's own life.
	tick      struct{} // of the heartbeat, see wheel.go
	clockTick struct{} // see clock.go
	shutdown  struct{} // begin
	cutAll    struct{} // disconnect all clients that are left
	finish    struct{} // end
)

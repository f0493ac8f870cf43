package tank

import (
	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// message is what the supervisor understands: one type per verb, and this is all of them.
type message interface{ handle(*supervisor) }

type (
	// From edges, which wait for the answer.
	register struct { // a connection has been upgraded
		actor.Request[struct{}]
		client *Client
	}
	subscribe struct { // nobody waits when it is the client's own request, of which this is the zero Request
		actor.Request[struct{}]
		client *Client
		topic  string
	}
	unsubscribe struct { // the same
		actor.Request[struct{}]
		client *Client
		topic  string
	}
	lookup struct { // answered with nil when there is none
		actor.Request[*topic.Topic]
		topic string
	}
	countSubscribers struct {
		actor.Request[int]
		topic string
	}
	findClient struct { // answered with nil when there is none
		actor.Request[*Client]
		id string
	}
	listClients       struct{ actor.Request[[]*Client] }
	fence             struct{ actor.Request[struct{}] } // everything posted before has been handled
	listTopics        struct{ actor.Request[[]liveTopic] }
	listSubscriptions struct {
		actor.Request[[]string]
		client *Client
	}
	closeUser struct {
		actor.Request[int]
		userID string
	}
	drainSome struct { // answered with whether clients are left that are not being closed
		actor.Request[bool]
		most int
		gone chan<- struct{} // is closed when no client is left
	}

	// From clients and topics, which do not wait.
	gone struct { // a connection's socket is closed
		client *Client
		reason string
	}
	readerDone    struct{} // a connection's last callback has returned
	topicDeserted struct { // a topic actor has delivered everything to its last subscriber
		live  *liveTopic
		topic *topic.Topic
	}
	topicStopped struct { // a topic actor has ended
		topic *topic.Topic
		err   error // nil when it was told to
	}
	report     struct{ event *ErrorEvent }
	note       struct{ entry entry } // for the logger alone
	overBudget struct{}              // the queued bytes of all clients exceed the budget

	// Of the instance's own life.
	tick     struct{} // the clock's, see heartbeat.go
	shutdown struct{} // begin
	cutAll   struct{} // patience is at an end
	finish   struct{} // close the event channels and end
)

// Package hub has the supervisor of an instance: the actor that alone knows which sessions and topics exist, and who
// subscribes to what.
//
// Hub is the supervisor's handle. Its methods run in the goroutines of their callers, which are edges: they may wait. The
// supervisor itself runs in one goroutine and never waits. Each file, type or function says in which of the two it runs.
package hub

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/internal/budget"
	"github.com/fanqie/tank-websocket-go-server/internal/link"
	"github.com/fanqie/tank-websocket-go-server/internal/metrics"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// Broadcast is the name of the built-in topic that every session joins. A client cannot name it.
const Broadcast = ""

// Config is what a hub is made with.
type Config struct {
	Subscriptions     int // the most of one session
	SessionsPerUser   int // the most of one user that an authenticator has named
	TopicQueueBytes   int
	TotalOutboxBytes  int // the most memory of the queued bytes of all sessions
	TotalHistoryBytes int // the most memory of what all topics keep
	History           func(topic string) topic.History
	Presence          func(topic string) topic.Presence
	WarnOfExpiry      bool // tell clients of tank.v2 that their credentials are about to expire
	HeartbeatInterval time.Duration
	HeartbeatTimeout  time.Duration
	DrainWindow       time.Duration
	DrainBatch        int           // sessions; zero: Shutdown closes all of them at once
	Refill            time.Duration // in which the emptiest allowance of a client becomes full
	Deflater          *wire.Deflater
	BatchMessages     *metrics.Histogram // of topics
	OutboxBytes       *metrics.Histogram // of sessions, at each ping
	Observer          Observer
	Broker            broker.Broker     // carries publications between instances; nil: there are no others
	Historian         broker.Historian  // is Broker, if that keeps messages; else nil
	Node              string            // tells the instance from the others
	Heard             func(data string) // is called with what another instance says, or this one, by Tell; it may block for a moment
	PublishTimeout    time.Duration     // how long edges wait for the broker, if they do not say
}

// Observer hears what happens. Its methods must not block. All of them but Fault run in the supervisor's goroutine. After Ended,
// nothing can be reported any more; calls of Event, Fault and Report may still come, and have to be harmless.
type Observer interface {
	Event(Event)
	Fault(Fault) // runs in any goroutine
	Report(any)  // what Hub.Report was given
	Ended()
}

// Event is a step in the life of a session. Counts include it already.
type Event struct {
	Kind    EventKind
	Session *Session
	Topic   string   // of Subscribed and Unsubscribed
	Topics  []string // of Disconnected: the subscriptions that ended with it, in any order
	Reason  string   // of Disconnected
}

// EventKind says what has happened.
type EventKind int

// The kinds of events.
const (
	Connected EventKind = iota
	Disconnected
	Subscribed
	Unsubscribed
)

// Fault is something that should not have happened, and that the hub has dealt with.
type Fault struct {
	Kind    FaultKind
	Err     error    // for a panic, an *actor.PanicError
	Session *Session // nil when the fault is not of one session
	Topic   string   // of TopicPanicked and TooManySubscriptions
}

// FaultKind says what went wrong.
type FaultKind int

// The kinds of faults.
const (
	TooManySessions      FaultKind = iota // of one user: the session is closed
	TooManySubscriptions                  // of one session: it does not get this one
	TopicPanicked
	HubPanicked
	BrokerDown   // the connection to the broker is lost
	BrokerGap    // publications from the broker may be missing
	BrokerFailed // something else about the broker
)

// Hub is the handle of a supervisor. It is safe for concurrent use.
type Hub struct {
	// Immutable.
	config        Config
	supervisor    *actor.Ref[message]
	pool          *topic.Pool    // runs topics
	outboxBudget  *budget.Budget // of the queued bytes of all sessions
	historyBudget *budget.Budget // of what all topics keep
	life          *lifecycle
	topics        *directory
	link          *link.Link // to the broker; nil: there is none

	counters topic.Counters // any goroutine adds to them

	startedAt atomic.Pointer[time.Time]
	ticking   atomic.Bool // a tick is in the supervisor's mailbox
	finishing atomic.Bool // a call of Shutdown does the last steps
	cut       atomic.Bool // connections were cut at the end of a Shutdown's context
	outcome   error       // of Shutdown; set before the state is closed

	// Written by the supervisor alone, read by anyone.
	sessions   atomic.Int64
	sessionsV2 atomic.Int64 // of them, those that speak tank.v2
	liveTopics atomic.Int64 // with subscribers, or messages that are kept
	lingering  atomic.Int64 // idle topics that keep nothing
	accepted   atomic.Uint64
}

// New makes a hub. It has no goroutine while there is nothing to do.
func New(c Config) *Hub {
	h := &Hub{config: c, pool: topic.NewPool(runtime.GOMAXPROCS(0)), life: newLifecycle(), topics: newDirectory()}
	s := &supervisor{
		hub:        h,
		sessions:   make(map[string]*Session),
		users:      make(users),
		rejected:   make(map[string]int),
		topics:     make(map[string]*liveTopic),
		listeners:  make(map[*Listener]struct{}),
		abandoned:  make(map[*topic.Topic]int64),
		wheel:      newWheel(c.HeartbeatInterval, c.HeartbeatTimeout),
		allowances: newAllowances(c.Refill, maxAllowances),
	}
	h.supervisor = actor.Spawn(actor.Options{Restarts: -1, OnPanic: s.panicked}, s.receive)
	h.historyBudget = budget.New(c.TotalHistoryBytes, func() { h.supervisor.Post(overHistory{}) })
	h.outboxBudget = budget.New(c.TotalOutboxBytes, func() { h.supervisor.Post(overBudget{}) })
	if c.Broker != nil {
		h.link = link.New(c.Broker, c.Historian, c.Node, linkOwner{s})
	}
	s.broadcast = &liveTopic{topic: s.spawnTopic(Broadcast)}
	s.enterLink(s.broadcast)
	h.topics.add(s.broadcast.topic)
	return h
}

// Budget returns the budget of the queued bytes of all sessions, which their clients have to share.
func (h *Hub) Budget() *budget.Budget { return h.outboxBudget }

// Sessions returns the number of sessions, those that are being closed included.
func (h *Hub) Sessions() int { return int(h.sessions.Load()) }

// SessionsV2 returns how many of the sessions speak tank.v2.
func (h *Hub) SessionsV2() int { return int(h.sessionsV2.Load()) }

// HistoryMemory returns how much memory is kept by topics, in bytes.
func (h *Hub) HistoryMemory() int64 { return h.historyBudget.Held() }

// Topics returns the number of topics that have subscribers, or keep messages.
func (h *Hub) Topics() int { return int(h.liveTopics.Load()) }

// LingeringTopics returns the number of topics that linger: they have no subscribers and keep nothing, and their numbering is known.
func (h *Hub) LingeringTopics() int { return int(h.lingering.Load()) }

// Counters returns what is counted over all topics.
func (h *Hub) Counters() *topic.Counters { return &h.counters }

// Accepted returns the number of sessions so far.
func (h *Hub) Accepted() uint64 { return h.accepted.Load() }

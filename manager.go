package tank

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/hub"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Manager is one instance: its clients, its topics and their supervision. Make it with NewInstance or
// GetSingleInstance. All methods are safe for concurrent use, before Start, while running and after Shutdown.
type Manager struct {
	// Errors receives the faults that the instance has dealt with. It is buffered and closed by Shutdown, so that it
	// can be ranged over. When it is full, new events are dropped and counted in Stats.EventsDropped.
	Errors <-chan *ErrorEvent
	// ConnEvents receives the steps in the life of each connection. It is buffered and closed like Errors.
	ConnEvents <-chan *ConnEvent

	// Immutable.
	config        *config
	clientOptions *client.Options
	deflater      *wire.Deflater
	hub           *hub.Hub
	feed          *feed
	histograms    histograms
	node          string // tells this instance from the others of its group; empty without a broker

	httpServer atomic.Pointer[http.Server]
	counters   counters
}

// counters of the instance that are neither those of client.Counters nor the hub's. Any goroutine may add to them and read them.
type counters struct {
	connections     atomic.Int64 // places taken of Limits.Connections: clients, and requests that may become one
	refused         atomic.Uint64
	ignored         atomic.Uint64
	requests        atomic.Uint64
	requestsFailed  atomic.Uint64
	eventsDropped   atomic.Uint64
	panicsRecovered atomic.Uint64
}

// NewInstance makes an isolated instance: it shares nothing with others. No goroutine runs until it is started, so an
// unused one costs next to nothing. It panics when an option is nil.
func NewInstance(opts ...Option) *Manager {
	c := newConfig(opts)
	errs := make(chan *ErrorEvent, c.errorBuffer)
	connEvents := make(chan *ConnEvent, c.connEventBuffer)
	m := &Manager{
		Errors:     errs,
		ConnEvents: connEvents,
		config:     c,
		deflater:   wire.NewDeflater(c.compressionLevel, c.compressionThreshold),
		histograms: newHistograms(),
	}
	if c.broker != nil {
		m.node = uuid.NewString()
	}
	m.feed = &feed{m: m, errors: errs, connEvents: connEvents, journal: newJournal(c.logger, &m.counters)}
	m.hub = hub.New(hub.Config{
		Subscriptions:     c.limits.Subscriptions,
		SessionsPerUser:   c.limits.ConnectionsPerUser,
		TopicQueueBytes:   c.limits.TopicQueueBytes,
		TotalOutboxBytes:  c.limits.TotalOutboxBytes,
		TotalHistoryBytes: c.limits.TotalHistoryBytes,
		History:           c.topics.history,
		Presence:          c.topics.presence,
		WarnOfExpiry:      c.handleToken != nil,
		HeartbeatInterval: c.heartbeatInterval,
		HeartbeatTimeout:  c.heartbeatTimeout,
		DrainWindow:       c.drainWindow,
		DrainBatch:        c.drainBatch,
		Refill:            client.Refill(c.limits.messageRate(), c.limits.pingRate()),
		Deflater:          m.deflater,
		BatchMessages:     m.histograms.batchMessages,
		OutboxBytes:       m.histograms.outboxBytes,
		Observer:          m.feed,
		Broker:            c.broker,
		Historian:         c.historian(),
		Node:              m.node,
		Heard:             m.heard,
		PublishTimeout:    c.limits.PublishTimeout,
	})
	if c.authenticate == nil && c.authorizeSubscribe != nil {
		m.hub.Report(warning{"a subscribe authorizer without an authenticator: user_id is no proof of who a client is", adviceIdentity, time.Now()})
	}
	m.clientOptions = c.clientOptions(m.hub.Budget(), m.returnWithin, m.histograms.writeLatency)
	return m
}

var single = sync.OnceValue(func() *Manager { return NewInstance() })

// GetSingleInstance returns the process's shared instance, made with default options on the first call. It is the
// same for every caller, and stays shut down once it is.
func GetSingleInstance() *Manager { return single() }

// Start runs the instance in the calling goroutine and returns when Shutdown is complete; use "go tkws.Start()".
// A second Start just waits for the same end. After Shutdown it returns at once.
func (m *Manager) Start() { m.hub.Start() }

// IsRunning reports whether the instance is between Start and Shutdown.
func (m *Manager) IsRunning() bool { return m.hub.IsRunning() }

// Ready returns nil while the instance takes connections, ErrBusy before Start, and ErrClosed once Shutdown was called. With WithBroker, it
// returns ErrBroker while there is no connection to the broker, although clients can connect then. It never blocks. It is for a readiness
// probe such as /readyz, by which a load balancer learns where to send new connections.
func (m *Manager) Ready() error { return cmp.Or(m.hub.Ready(), m.hub.BrokerReady()) }

// SetHTTPServer names the server that Shutdown shuts down after the last client has left, with its own context; a server
// that is not done by then is closed. It has to be called before Shutdown. Nil, the default: none.
func (m *Manager) SetHTTPServer(s *http.Server) { m.httpServer.Store(s) }

// Shutdown ends the instance gracefully. It rejects new connections and publications. Topics deliver all messages that they have
// accepted. Every client receives its queued messages and then close 1001, all clients in parallel. (With WithDrain, clients are
// closed in batches first, and publications are accepted until the window is over.) When the context ends before that is done,
// the remaining clients are disconnected. Then the server given to SetHTTPServer is shut down, and Errors and ConnEvents are
// closed. When Shutdown returns, no goroutine of the instance is left, except callbacks and a logger that do not return.
//
// It returns nil; the context's error (or another call's) when connections were cut or the HTTP server was not done in
// time; or ErrBusy when another call cut connections, or when a callback did not return within a second after its
// connection had ended: a goroutine in a callback cannot be stopped. So ErrBusy is also the result of calling it from a
// message handler or an authorizer, which is allowed. Connect and disconnect handlers are waited for as long as the context
// lasts, and then the result is ErrBusy.
//
// It may be called again, concurrently, and before Start: then Start returns at once. Each call waits for the same end,
// no longer than its own context, after which it takes less than a second: to cut what is left, and for callbacks and
// the logger to return. A call from a connect or disconnect handler waits for itself, and with SetHTTPServer a call from an
// authenticator or CheckOrigin for its own request, so the context of these has to end. It panics when the context is nil.
func (m *Manager) Shutdown(ctx context.Context) error {
	require(ctx != nil, "Shutdown", "context is nil")
	return m.hub.Shutdown(ctx, hub.Steps{BeforeEnd: m.shutdownHTTPServer, AfterEnd: m.feed.journal.close})
}

func (m *Manager) shutdownHTTPServer(ctx context.Context) error {
	server := m.httpServer.Load()
	if server == nil {
		return nil
	}
	err := server.Shutdown(ctx)
	if err != nil {
		server.Close()
	}
	return err
}

// SendToUser is Client.Send for every connection of that user, with one encoded message for all. It returns for how many connections
// the message was queued; those that are closing do not count. Text that is not valid UTF-8 is reported on Errors, and sent to none.
// It is 0 before Start and after Shutdown. With WithBroker it goes to the connections of all instances, the number is that of this one, and
// the call waits for the broker, for the publish timeout at most.
func (m *Manager) SendToUser(userID string, msg Message) (connections int) {
	connections, err := m.sendHere(userID, msg)
	if err != nil {
		m.report(&ErrorEvent{Code: CodeSerialization, Message: "message cannot be encoded", Err: err, UserID: strings.Clone(userID)})
		return 0
	}
	m.tell(talk{User: userID, Send: &msg})
	return connections
}

// UnsubscribeUser is Client.Unsubscribe for every connection of that user, and returns how many were subscribed to the topic. It is
// 0 before Start and after Shutdown. With WithBroker, all instances do it, the number is that of this one, and the call waits for the broker,
// for the publish timeout at most.
func (m *Manager) UnsubscribeUser(userID, topic string) int {
	if checkTopic(topic) != nil {
		return 0
	}
	n := m.hub.UnsubscribeUser(userID, topic)
	m.tell(talk{User: userID, Leave: topic})
	return n
}

// CloseUser closes every connection of that user with 1000, like Client.Close, and returns how many it closed: those
// that are closing already do not count. It is 0 before Start and after Shutdown. With WithBroker, all instances do it, the number is that
// of this one, and the call waits for the broker, for the publish timeout at most.
func (m *Manager) CloseUser(userID string) int {
	n := m.hub.CloseUser(userID)
	m.tell(talk{User: userID, Close: true})
	return n
}

// CloseClient is CloseUser.
//
// Deprecated: Use CloseUser. The name suggests a Client.ID, of which it closes nothing.
func (m *Manager) CloseClient(userID string) int { return m.CloseUser(userID) }

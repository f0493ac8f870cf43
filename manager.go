package tank

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
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
	pool          *actor.Pool // runs topics
	supervisor    *actor.Ref[message]
	journal       *journal
	histograms    histograms
	life          *lifecycle

	topics     *directory
	startedAt  atomic.Pointer[time.Time]
	ticking    atomic.Bool // a tick is in the supervisor's mailbox
	cut        atomic.Bool // connections were cut at the end of a Shutdown's context
	outcome    error       // of Shutdown; set before the state is closed
	finishing  atomic.Bool // a call of Shutdown does the last steps
	httpServer atomic.Pointer[http.Server]
	counters   counters
}

// counters of the instance that are not those of client.Counters. Each has one writer or is added to atomically;
// anyone reads them.
type counters struct {
	connections     atomic.Int64 // places taken of Limits.Connections: clients, and requests that may become one
	clients         atomic.Int64
	topics          atomic.Int64
	accepted        atomic.Uint64
	refused         atomic.Uint64
	ignored         atomic.Uint64
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
		Errors:        errs,
		ConnEvents:    connEvents,
		config:        c,
		clientOptions: c.clientOptions(),
		life:          newLifecycle(),
	}
	m.topics = newDirectory()
	m.histograms = newHistograms()
	m.clientOptions.WriteLatency = m.histograms.writeLatency
	m.deflater = wire.NewDeflater(c.compressionLevel, c.compressionThreshold)
	m.pool = actor.NewPool(runtime.GOMAXPROCS(0))
	m.journal = newJournal(c.logger, &m.counters)
	m.clientOptions.Budget.Exceeded = func() { m.supervisor.Post(overBudget{}) }
	m.supervisor = spawnSupervisor(m, errs, connEvents)
	return m
}

var single = sync.OnceValue(func() *Manager { return NewInstance() })

// GetSingleInstance returns the process's shared instance, made with default options on the first call. It is the
// same for every caller, and stays shut down once it is.
func GetSingleInstance() *Manager { return single() }

// Start runs the instance in the calling goroutine and returns when Shutdown is complete; use "go tkws.Start()".
// A second Start just waits for the same end. After Shutdown it returns at once.
func (m *Manager) Start() {
	if m.life.moveTo(running) {
		now := time.Now()
		m.startedAt.Store(&now)
		m.runClock()
	}
	<-m.life.reached[closed]
}

// IsRunning reports whether the instance is between Start and Shutdown.
func (m *Manager) IsRunning() bool { return m.life.state() == running }

// BroadcastMessage sends the bytes to every connected client, as one text message, or a binary one when they are not
// valid UTF-8. The slice may be reused afterwards. It returns like BroadcastTopicMessage.
func (m *Manager) BroadcastMessage(message []byte) error {
	return m.publish(everyone, string(message), m.patiently)
}

// BroadcastTopicMessage is Publish with the publish timeout (default 5 s, see Limits) as its context.
func (m *Manager) BroadcastTopicMessage(topic, data string) error {
	if err := m.checkMessage(topic, data); err != nil {
		return err
	}
	return m.publish(topic, data, m.patiently)
}

// Publish sends {"topic":topic,"data":data} to the topic's subscribers. It blocks while the topic's queue is full.
//
// It returns nil when the topic has accepted the message, also when there are no subscribers, such as before Start;
// ErrInvalidTopic; ErrInvalidData when data is not valid UTF-8; ErrBusy together with the context's error when the
// context ended first; and ErrClosed once Shutdown has begun or, with WithDrain, once the window is over. It panics when
// the context is nil.
func (m *Manager) Publish(ctx context.Context, topic string, data string) error {
	if ctx == nil { // require would cost a call
		panic("tank: Publish: context is nil")
	}
	if err := m.checkMessage(topic, data); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return translate(err)
	}
	return m.publish(topic, data, within(ctx))
}

func (m *Manager) checkMessage(topic, data string) error {
	if err := checkTopic(topic); err != nil {
		return err
	}
	if !utf8.ValidString(data) {
		m.report(&ErrorEvent{Code: CodeSerialization, Message: "message cannot be encoded", Err: ErrInvalidData, Topic: strings.Clone(topic)})
		return ErrInvalidData
	}
	return nil
}

// publish gives a message to a topic, by wait when there is no room for it.
func (m *Manager) publish(name, data string, wait func(*topic.Topic, string) error) error {
	if m.life.state() > draining {
		return ErrClosed
	}
	for t := m.topics.find(name); t != nil; {
		taken, err := t.TryPublish(data)
		if taken {
			return nil
		}
		if err == nil {
			err = wait(t, data)
		}
		if !errors.Is(err, actor.ErrStopped) {
			return translate(err)
		}
		if t, err = m.successor(name); err != nil {
			return translate(err)
		}
	}
	if m.life.state() > draining { // it may have ended with the instance
		return ErrClosed
	}
	return nil
}

// successor returns the topic of a name under which one was found that had ended: it lost its last subscriber just now and may
// have found another, or it is being replaced.
func (m *Manager) successor(name string) (*topic.Topic, error) {
	return actor.Call(context.Background(), m.supervisor, func(r actor.Request[*topic.Topic]) message { return lookup{r, name} })
}

// within publishes to a topic that has no room, as long as the context says.
func within(ctx context.Context) func(*topic.Topic, string) error {
	return func(t *topic.Topic, data string) error { return t.Publish(ctx, data) }
}

// patiently publishes to a topic that has no room, within the publish timeout.
func (m *Manager) patiently(t *topic.Topic, data string) error {
	ctx, cancel := context.WithTimeout(context.Background(), m.config.limits.PublishTimeout)
	defer cancel()
	return t.Publish(ctx, data)
}

// ask calls the supervisor with a request that is answered with an error or nil.
func (m *Manager) ask(build func(actor.Request[struct{}]) message) error {
	_, err := actor.Call(context.Background(), m.supervisor, build)
	return translate(err)
}

// translate makes errors of package actor and of contexts into those of this package.
func translate(err error) error {
	switch {
	case errors.Is(err, actor.ErrStopped):
		return ErrClosed
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

// CloseClient closes every connection of that user with 1000, like Client.Close, and returns how many it closed: those
// that are closing already do not count. It is 0 before Start and after Shutdown.
func (m *Manager) CloseClient(userID string) int {
	n, _ := actor.Call(context.Background(), m.supervisor, func(r actor.Request[int]) message {
		return closeUser{r, userID}
	})
	return n
}

// SetHTTPServer names the server that Shutdown shuts down after the last client has left, with its own context; a server
// that is not done by then is closed. It has to be called before Shutdown. Nil, the default: none.
func (m *Manager) SetHTTPServer(s *http.Server) { m.httpServer.Store(s) }

// report hands a fault to the supervisor, which alone sends on Errors. It never blocks.
func (m *Manager) report(e *ErrorEvent) {
	e.Time = time.Now()
	if isPanic(e.Err) {
		m.counters.panicsRecovered.Add(1)
	}
	if !m.supervisor.Post(report{e}) {
		m.counters.eventsDropped.Add(1)
	}
}

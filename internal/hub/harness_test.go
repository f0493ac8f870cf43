package hub

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/metrics"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// instance is a hub with what package tank puts around it: an HTTP handler, and an owner for each connection.
type instance struct {
	*Hub
	options *client.Options
	events  chan Event
	faults  chan Fault
}

// start makes an instance and starts it.
func start(t *testing.T, configure func(*Config, *client.Options)) *instance {
	t.Helper()
	x := &instance{events: make(chan Event, 10_000), faults: make(chan Fault, 1000)}
	x.options = &client.Options{
		OutboxBytes: 1 << 20, MessageBytes: 32 << 10, Messages: client.Rate{PerSecond: 100, Burst: 200}, Pings: client.Rate{PerSecond: 10, Burst: 20},
		WriteTimeout: 5 * time.Second, CloseTimeout: 5 * time.Second, Counters: &client.Counters{},
	}
	c := Config{
		Subscriptions: 128, SessionsPerUser: 32, TopicQueueBytes: 1 << 20, TotalOutboxBytes: 1 << 30,
		HeartbeatInterval: time.Hour, HeartbeatTimeout: time.Hour,
		BatchMessages: metrics.NewHistogram(1), OutboxBytes: metrics.NewHistogram(1), Observer: x,
	}
	if configure != nil {
		configure(&c, x.options)
	}
	c.Refill = client.Refill(x.options.Messages, x.options.Pings)
	x.Hub = New(c)
	x.options.Budget = x.Budget()
	go x.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		x.shutdown(ctx)
	})
	return x
}

func (x *instance) shutdown(ctx context.Context) error {
	return x.Shutdown(ctx, Steps{BeforeEnd: func(context.Context) error { return nil }, AfterEnd: func(time.Duration) {}})
}

func (x *instance) Event(e Event) {
	select {
	case x.events <- e:
	default:
	}
}

func (x *instance) Fault(f Fault) {
	select {
	case x.faults <- f:
	default:
	}
}

func (x *instance) Report(any) {}
func (x *instance) Ended()     {}

// owner is the owner of a connection. It understands the commands "sub:" and "unsub:".
type owner struct {
	x       *instance
	session *Session
}

func (o *owner) Received(data []byte, _ bool) {
	switch cmd := wire.Parse(data); cmd.Kind {
	case wire.Subscribe:
		o.x.postSubscribe(o.session, cmd.Topic, "", nil)
	case wire.Unsubscribe:
		o.x.postUnsubscribe(o.session, cmd.Topic, 0)
	}
}

// postSubscribe posts a request of a client's own, without waiting.
func (x *instance) postSubscribe(s *Session, topic, info string, ask *Ask) {
	c := NewChanges(s)
	c.Subscribe(topic, info, ask)
	x.Post(c)
}

// postUnsubscribe posts a request of a client's own, without waiting.
func (x *instance) postUnsubscribe(s *Session, topic string, id uint64) {
	c := NewChanges(s)
	c.Unsubscribe(topic, id)
	x.Post(c)
}

func (o *owner) Paused()                    {}
func (o *owner) Failed(client.Fault, error) {}
func (o *owner) Gone(code int, reason string) {
	o.x.Gone(o.session, code == 1006, fmt.Sprint(code, " ", reason))
}
func (o *owner) CloseBegun() {}
func (o *owner) ReaderDone() { o.x.ReaderDone(false) }

// ServeHTTP makes a session of a request; the user is the query.
func (x *instance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := client.Upgrade(w, r, client.UpgradeOptions{WriteTimeout: time.Second, V2: client.V2Offered})
	if err != nil {
		return
	}
	o := &owner{x: x}
	o.session = &Session{ID: uuid.NewString(), UserID: r.URL.RawQuery, Client: client.New(conn, x.options, o)}
	if x.Register(o.session, Registration{Address: o.session.Client.RemoteAddr()}) != nil {
		o.session.Client.Cut("rejected")
		return
	}
	go o.session.Client.Read(nil)
}

// serveHTTP puts the instance behind a server, until the test ends.
func serveHTTP(t *testing.T, x *instance) *memnet.Listener {
	l := memnet.Listen()
	server := &http.Server{Handler: x}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l
}

// dial connects as a user, and waits until the session is registered. It is for bubbles.
func dial(t *testing.T, l *memnet.Listener, user string, buffer int) *memnet.Conn {
	t.Helper()
	conn, err := l.Dial(buffer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := wstest.Upgrade(conn, wstest.Handshake{Target: "/?" + user}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // the answer is sent before the session is registered
	return conn
}

// all returns the sessions in the order in which they came.
func (x *instance) all() []*Session {
	list := x.AllSessions()
	slices.SortFunc(list, func(a, b *Session) int { return int(a.number) - int(b.number) })
	return list
}

// look is a message for tests that have to see what the supervisor sees.
type look func(*supervisor)

func (l look) handle(s *supervisor) { l(s) }

// see lets the supervisor's state be seen.
func see[T any](x *instance, get func(*supervisor) T) T {
	answer := make(chan T, 1)
	x.supervisor.Post(look(func(s *supervisor) { answer <- get(s) }))
	return <-answer
}

// send queues a message for a session.
func send(t *testing.T, s *Session, bytes int) {
	t.Helper()
	if !s.Client.Send(wire.NewBatch(wire.AppendFrame(nil, wire.OpText, make([]byte, bytes)), 1)) {
		t.Fatal("a message was not taken")
	}
}

func (x *instance) publish(t *testing.T, name, data string) {
	t.Helper()
	if err := x.PublishWithin(time.Second, &wire.Publication{Topic: name, Data: data}); err != nil {
		t.Fatal(err)
	}
}

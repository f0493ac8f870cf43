package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

func TestMain(m *testing.M) {
	if what := os.Getenv(processEnv); what != "" {
		os.Exit(process(what))
	}
	const server = "github.com/nats-io/nats-server/v2/server"
	goleak.VerifyTestMain(m,
		// A server forgets these when a stream is deleted while it is being restored. They are none of the Broker's.
		goleak.IgnoreTopFunction(server+".(*fileStore).flushStreamStateLoop"), goleak.IgnoreTopFunction(server+"/ats.Register.func1"))
}

// patience is how long a condition may take to come true.
const patience = 20 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// await polls a condition.
func await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	if !within(patience, condition) {
		t.Fatalf("%s: not after %v", what, patience)
	}
}

func within(d time.Duration, condition func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(d)
	for !condition() {
		if time.Now().After(end) {
			return false
		}
		<-tick.C
	}
	return true
}

func timeout(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// natsServer can be stopped, and started again at the same address.
type natsServer struct {
	t       testing.TB
	options server.Options
	server  *server.Server
}

// newServer is not started yet.
func newServer(t testing.TB, configure ...func(*server.Options)) *natsServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	must(t, l.Close())
	s := &natsServer{t: t, options: server.Options{Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true, NoSystemAccount: true}}
	for _, f := range configure {
		f(&s.options)
	}
	t.Cleanup(s.stop)
	return s
}

func startServer(t testing.TB, configure ...func(*server.Options)) *natsServer {
	t.Helper()
	s := newServer(t, configure...)
	s.start()
	return s
}

func (s *natsServer) start() {
	s.t.Helper()
	options := s.options
	made, err := server.NewServer(&options)
	must(s.t, err)
	s.server = made
	s.server.Start()
	await(s.t, "the server is ready", func() bool { return s.server.ReadyForConnections(time.Millisecond) })
}

func (s *natsServer) stop() {
	if s.server != nil {
		s.server.Shutdown()
		s.server.WaitForShutdown()
		s.server = nil
	}
}

func (s *natsServer) addr() string {
	return net.JoinHostPort(s.options.Host, strconv.Itoa(s.options.Port))
}
func (s *natsServer) url() string { return "nats://" + s.addr() }

// occurrence is what a Receiver or Watcher was told.
type occurrence struct {
	what  string // message, lost, up, down
	name  string
	text  string
	doubt int
}

// diary is what happened at a node, in order.
type diary struct {
	mu     sync.Mutex
	list   []occurrence
	counts map[string]int     // by what
	seen   map[[3]string]bool // what, name and text
	last   string             // up or down
}

func (d *diary) add(o occurrence) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.counts == nil {
		d.counts, d.seen = make(map[string]int), make(map[[3]string]bool)
	}
	d.list = append(d.list, o)
	d.counts[o.what]++
	d.seen[[3]string{o.what, o.name, o.text}] = true
	if o.what == "up" || o.what == "down" {
		d.last = o.what
	}
}

func (d *diary) all() []occurrence {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]occurrence(nil), d.list...)
}

func (d *diary) count(what string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[what]
}

func (d *diary) has(what, name, text string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen[[3]string{what, name, text}]
}

func (d *diary) isUp() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last == "up"
}

func (d *diary) Down(cause error, doubt int) {
	if cause == nil {
		cause = errors.New("NO CAUSE")
	}
	d.add(occurrence{what: "down", text: cause.Error(), doubt: doubt})
}
func (d *diary) Up() { d.add(occurrence{what: "up"}) }

// reader is a Receiver that writes into a diary.
type reader struct {
	*diary
	name  string
	block chan struct{} // Deliver waits for it, if there is one
}

func (r *reader) Began(string, uint64) { r.add(occurrence{what: "began", name: r.name}) }
func (r *reader) Lost(cause error) {
	r.add(occurrence{what: "lost", name: r.name, text: cause.Error()})
}
func (r *reader) Deliver(list []broker.Message) {
	for _, m := range list {
		r.add(occurrence{what: "message", name: r.name, text: m.Data})
	}
	if r.block != nil {
		<-r.block
	}
}

// node is a Broker that is open, and its diary.
type node struct {
	*Broker
	*diary
	t testing.TB
}

func open(t testing.TB, o Options) *node {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b, err := New(o)
	must(t, err)
	n := &node{b, new(diary), t}
	must(t, b.Open(n.diary))
	t.Cleanup(func() {
		if !b.closing.Load() {
			if err := b.Close(timeout(t, patience)); err != nil {
				t.Error("Close:", err)
			}
		}
	})
	return n
}

// upNode is connected.
func upNode(t testing.TB, o Options) *node {
	t.Helper()
	n := open(t, o)
	await(t, "up", n.isUp)
	return n
}

func (n *node) subscribe(names ...string) []broker.Subscription {
	n.t.Helper()
	subs := n.wish(names...)
	must(n.t, n.Subscribe(timeout(n.t, patience), subs))
	return subs
}

func (n *node) wish(names ...string) []broker.Subscription {
	var subs []broker.Subscription
	for _, name := range names {
		subs = append(subs, broker.Subscription{Name: name, To: &reader{diary: n.diary, name: name}})
	}
	return subs
}

func (n *node) publish(name, data string) {
	n.t.Helper()
	_, err := n.Publish(context.Background(), name, broker.Publication{Data: data})
	must(n.t, err)
}

func (n *node) awaitMessage(name, data string) {
	n.t.Helper()
	await(n.t, "message "+data, func() bool { return n.has("message", name, data) })
}

// plainClient is somebody else who uses NATS.
func plainClient(t testing.TB, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, options...)
	must(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func (o occurrence) String() string {
	return fmt.Sprintf("%s %s %.200q %d", o.what, o.name, o.text, o.doubt)
}

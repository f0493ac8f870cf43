package linear_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"go.uber.org/goleak"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/linear"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What a history consists of. It is short, so that it is decided in no time.
const (
	clients    = 4
	publishers = 2
	steps      = 12 // of each
	topics     = 2
	histories  = 300
)

// TestTopicsAreLinearizable makes many short histories on real sockets. Another client is subscribed to the topics all the
// time, so that they do not end in between.
func TestTopicsAreLinearizable(t *testing.T) {
	s := startServer(t)
	keeper := s.dial(t, clients+publishers)
	for i := range histories {
		s.check(t, uint64(i), keeper)
	}
}

// server is an instance on a real socket, and the clients of all histories.
type server struct {
	*tank.Manager
	address string
	peers   []*peer
	began   time.Time
}

func startServer(t *testing.T) *server {
	m := tank.NewInstance(
		tank.WithLimits(tank.Limits{MessagesPerSecond: 1_000_000, MessageBurst: 1_000_000}), // histories are bursts
		tank.WithPublishAuthorizer(func(*tank.Client, *tank.Publication) error { return nil }),
		tank.WithMessageHandler(func(c *tank.Client, m tank.Message) { c.Send(m) }), // an echo
	)
	go m.Start()
	web := httptest.NewServer(m)
	t.Cleanup(web.Close)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := m.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	s := &server{Manager: m, address: web.Listener.Addr().String(), began: time.Now()}
	for i := range clients {
		s.peers = append(s.peers, s.dial(t, i))
	}
	return s
}

func (s *server) now() int64 { return time.Since(s.began).Nanoseconds() }

// peer is a client. Of what it does, the return is known when an echo behind it has come back.
type peer struct {
	*ws.Conn
	server *server
	number int
	echoes chan string

	mu       sync.Mutex
	receipts []linear.Receipt
	last     map[string]chan struct{} // closed when the last message of a topic has come
}

func (s *server) dial(t *testing.T, number int) *peer {
	t.Helper()
	conn, err := ws.Dial(t.Context(), s.address, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{Conn: conn, server: s, number: number, echoes: make(chan string, 1), last: make(map[string]chan struct{})}
	var reading sync.WaitGroup
	reading.Go(func() { p.read(t) })
	t.Cleanup(reading.Wait)
	t.Cleanup(func() { conn.Close() })
	return p
}

// the last message of each topic
const lastMessage = "last"

// read notes what comes until the connection ends.
func (p *peer) read(t *testing.T) {
	for {
		f, err := p.Receive()
		if err != nil {
			return
		}
		switch f.Opcode() {
		case wstest.Ping:
			p.Send(wstest.Pong, string(f.Payload))
		case wstest.Binary:
			p.echoes <- string(f.Payload)
		case wstest.Text:
			var m struct{ Topic, Data string }
			if err := json.Unmarshal(f.Payload, &m); err != nil || m.Topic == "" {
				t.Errorf("client %d got %q", p.number, f.Payload)
			}
			p.mu.Lock()
			p.receipts = append(p.receipts, linear.Receipt{Client: p.number, Topic: m.Topic, Message: m.Data, At: p.server.now()})
			if c := p.last[m.Topic]; c != nil && m.Data == lastMessage {
				delete(p.last, m.Topic)
				close(c)
			}
			p.mu.Unlock()
		}
	}
}

// flush waits until the server has handled all that was sent.
func (p *peer) flush(t *testing.T) {
	p.Send(wstest.Binary, "echo")
	select {
	case <-p.echoes:
	case <-time.After(10 * time.Second):
		t.Errorf("client %d got no echo", p.number)
	}
}

// expectLast returns what is closed when the last message of the topic has come.
func (p *peer) expectLast(topic string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := make(chan struct{})
	p.last[topic] = c
	return c
}

// take returns what was received since, and forgets it.
func (p *peer) take() []linear.Receipt {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.receipts
	p.receipts = nil
	return r
}

// recorder is a history in the making.
type recorder struct {
	server *server
	t      *testing.T
	seed   uint64
	names  []string // of the topics

	mu      sync.Mutex
	history linear.History
}

// check makes a history and decides it.
func (s *server) check(t *testing.T, seed uint64, keeper *peer) {
	t.Helper()
	r := &recorder{server: s, t: t, seed: seed}
	for i := range topics {
		name := fmt.Sprintf("history %d, topic %d", seed, i)
		r.names = append(r.names, name)
		if keeper != nil {
			keeper.Send(wstest.Text, "sub:"+name)
		}
	}
	if keeper != nil {
		keeper.flush(t)
	}
	var wg sync.WaitGroup
	for _, p := range s.peers {
		wg.Go(func() { r.client(p) })
	}
	for i := range publishers {
		wg.Go(func() { r.publisher(clients + i) })
	}
	wg.Wait()
	r.quiet()
	if keeper != nil {
		for _, name := range r.names {
			keeper.Send(wstest.Text, "unsub:"+name)
		}
		keeper.flush(t)
		keeper.take()
	}
	if result, info := r.history.Check(time.Minute); result != porcupine.Ok {
		t.Fatalf("history %d is %s, see %s", seed, result, r.visualize(info))
	}
}

// client subscribes, unsubscribes and publishes, and waits now and then until that has happened.
func (r *recorder) client(p *peer) {
	random := rand.New(rand.NewPCG(r.seed, uint64(p.number)))
	var ops []linear.Operation
	known := 0 // of the operations, to have returned
	for i := range steps {
		o := linear.Operation{Topic: r.names[random.IntN(topics)], Caller: p.number}
		text := ""
		switch random.IntN(4) {
		case 0, 1:
			o.Kind, text = linear.Subscribe, "sub:"+o.Topic
		case 2:
			o.Kind, text = linear.Unsubscribe, "unsub:"+o.Topic
		default:
			o.Kind, o.Message = linear.Publish, fmt.Sprint(p.number, ".", i)
			text = fmt.Sprintf(`{"topic":%q,"data":%q}`, o.Topic, o.Message)
		}
		o.Call = r.server.now()
		ops = append(ops, o)
		p.Send(wstest.Text, text)
		if random.IntN(3) == 0 || i == steps-1 {
			p.flush(r.t)
			for now := r.server.now(); known < len(ops); known++ {
				ops[known].Return = now
			}
		}
		pause(random)
	}
	r.add(ops)
}

// publisher publishes from the server's side.
func (r *recorder) publisher(number int) {
	random := rand.New(rand.NewPCG(r.seed, uint64(number)))
	var ops []linear.Operation
	for i := range steps {
		ops = append(ops, r.publish(number, r.names[random.IntN(topics)], fmt.Sprint(number, ".", i)))
		pause(random)
	}
	r.add(ops)
}

func (r *recorder) publish(caller int, topic, message string) linear.Operation {
	o := linear.Operation{Kind: linear.Publish, Topic: topic, Caller: caller, Message: message, Call: r.server.now()}
	if err := r.server.Publish(context.Background(), topic, message); err != nil {
		r.t.Error(err)
	}
	o.Return = r.server.now()
	return o
}

// pause is mostly none, so that much happens at once.
func pause(random *rand.Rand) {
	if random.IntN(4) == 0 {
		time.Sleep(time.Duration(random.IntN(200)) * time.Microsecond)
	}
}

func (r *recorder) add(ops []linear.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history.Operations = append(r.history.Operations, ops...)
}

// quiet subscribes everybody to everything and publishes a last message to each topic. When all have it, nothing is on its
// way any more. Then it ends the subscriptions, which is no part of the history.
func (r *recorder) quiet() {
	var last []<-chan struct{}
	for _, p := range r.server.peers {
		var ops []linear.Operation
		for _, name := range r.names {
			last = append(last, p.expectLast(name))
			ops = append(ops, linear.Operation{Kind: linear.Subscribe, Topic: name, Caller: p.number, Call: r.server.now()})
			p.Send(wstest.Text, "sub:"+name)
		}
		p.flush(r.t)
		for i := range ops {
			ops[i].Return = r.server.now()
		}
		r.add(ops)
	}
	for _, name := range r.names {
		r.add([]linear.Operation{r.publish(clients, name, lastMessage)})
	}
	patience := time.After(10 * time.Second)
	for _, c := range last {
		select {
		case <-c:
		case <-patience:
			r.t.Errorf("history %d: the last messages do not come", r.seed)
			return
		}
	}
	for _, p := range r.server.peers {
		for _, name := range r.names {
			p.Send(wstest.Text, "unsub:"+name)
		}
		p.flush(r.t)
		r.history.Receipts = append(r.history.Receipts, p.take()...)
	}
}

// visualize leaves a page among the artifacts, or else among temporary files, and returns its name.
func (r *recorder) visualize(info porcupine.LinearizationInfo) string {
	dir := os.Getenv("E2E_ARTIFACTS")
	if dir == "" {
		dir = os.TempDir()
	}
	file := filepath.Join(dir, strings.ToLower(strings.ReplaceAll(r.t.Name(), "/", "-"))+".html")
	if err := linear.Visualize(info, file); err != nil {
		return err.Error()
	}
	return file
}

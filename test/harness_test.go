package test

import (
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The longest tests look at fewer cases unless TANK_TESTS is "all", as in .ci/run, so that everyone may run them often.
var everyCase = os.Getenv("TANK_TESTS") == "all"

// raceDetector says that it is at work, under which some tests would take many times as long.
var raceDetector bool

// cases returns how many cases to look at.
func cases(few, all int) int {
	if everyCase {
		return all
	}
	return few
}

// sample returns as many of the tests as are few, whichever they are, or all of them.
func sample[T any](few int, tests map[string]T) map[string]T {
	for name := range tests {
		if everyCase || len(tests) <= few {
			break
		}
		delete(tests, name)
	}
	return tests
}

// bubble runs a test in a synctest bubble: time is fake, and nothing may outlive the test.
func bubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// atWill lets one client send whatever it likes as fast as it likes.
var atWill = tank.WithLimits(tank.Limits{
	MessagesPerSecond: math.MaxInt, MessageBurst: math.MaxInt,
	PingsPerSecond: math.MaxInt, PingBurst: math.MaxInt,
	Subscriptions: math.MaxInt,
})

// named is the identity of a user; of nobody when the name is empty.
func named(user string, err error) (tank.Identity, error) {
	return tank.Identity{UserID: user, Anonymous: user == ""}, err
}

// byTopic makes a publish authorizer that decides by topic, as a subscribe authorizer does.
func byTopic(allow func(*tank.Client, string) error) func(*tank.Client, *tank.Publication) error {
	return func(c *tank.Client, p *tank.Publication) error { return allow(c, p.Topic) }
}

// server is a running instance behind an HTTP server on an in-memory network.
type server struct {
	*tank.Manager
	t        *testing.T
	listener *memnet.Listener
	http     *http.Server
}

// serve starts an instance, and shuts it down when the test ends.
func serve(t *testing.T, opts ...tank.Option) *server {
	t.Helper()
	s := mount(t, tank.NewInstance(opts...))
	go s.Start()
	return s
}

// mount puts an instance that is not started yet behind an HTTP server.
func mount(t *testing.T, m *tank.Manager) *server { return mountHandler(t, m, m) }

// mountHandler is mount with a handler that leads to the instance.
func mountHandler(t *testing.T, m *tank.Manager, h http.Handler) *server {
	s := &server{Manager: m, t: t, listener: memnet.Listen()}
	s.http = &http.Server{Handler: h}
	go s.http.Serve(s.listener)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		m.Shutdown(ctx)
		s.http.Close()
	})
	return s
}

// handshake is what can be varied about an opening handshake.
type handshake struct {
	path   string
	header http.Header
	buffer int    // bytes the server can write before the peer reads
	early  []byte // sent in the same write as the handshake
}

// peer is the other end of a connection, in full control of every byte.
type peer struct {
	t    *testing.T
	conn *wstest.Conn
}

// In bytes: what the server can write to a peer before it reads, and what a peer reads ahead.
const (
	defaultBuffer = 64 << 10
	readAhead     = 4 << 10
)

// dial connects, as user name unless that is empty.
func (s *server) dial(name string) *peer {
	s.t.Helper()
	h := handshake{path: "/"}
	if name != "" {
		h.path = "/?user_id=" + name
	}
	return s.connect(h)
}

func (s *server) connect(h handshake) *peer {
	s.t.Helper()
	p, resp := s.request(h)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(resp.Body)
		s.t.Fatalf("handshake answered with %s: %s", resp.Status, body)
	}
	synctest.Wait() // the answer is sent before the client is registered
	return p
}

// request does the opening handshake and returns the answer, whatever it is.
func (s *server) request(h handshake) (*peer, *http.Response) {
	s.t.Helper()
	if h.buffer == 0 {
		h.buffer = defaultBuffer
	}
	var header strings.Builder
	h.header.Write(&header)
	conn, resp := s.raw(wstest.Handshake{Target: h.path, Header: header.String()}.String()+string(h.early), h.buffer)
	return &peer{s.t, conn}, resp
}

// raw sends a request as it is and returns the answer.
func (s *server) raw(request string, buffer int) (*wstest.Conn, *http.Response) {
	s.t.Helper()
	conn, err := s.listener.Dial(buffer)
	must(s.t, err)
	s.t.Cleanup(func() { conn.Close() })
	c := wstest.NewConn(conn, readAhead)
	resp, err := c.Do(request)
	must(s.t, err)
	return c, resp
}

const (
	opText   = wstest.Text
	opBinary = wstest.Binary
	opClose  = wstest.Close
	opPing   = wstest.Ping
	opPong   = wstest.Pong
)

// frame encodes a complete client frame.
func frame(op byte, payload string) []byte { return wstest.Masked(wstest.Fin|op, payload) }

func closeFrame(code int, reason string) []byte {
	return frame(opClose, wstest.ClosePayload(code, reason))
}

// write sends raw bytes. It fails silently: the server may have hung up, which what it sent before will tell.
func (p *peer) write(b []byte) { p.conn.Write(b) }

// send sends a text message.
func (p *peer) send(text string) { p.write(frame(opText, text)) }

// receive returns the next frame, which may not be compressed.
func (p *peer) receive() (op byte, payload string, err error) {
	f, err := p.conn.ReadFrame()
	if err == nil && f.Compressed() {
		err = fmt.Errorf("server frame starts with %#02x", f.First)
	}
	return f.Opcode(), string(f.Payload), err
}

// next returns the next data message, answering pings before it.
func (p *peer) next() (op byte, payload string) {
	p.t.Helper()
	for {
		op, payload, err := p.receive()
		switch {
		case err != nil:
			p.t.Fatalf("waiting for a message: %v", err)
		case op == opPing:
			p.write(frame(opPong, payload))
		case op == opText, op == opBinary:
			return op, payload
		default:
			p.t.Fatalf("waiting for a message: got opcode %d with %q", op, payload)
		}
	}
}

// expect fails the test unless the next message is this text.
func (p *peer) expect(text string) {
	p.t.Helper()
	if op, got := p.next(); op != opText || got != text {
		p.t.Fatalf("got message %d %q, want text %q", op, got, text)
	}
}

// expectTopic fails the test unless the next message is this one of a topic.
func (p *peer) expectTopic(topic, data string) {
	p.t.Helper()
	b, _ := json.Marshal(data)
	name, _ := json.Marshal(topic)
	p.expect(fmt.Sprintf(`{"topic":%s,"data":%s}`, name, b))
}

// expectRefusal fails the test unless the next message is a refusal with this code and topic.
func (p *peer) expectRefusal(code, topic string) {
	p.t.Helper()
	_, text := p.next()
	var refusal struct {
		Topic *string
		Error struct{ Code, Message, Topic string }
	}
	if err := json.Unmarshal([]byte(text), &refusal); err != nil {
		p.t.Fatalf("%q: %v", text, err)
	}
	e := refusal.Error
	if e.Code != code || e.Topic != topic || e.Message == "" || refusal.Topic != nil {
		p.t.Fatalf("got %s, want a refusal %s of %q", text, code, topic)
	}
}

// expectClose fails the test unless the next frames are messages, if skip allows them, and then a close frame with
// this code. It answers the close frame and expects the server to hang up.
func (p *peer) expectClose(code int) (reason string) {
	p.t.Helper()
	for {
		op, payload, err := p.receive()
		if err != nil {
			p.t.Fatalf("waiting for close %d: %v", code, err)
		}
		if op == opPing {
			continue
		}
		if op != opClose {
			p.t.Fatalf("waiting for close %d: got opcode %d with %q", code, op, payload)
		}
		if len(payload) < 2 || int(payload[0])<<8|int(payload[1]) != code {
			p.t.Fatalf("close frame has payload %q, want code %d", payload, code)
		}
		p.write(frame(opClose, payload))
		p.expectEnd()
		return payload[2:]
	}
}

// answer reads everything until the end of the connection, and answers what RFC 6455 wants answered.
func (p *peer) answer() {
	for {
		switch op, payload, err := p.receive(); {
		case err != nil:
			return
		case op == opPing:
			p.write(frame(opPong, payload))
		case op == opClose:
			p.write(frame(opClose, payload))
		}
	}
}

// expectEnd fails the test unless the server hangs up without another frame.
func (p *peer) expectEnd() {
	p.t.Helper()
	if op, payload, err := p.receive(); err == nil {
		p.t.Fatalf("got opcode %d with %q, want the end of the connection", op, payload)
	}
}

// subscribe subscribes and waits until that has happened.
func (p *peer) subscribe(s *server, topic string) {
	p.t.Helper()
	before := s.GetTopicSubscriberCount(topic)
	p.send("sub:" + topic)
	synctest.Wait()
	if got := s.GetTopicSubscriberCount(topic); got != before+1 {
		p.t.Fatalf("%q has %d subscribers, want %d", topic, got, before+1)
	}
}

// expectNothing fails the test when the peer has a message to read. Only in a bubble.
func (p *peer) expectNothing() {
	p.t.Helper()
	synctest.Wait()
	if n := p.conn.R.Buffered(); n > 0 {
		rest, _ := p.conn.R.Peek(n)
		p.t.Fatalf("got %q, want nothing", rest)
	}
	if b := p.conn.Conn.(*memnet.Conn).Buffered(); len(b) > 0 {
		p.t.Fatalf("got %q, want nothing", b)
	}
}

// event returns the next connection event.
func (s *server) event() *tank.ConnEvent {
	s.t.Helper()
	e, ok := <-s.ConnEvents
	if !ok {
		s.t.Fatal("ConnEvents is closed")
	}
	return e
}

// expectEvents fails the test unless the next events are these: "TYPE USER" or "TYPE USER TOPIC".
func (s *server) expectEvents(want ...string) {
	s.t.Helper()
	for _, w := range want {
		e := s.event()
		got := strings.TrimSpace(string(e.EventType) + " " + e.UserID + " " + e.Topic)
		if got != w {
			s.t.Fatalf("got event %q (%s), want %q", got, e.Reason, w)
		}
	}
}

// expectError fails the test unless the next error event has this code, and returns it.
func (s *server) expectError(code tank.ErrorCode) *tank.ErrorEvent {
	s.t.Helper()
	e, ok := <-s.Errors
	if !ok {
		s.t.Fatalf("Errors is closed, want code %d", code)
	}
	if e.Code != code {
		s.t.Fatalf("got error event %d %v, want code %d", e.Code, e, code)
	}
	return e
}

// expectNoEvents fails the test when an event waits that nobody has asked for.
func (s *server) expectNoErrors() {
	s.t.Helper()
	synctest.Wait()
	select {
	case e, ok := <-s.Errors:
		if ok {
			s.t.Fatalf("got error event %d %v, want none", e.Code, e)
		}
	default:
	}
}

// within returns a context that ends after d.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustBe fails the test unless err is target.
func mustBe(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got error %v, want %v", err, target)
	}
}

// serveOn runs an HTTP server on an in-memory network until the test ends.
func serveOn(t *testing.T, s *http.Server) *memnet.Listener {
	l := memnet.Listen()
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l
}

// deflate compresses a message, RFC 7692 section 7.2.1.
func deflate(t *testing.T, message string) string {
	t.Helper()
	var b strings.Builder
	w, err := flate.NewWriter(&b, flate.BestCompression)
	must(t, err)
	w.Write([]byte(message))
	must(t, w.Flush())
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

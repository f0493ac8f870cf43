package client_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/budget"
	"github.com/fanqie/tank-websocket-go-server/internal/poller"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// eachWay runs a test twice: with a goroutine for each connection, and with a poller, where the system has one.
func eachWay(t *testing.T, test func(t *testing.T, p *poller.Poller)) {
	t.Run("goroutines", func(t *testing.T) { test(t, nil) })
	if p := poller.New(); p != nil {
		t.Run("poller", func(t *testing.T) { test(t, p) })
	}
}

// newSocketPair is newPair with real sockets.
func newSocketPair(t *testing.T, p *poller.Poller) *pair {
	t.Helper()
	return dialSocketPair(t, &net.Dialer{}, func(o *client.Options) { o.Poller = p })
}

// dialSocketPair is newSocketPair with a dialer and options to choose.
func dialSocketPair(t *testing.T, dialer *net.Dialer, configure func(*client.Options)) *pair {
	t.Helper()
	p := &pair{owner: newOwner(), opts: &client.Options{
		OutboxBytes: 1 << 20, MessageBytes: 1 << 20, CloseTimeout: 5 * time.Second, Counters: &client.Counters{}, Budget: budget.New(0, nil),
	}}
	configure(p.opts)
	addr, upgraded := upgrades(t)
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if p.conn, err = wstest.Upgrade(conn, wstest.Handshake{}); err != nil {
		t.Fatal(err)
	}
	p.Client = client.New(<-upgraded, p.opts, p.owner)
	go p.Read(nil)
	return p
}

// upgrades returns the address of a server, and the connections that it has upgraded.
func upgrades(tb testing.TB) (addr string, upgraded <-chan *client.Conn) {
	return upgradesOf(tb, func(c net.Conn) net.Conn { return c })
}

// upgradesOf is upgrades of a server whose ends of connections are what wrap makes of them.
func upgradesOf(tb testing.TB, wrap func(net.Conn) net.Conn) (addr string, upgraded <-chan *client.Conn) {
	conns := make(chan *client.Conn, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := client.Upgrade(w, r, client.UpgradeOptions{})
		if err != nil {
			tb.Error(err)
		}
		conns <- c
	}))
	server.Listener = wrapping{server.Listener, wrap}
	server.Start()
	tb.Cleanup(server.Close)
	return server.Listener.Addr().String(), conns
}

// sparing takes a few bytes at a time, as no Write should, and some of middleware do.
type sparing struct{ net.Conn }

func (s sparing) Write(p []byte) (int, error) { return s.Conn.Write(p[:min(len(p), 7)]) }

func TestMiddlewareThatTakesAFewBytesAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		few := func(_ *pair, l net.Listener) net.Listener {
			return wrapping{l, func(c net.Conn) net.Conn { return sparing{c} }}
		}
		p := newPairOn(t, few, 1000, nil)
		hello := text("hello, middleware")
		p.Send(hello)
		p.expectFrames(t, string(hello.Frames[wire.V1]))
		p.Cut("end")
		<-p.gone
	})
}

// embedding is a connection of middleware that embeds a socket, and sees what is written.
type embedding struct {
	*net.TCPConn
	seen chan string
}

func (e embedding) Write(p []byte) (int, error) {
	e.seen <- string(p)
	return e.TCPConn.Write(p)
}

func TestSocketThatMiddlewareEmbedsIsNotWrittenPast(t *testing.T) {
	seen := make(chan string, 10)
	addr, upgraded := upgradesOf(t, func(c net.Conn) net.Conn { return embedding{c.(*net.TCPConn), seen} })
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := wstest.Upgrade(conn, wstest.Handshake{}); err != nil {
		t.Fatal(err)
	}
	o := newOwner()
	c := client.New(<-upgraded, &client.Options{OutboxBytes: 1000, Counters: &client.Counters{}, Budget: budget.New(0, nil)}, o)
	go c.Read(nil)
	<-seen // the handshake
	c.Send(text("hello"))
	want := string(text("hello").Frames[wire.V1])
	if _, err := io.ReadFull(conn, make([]byte, len(want))); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 || <-seen != want {
		t.Error("the middleware has not seen what was written")
	}
	c.Cut("end")
	<-o.gone
}

// masked is a client frame.
func masked(op byte, payload string) string { return string(wstest.Masked(wstest.Fin|op, payload)) }

// Whatever the pieces in which it comes, and whatever stands between messages.
func TestInputInPieces(t *testing.T) {
	const pong, text = 0xA, 1
	long := strings.Repeat("long ", 3000)
	stream := masked(pong, "") + masked(text, "1") + masked(pong, strings.Repeat("x", 125)) + masked(pong, "2") +
		masked(text, long) + masked(text, "3") + masked(pong, "") + masked(pong, "") + masked(text, "4") + masked(pong, "end")
	for _, piece := range []int{1, 2, 5, 6, 7, 130, 4095, 4096, 4097, len(stream)} {
		eachWay(t, func(t *testing.T, poller *poller.Poller) {
			p := newSocketPair(t, poller)
			go func() {
				for rest := stream; len(rest) > 0; {
					n := min(piece, len(rest))
					io.WriteString(p.conn, rest[:n])
					rest = rest[n:]
				}
			}()
			for _, want := range []string{"1", long, "3", "4"} {
				if got := <-p.received; got != "false "+want {
					t.Fatalf("in pieces of %d: got %.40q, want %.40q", piece, got, want)
				}
			}
			p.Cut("end")
			<-p.gone
		})
	}
}

func TestPongIsASignOfLife(t *testing.T) { eachWay(t, testPongIsASignOfLife) }

func testPongIsASignOfLife(t *testing.T, poller *poller.Poller) {
	p := newSocketPair(t, poller)
	p.Ping() // which takes the sign that it has just connected
	p.expectFrames(t, "\x89\x00")
	io.WriteString(p.conn, masked(0xA, ""))
	io.WriteString(p.conn, masked(1, "behind it"))
	<-p.received // so the pong was looked at; the message is a sign of its own, so:
	p.Ping()
	p.expectFrames(t, "\x89\x00")
	io.WriteString(p.conn, masked(0xA, ""))
	for !p.Ping() { // it comes, or the test's time ends
	}
	p.Cut("end")
	<-p.gone
}

// A reader that was renewed ends once, like any other.
func TestReaderEndsOnce(t *testing.T) { eachWay(t, testReaderEndsOnce) }

func testReaderEndsOnce(t *testing.T, poller *poller.Poller) {
	p := newSocketPair(t, poller)
	io.WriteString(p.conn, masked(1, "renews the reader"))
	<-p.received
	io.WriteString(p.conn, masked(1, "and goes on"))
	<-p.received
	p.conn.Close()
	if got := <-p.gone; got != "1006 connection closed without a close frame" {
		t.Errorf("gone with %q", got)
	}
	if len(p.gone) > 0 {
		t.Error("gone twice")
	}
}

// A connection that only answers the heartbeat waits with as small a stack as one that never received anything.
func TestAnsweringTheHeartbeatCostsNoStack(t *testing.T) {
	eachWay(t, testAnsweringTheHeartbeatCostsNoStack)
}

func testAnsweringTheHeartbeatCostsNoStack(t *testing.T, poller *poller.Poller) {
	const connections = 500
	pairs := make([]*pair, connections)
	for i := range pairs {
		pairs[i] = newSocketPair(t, poller)
	}
	stacks := func() uint64 {
		var m runtime.MemStats
		for range 3 { // each halves the stacks that are hardly used
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.StackInuse / connections
	}
	before := stacks()
	for _, p := range pairs {
		p.Ping()
		p.expectFrames(t, "\x89\x00")
		io.WriteString(p.conn, masked(0xA, ""))
	}
	for _, p := range pairs {
		for !p.Ping() { // until the pong is there
		}
	}
	if after := stacks(); after > before+before/4 {
		t.Errorf("stacks of %d bytes per connection, %d before", after, before)
	}
	for _, p := range pairs {
		p.Cut("end")
		<-p.gone
	}
}

// A socket that is closed with something unread on it is reset, and what it has not sent yet is lost.
func TestPanicLosesNothingThatWasWritten(t *testing.T) {
	addr, upgraded := upgrades(t)
	dialer := &net.Dialer{Control: withSmallBuffers}
	raw, err := dialer.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	conn, err := wstest.Upgrade(raw, wstest.Handshake{})
	if err != nil {
		t.Fatal(err)
	}
	o := newOwner()
	o.hold, o.panics = make(chan struct{}), true
	c := client.New(<-upgraded, &client.Options{
		OutboxBytes: 1 << 20, MessageBytes: 1000, CloseTimeout: time.Minute, Counters: &client.Counters{}, Budget: budget.New(0, nil),
	}, o)
	go c.Read(nil)
	long := text(strings.Repeat("x", 60<<10)) // more than such a peer takes before it reads
	c.Send(long)
	io.WriteString(conn, masked(1, "one"))
	<-o.received
	io.WriteString(conn, masked(1, "another"))
	close(o.hold)
	<-o.failed
	got, err := io.ReadAll(conn)
	if want := string(long.Frames[wire.V1]) + "\x88\x10\x03\xf3internal error"; err != nil || string(got) != want {
		t.Errorf("got %d bytes (%v), want %d", len(got), err, len(want))
	}
	conn.Close()
	if got := <-o.gone; got != "1011 internal error" {
		t.Errorf("gone with %q", got)
	}
}

// A peer that does not hang up has its connection until the close timeout, and not the memory of the message that it was closed for.
func TestNothingOfAMessageIsKeptWhileClosing(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		for range 2 { // behind the second, pools have nothing of before
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	pairs := make([]*pair, 20)
	for i := range pairs {
		pairs[i] = dialSocketPair(t, &net.Dialer{}, func(o *client.Options) { o.CloseTimeout, o.MessageTimeout = time.Minute, 200*time.Millisecond })
		frame := masked(2, strings.Repeat("x", 1<<20))
		io.WriteString(pairs[i].conn, frame[:len(frame)-1])
	}
	for _, p := range pairs {
		if fault := <-p.failed; fault != client.TimeoutFault {
			t.Fatal("fault", fault)
		}
	}
	after := heap()
	for end := time.Now().Add(10 * time.Second); after > before+5<<20 && time.Now().Before(end); after = heap() {
	}
	if after > before+5<<20 {
		t.Errorf("%d bytes are held", after-before)
	}
	for _, p := range pairs {
		p.Cut("end")
		<-p.gone
	}
}

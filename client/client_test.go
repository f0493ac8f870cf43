package client_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/budget"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// owner writes down what it hears.
type owner struct {
	received   chan string
	hold       chan struct{} // closed: Received returns
	panics     bool          // it panics then
	failed     chan client.Fault
	gone       chan string
	readerDone atomic.Bool
	paused     atomic.Int64 // calls of Paused
}

func newOwner() *owner {
	o := &owner{
		received: make(chan string, 100),
		hold:     make(chan struct{}),
		failed:   make(chan client.Fault, 100),
		gone:     make(chan string, 100),
	}
	close(o.hold)
	return o
}

func (o *owner) Received(data []byte, binary bool) {
	o.received <- fmt.Sprintf("%v %s", binary, data)
	<-o.hold
	if o.panics {
		panic("the owner is broken")
	}
}
func (o *owner) Paused()                        { o.paused.Add(1) }
func (o *owner) Failed(f client.Fault, _ error) { o.failed <- f }
func (o *owner) Gone(code int, reason string)   { o.gone <- fmt.Sprint(code, " ", reason) }
func (o *owner) CloseBegun()                    {}
func (o *owner) ReaderDone()                    { o.readerDone.Store(true) }

// pair is a client and the raw other end of its connection, whose reads give the server room for buffer bytes.
type pair struct {
	*client.Client
	*owner
	conn   *wstest.Conn
	opts   *client.Options
	writes chan int               // the sizes of the server's writes
	before atomic.Pointer[func()] // called before each of them
}

// recorder is a listener whose connections tell the sizes of what is written to them.
type recorder struct {
	net.Listener
	*pair
}

type recordedConn struct {
	net.Conn
	*pair
}

// NetConn and Close are those of a TLS connection whose peer does not read: saying goodbye takes 5 s.
func (c recordedConn) NetConn() net.Conn { return c.Conn }

func (c recordedConn) Close() error {
	time.Sleep(5 * time.Second)
	return c.Conn.Close()
}

func (r recorder) Accept() (net.Conn, error) {
	c, err := r.Listener.Accept()
	return recordedConn{c, r.pair}, err
}

func (c recordedConn) Write(p []byte) (int, error) {
	c.writes <- len(p)
	if before := c.before.Swap(nil); before != nil {
		(*before)()
	}
	return c.Conn.Write(p)
}

func newPair(t *testing.T, buffer int, configure func(*client.Options)) *pair {
	t.Helper()
	listen := func(p *pair, l net.Listener) net.Listener { return recorder{l, p} }
	return newPairOn(t, listen, buffer, configure)
}

// newLentPair is newPair with a connection that can be written to without blocking; its writes are not recorded.
func newLentPair(t *testing.T, buffer int, configure func(*client.Options)) *pair {
	t.Helper()
	return newPairOn(t, func(_ *pair, l net.Listener) net.Listener { return l }, buffer, configure)
}

// eachKind runs a test with both kinds of connections.
func eachKind(t *testing.T, test func(t *testing.T, newPair func(*testing.T, int, func(*client.Options)) *pair)) {
	t.Run("blocking", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, newPair) })
	})
	t.Run("lent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, newLentPair) })
	})
}

// newPairV2 is newLentPair for a peer that speaks tank.v2.
func newPairV2(t *testing.T, buffer int, configure func(*client.Options)) *pair {
	t.Helper()
	handshake := wstest.Handshake{Header: "Sec-WebSocket-Protocol: tank.v2\r\n"}
	return newPairWith(t, handshake, func(_ *pair, l net.Listener) net.Listener { return l }, buffer, configure)
}

func newPairOn(t *testing.T, listen func(*pair, net.Listener) net.Listener, buffer int, configure func(*client.Options)) *pair {
	t.Helper()
	return newPairWith(t, wstest.Handshake{}, listen, buffer, configure)
}

func newPairWith(t *testing.T, h wstest.Handshake, listen func(*pair, net.Listener) net.Listener, buffer int, configure func(*client.Options)) *pair {
	t.Helper()
	p := &pair{owner: newOwner(), opts: &client.Options{
		OutboxBytes: 1000, MessageBytes: 1000, CloseTimeout: 5 * time.Second, Counters: &client.Counters{}, Budget: budget.New(0, nil),
	}}
	if configure != nil {
		configure(p.opts)
	}
	upgraded := make(chan *client.Conn)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := client.Upgrade(w, r, client.UpgradeOptions{WriteBuffer: 100, V2: client.V2Offered})
		if err != nil {
			t.Error(err)
		}
		upgraded <- c
	})}
	listener := memnet.Listen()
	p.writes = make(chan int, 1000)
	go server.Serve(listen(p, listener))
	t.Cleanup(func() { server.Close() })
	conn, err := listener.Dial(buffer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	var c *client.Conn
	go func() { c = <-upgraded }()
	if p.conn, err = wstest.Upgrade(conn, h); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	p.Client = client.New(c, p.opts, p.owner)
	go p.Read(nil)
	return p
}

// text is a batch of one text message.
func text(s string) *wire.Batch {
	return wire.NewBatch(wire.AppendFrame(nil, wire.OpText, s), 1)
}

// expectFrames fails the test unless these bytes come next.
func (p *pair) expectFrames(t *testing.T, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p.conn, got); err != nil || string(got) != want {
		t.Fatalf("got %q (%v)\nwant %q", got[:n], err, want)
	}
}

func (p *pair) expectGone(t *testing.T, want string) {
	t.Helper()
	if got := <-p.gone; got != want {
		t.Fatalf("gone with %q, want %q", got, want)
	}
	if got, err := io.ReadAll(p.conn); err == nil && len(got) > 0 {
		t.Fatalf("%q came last", got)
	}
	synctest.Wait()
	if len(p.gone) > 0 {
		t.Fatal("gone twice")
	}
}

func (p *pair) expectFaults(t *testing.T, want ...client.Fault) {
	t.Helper()
	synctest.Wait()
	var got []client.Fault
	for len(p.failed) > 0 {
		got = append(got, <-p.failed)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("faults are %v, want %v", got, want)
	}
}

var peerClose = []byte{0x88, 0x82, 0, 0, 0, 0, 1000 >> 8, 1000 & 0xff}

func TestCloseComesBehindWhatWasDelivered(t *testing.T) {
	eachKind(t, func(t *testing.T, newPair func(*testing.T, int, func(*client.Options)) *pair) {
		p := newPair(t, 4, nil)
		want := ""
		for i := range 20 {
			b := text(fmt.Sprint("message ", i))
			if !p.Send(b) {
				t.Fatal("refused")
			}
			want += string(b.Frames[wire.V1])
		}
		if !p.Close(wire.Close{Code: 4000, Reason: "bye"}) || p.Close(wire.Close{Code: 4001, Reason: "again"}) {
			t.Fatal("the first Close has to count, and no other")
		}
		if p.Send(text("too late")) {
			t.Fatal("delivered behind Close")
		}
		p.expectFrames(t, want+"\x88\x05\x0f\xa0bye")
		p.conn.Write(peerClose)
		p.expectGone(t, "4000 bye")
		p.expectFaults(t)
		if c := p.opts.Counters; c.Out.Messages() != 20 || c.Dropped.Load() != 1 || c.Out.Bytes() != uint64(len(want)+7) {
			t.Fatalf("counted %d messages, %d bytes, %d dropped", c.Out.Messages(), c.Out.Bytes(), c.Dropped.Load())
		}
		if p.Queued() != 0 {
			t.Fatalf("%d bytes are queued", p.Queued())
		}
	})
}

func TestOutboxLimitCountsWhatIsNotYetWritten(t *testing.T) {
	eachKind(t, func(t *testing.T, newPair func(*testing.T, int, func(*client.Options)) *pair) {
		p := newPair(t, 1, nil)
		if !p.Send(text(strings.Repeat("x", 5000))) {
			t.Fatal("a batch over the limit was refused by an empty outbox")
		}
		synctest.Wait() // being written now
		if p.Send(text("x")) {
			t.Fatal("accepted although the limit is passed")
		}
		p.expectFaults(t, client.SlowFault)
		if got := <-p.gone; got != "1013 slow client" {
			t.Fatalf("gone with %q", got)
		}
		if c := p.opts.Counters; c.Evicted.Load() != 1 || c.Dropped.Load() != 2 || p.Queued() != 0 {
			t.Fatalf("counted %d evicted, %d dropped, %d queued", c.Evicted.Load(), c.Dropped.Load(), p.Queued())
		}
	})
}

func TestOutboxTakesWhatTheLimitAllows(t *testing.T) {
	eachKind(t, func(t *testing.T, newPair func(*testing.T, int, func(*client.Options)) *pair) {
		p := newPair(t, 1, nil)
		for range 10 {
			if !p.Send(text(strings.Repeat("x", 98))) {
				t.Fatal("refused below the limit")
			}
		}
		if p.Queued() != 1000 {
			t.Fatalf("%d bytes are queued", p.Queued())
		}
		go io.Copy(io.Discard, p.conn)
		synctest.Wait()
		if p.Queued() != 0 || p.Closing() {
			t.Fatalf("%d bytes are queued behind a peer that reads", p.Queued())
		}
		p.Cut("end")
	})
}

// A socket takes as much of a frame as it likes; a ping behind it must not get into the middle.
func TestPingDoesNotGetIntoAFrameWrittenInPart(t *testing.T) {
	eachKind(t, func(t *testing.T, newPair func(*testing.T, int, func(*client.Options)) *pair) {
		p := newPair(t, 10, nil)
		first, second := text(strings.Repeat("a", 50)), text("b")
		p.Send(first)
		synctest.Wait() // 10 bytes are with the peer
		p.Ping()
		p.Send(second)
		synctest.Wait()
		p.expectFrames(t, string(first.Frames[wire.V1])+"\x89\x00"+string(second.Frames[wire.V1]))
		synctest.Wait()
		if p.Queued() != 0 {
			t.Errorf("%d bytes are queued", p.Queued())
		}
		p.Send(second) // the client is as good as before
		p.expectFrames(t, string(second.Frames[wire.V1]))
		p.Cut("end")
	})
}

// The socket takes the first of two batches and not all of the second.
func TestSecondOfTwoBatchesHasToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLentPair(t, 60, nil)
		first, second := text(strings.Repeat("a", 50)), text(strings.Repeat("b", 50))
		p.Deliver(first)
		p.Deliver(second)
		p.Flush()
		if held := p.opts.Budget.Held(); held < 52 || held > int64(3*64+2*wire.BatchOverhead) {
			t.Errorf("%d bytes are held", held)
		}
		p.expectFrames(t, string(first.Frames[wire.V1])+string(second.Frames[wire.V1]))
		synctest.Wait()
		if held := p.opts.Budget.Held(); held != 0 {
			t.Errorf("%d bytes are held at the end", held)
		}
		p.expectFaults(t)
		p.Cut("end")
	})
}

func TestRunIsForTheOneWhoFoundTheClientIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLentPair(t, 1000, nil)
		if taken, idle := p.Deliver(text("1")); !taken || !idle {
			t.Fatalf("the first: taken %v, idle %v", taken, idle)
		}
		if taken, idle := p.Deliver(text("2")); !taken || idle {
			t.Fatalf("the second: taken %v, idle %v", taken, idle)
		}
		synctest.Wait()
		if p.Queued() == 0 {
			t.Fatal("somebody else has written it")
		}
		p.Flush() // in this goroutine
		if p.Queued() != 0 {
			t.Fatalf("%d bytes are queued after Run", p.Queued())
		}
		p.expectFrames(t, string(text("1").Frames[wire.V1])+string(text("2").Frames[wire.V1]))
		p.Cut("end")
	})
}

func TestCutEndsABlockedWriteAtOnce(t *testing.T) {
	eachKind(t, func(t *testing.T, newPair func(*testing.T, int, func(*client.Options)) *pair) {
		p := newPair(t, 1, nil)
		p.Send(text("xxxxxxxx"))
		synctest.Wait()
		began := time.Now()
		p.Cut("no more")
		p.Cut("again")
		if got := <-p.gone; got != "1006 no more" || time.Since(began) != 0 {
			t.Fatalf("gone with %q after %v", got, time.Since(began))
		}
		p.expectFaults(t)
		if !p.readerDone.Load() {
			t.Fatal("the reader runs on")
		}
	})
}

func TestCutDoesNotWaitForTLSToSayGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 1000, nil)
		began := time.Now()
		p.Cut("no more")
		<-p.gone
		if took := time.Since(began); took != 0 {
			t.Fatalf("gone after %v", took)
		}
	})
}

func TestCleanEndSaysGoodbyeInTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 1000, nil)
		began := time.Now()
		p.conn.Write(peerClose)
		<-p.gone
		if took := time.Since(began); took != 5*time.Second {
			t.Fatalf("gone after %v, want it to be behind the goodbye", took)
		}
	})
}

// hiding is a connection of middleware that hides the one with TLS below it.
type hiding struct{ net.Conn }

// Close and CloseWrite are those of TLS whose peer does not read.
func (h hiding) Close() error {
	time.Sleep(5 * time.Second)
	return h.Conn.Close()
}

func (h hiding) CloseWrite() error {
	time.Sleep(5 * time.Second)
	return nil
}

// Whoever delivers may be the one who closes the socket, and has others to deliver to.
func TestWhoeverDeliversDoesNotWaitForAGoodbye(t *testing.T) {
	for name, end := range map[string]func(*pair){
		"cut":            func(p *pair) { p.Cut("end") },
		"protocol error": func(p *pair) { p.conn.Write([]byte{0x83, 0x80}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPairOn(t, func(_ *pair, l net.Listener) net.Listener {
					return wrapping{l, func(c net.Conn) net.Conn { return hiding{c} }}
				}, 1000, nil)
				began := time.Now()
				if _, idle := p.Deliver(text("x")); !idle {
					t.Fatal("somebody else writes")
				}
				end(p)
				synctest.Wait()
				p.Flush()
				synctest.Wait()
				p.Lag("topic") // which waits for the actor
				if took := time.Since(began); took != 0 {
					t.Errorf("whoever delivers has waited for %v", took)
				}
				p.conn.Close()
				<-p.gone
			})
		})
	}
}

func TestPeerThatStallsIsCutAtTheCloseTimeout(t *testing.T) {
	for name, sent := range map[string][]byte{
		"silent":                     nil,
		"in mid frame":               {0x81, 0x8f, 0, 0, 0, 0, 'x'},
		"in mid control frame":       {0x89, 0x8f, 0, 0, 0, 0, 'x'},
		"behind a protocol error":    {0x83},
		"never done with a fragment": {0x01, 0x81, 0, 0, 0, 0, 'x'},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t, 1000, nil)
				p.conn.Write(sent)
				synctest.Wait()
				began := time.Now()
				p.Close(wire.Close{Code: 4000})
				<-p.gone
				if took := time.Since(began); took != 5*time.Second {
					t.Fatalf("cut after %v, want the close timeout of 5s", took)
				}
				synctest.Wait()
				if !p.readerDone.Load() {
					t.Fatal("the reader runs on")
				}
			})
		})
	}
}

// A callback may close the client and then panic: the peer answers, and waits for the end.
func TestPanicBehindCloseDoesNotHoldUpTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 1000, nil)
		p.hold, p.panics = make(chan struct{}), true
		p.conn.Write([]byte{0x81, 0x81, 0, 0, 0, 0, 'x'})
		<-p.received
		p.Close(wire.Close{Code: 4000})
		began := time.Now()
		close(p.hold)
		p.expectFrames(t, "\x88\x02\x0f\xa0")
		p.conn.Write(peerClose)
		<-p.gone
		if took := time.Since(began); took > 0 {
			t.Errorf("gone after %v", took)
		}
	})
}

func TestGoneDoesNotWaitForAnOwnerThatIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 1000, nil)
		p.hold = make(chan struct{})
		p.conn.Write([]byte{0x81, 0x81, 0, 0, 0, 0, 'x'})
		if got := <-p.received; got != "false x" {
			t.Fatalf("received %q", got)
		}
		p.Close(wire.Close{Code: 4000})
		<-p.gone
		if p.readerDone.Load() {
			t.Fatal("the reader was done while its owner was busy")
		}
		close(p.hold)
		synctest.Wait()
		if !p.readerDone.Load() {
			t.Fatal("the reader runs on")
		}
	})
}

func TestFailedWriteIsReportedOnceAndEndsTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 1, nil)
		p.Send(text("xxxxxxxx"))
		synctest.Wait()
		p.conn.Close()
		<-p.gone
		synctest.Wait()
		if len(p.failed) != 1 { // reading or writing, whichever notices first
			t.Fatalf("%d faults were reported", len(p.failed))
		}
	})
}

// opaque is a listener whose connections do not know what has arrived.
type opaque struct{ net.Listener }

func (l opaque) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return struct{ net.Conn }{c}, err
}

func TestReapSparesWhoeverShowedASignOfLifeOrCannotBeHeard(t *testing.T) {
	for name, listen := range map[string]func(*pair, net.Listener) net.Listener{
		"arrivals are known":   func(_ *pair, l net.Listener) net.Listener { return l },
		"arrivals are unknown": func(_ *pair, l net.Listener) net.Listener { return opaque{l} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pong := []byte{0x8a, 0x80, 0, 0, 0, 0}
				p := newPairOn(t, listen, 1000, nil)
				p.Reap() // never pinged
				p.Ping()
				synctest.Wait()
				p.expectFrames(t, "\x89\x00")
				p.conn.Write(pong)
				synctest.Wait()
				p.Reap() // answered
				p.hold = make(chan struct{})
				p.conn.Write([]byte{0x81, 0x81, 0, 0, 0, 0, 'x'})
				<-p.received
				p.Ping()
				if name == "arrivals are known" {
					p.conn.Write(pong)
				}
				p.Reap() // busy
				close(p.hold)
				synctest.Wait()
				p.Reap() // just back
				p.expectFaults(t)
				p.Ping()
				p.Reap()
				p.expectFaults(t, client.HeartbeatFault)
				if got := <-p.gone; got != "1006 heartbeat timeout" {
					t.Fatalf("gone with %q", got)
				}
			})
		})
	}
}

// While fragments wait for the rate, a pong would wait behind them.
func TestReapSparesWhoseFragmentsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairOn(t, func(_ *pair, l net.Listener) net.Listener { return opaque{l} }, 1000, func(o *client.Options) {
			o.Messages = client.Rate{PerSecond: 1, Burst: 1}
		})
		io.WriteString(p.conn, unfinished(2*64))
		for wait := time.Second; wait > 0; wait -= 100 * time.Millisecond {
			synctest.Wait()
			p.Ping()
			p.Reap() // cannot be heard
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		p.Reap() // just back
		p.expectFaults(t)
		p.Ping()
		p.Reap()
		p.expectFaults(t, client.HeartbeatFault)
		<-p.gone
	})
}

func TestWriteThatDoesNotBlockIsNoSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 1000, nil)
		p.Ping()
		synctest.Wait()
		inTheMiddle := func() { p.Ping() }
		p.before.Store(&inTheMiddle)
		p.Send(text("x"))
		synctest.Wait()
		p.Reap()
		p.expectFaults(t, client.HeartbeatFault)
	})
}

func TestPingOvertakesWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 1, nil)
		p.Send(text("being written"))
		synctest.Wait()
		p.Send(text("queued"))
		p.Ping()
		p.expectFrames(t, "\x81\x0dbeing written"+"\x89\x00"+"\x81\x06queued")
		p.Cut("end")
	})
}

// A session is pinged when the heartbeat comes to it, which may be before its hello is written.
func TestHeartbeatDoesNotOvertakeWhatTheSocketTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPairV2(t, 1000, nil)
		hello := wire.AppendFrame(nil, wire.OpText, `{"hello":{}}`)
		if _, idle := p.Deliver(wire.NewAnswers(wire.V2, hello, 1)); !idle {
			t.Fatal("somebody else writes")
		}
		p.Ping()
		p.Flush()
		p.expectFrames(t, string(hello)+"\x89\x00"+"\x81\x02{}")
		p.Cut("end")
	})
}

// The answer to a peer's ping, which comes before the ping, is not taken for it.
func TestRTTBeginsWithThePingItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLentPair(t, 10, nil)
		long := text(strings.Repeat("x", 50))
		p.Deliver(long)
		io.WriteString(p.conn, masked(9, ""))
		synctest.Wait() // the answer waits for whoever delivers
		p.Ping()
		p.Flush()
		time.Sleep(5 * time.Second) // for which the peer does not read
		p.expectFrames(t, "\x8a\x00"+string(long.Frames[wire.V1])+"\x89\x00")
		time.Sleep(time.Second)
		io.WriteString(p.conn, masked(0xA, ""))
		synctest.Wait()
		if p.RTT() != time.Second {
			t.Errorf("RTT is %v of a peer that takes a second", p.RTT())
		}
		p.Cut("end")
		<-p.gone
	})
}

// A pong may wait behind many messages, none of which takes long.
func TestRTTIsNotThatOfManyMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newLentPair(t, 1000, nil)
		p.hold = make(chan struct{})
		for _, messages := range []int{1, 50, 500, 1} { // at once: some 70 are read at a time
			p.Ping()
			time.Sleep(time.Second)
			io.WriteString(p.conn, strings.Repeat(masked(1, "m"), messages)+masked(0xA, ""))
			for range messages {
				<-p.received
				time.Sleep(9 * time.Millisecond)
				p.hold <- struct{}{}
			}
			synctest.Wait()
			if least := time.Second; p.RTT() < least || p.RTT() > least+10*time.Millisecond {
				t.Errorf("behind %d messages, RTT is %v of a peer that takes a second", messages, p.RTT())
			}
		}
		p.Cut("end")
		<-p.gone
	})
}

func TestMessagesAreJoinedUpToTheWriteBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, 1, func(o *client.Options) { o.OutboxBytes = 1 << 20 })
		want := ""
		for i := range 100 {
			b := text(strings.Repeat("x", i*7%250))
			p.Send(b)
			want += string(b.Frames[wire.V1])
		}
		p.expectFrames(t, want)
		p.Cut("end")
		<-p.writes // the handshake
		writes := len(p.writes)
		for len(p.writes) > 0 {
			if n := <-p.writes; n > 4+250 {
				t.Errorf("%d bytes in one write: more than the write buffer or one message", n)
			}
		}
		if writes > 90 {
			t.Fatalf("%d writes for 100 messages", writes)
		}
	})
}

// What the owner has put off comes before the answer to a ping: a peer that has the pong knows that all before it was looked at.
func TestOwnerPausesBeforeAPong(t *testing.T) {
	eachKind(t, func(t *testing.T, newPair func(*testing.T, int, func(*client.Options)) *pair) {
		p := newPair(t, 1000, nil)
		p.hold = make(chan struct{})
		go io.WriteString(p.conn, masked(1, "before")+masked(9, "?")+masked(1, "behind"))
		<-p.received
		before := p.paused.Load()
		p.hold <- struct{}{}
		if got := <-p.received; got != "false behind" {
			t.Errorf("got %q", got)
		}
		if paused := p.paused.Load() - before; paused != 1 {
			t.Errorf("the owner paused %d times between two messages, want once, for the ping", paused)
		}
		p.expectFrames(t, "\x8a\x01?")
		close(p.hold)
		p.conn.Close()
		<-p.gone
	})
}

// The fragments of a message that wait for the rate do not make the message wait for as long again.
func TestManyFragmentsWaitOnce(t *testing.T) {
	limit := func(o *client.Options) { o.Messages = client.Rate{PerSecond: 1, Burst: 1} }
	eachKind(t, func(t *testing.T, newPair func(*testing.T, int, func(*client.Options)) *pair) {
		p := newPair(t, 1000, limit)
		began := time.Now()
		go io.WriteString(p.conn, unfinished(2*64-1)+masked(0, ""))
		<-p.received
		if took := time.Since(began); took != 2*time.Second { // three events, the first of which is free: 64 fragments twice, and a message
			t.Errorf("the message took %v", took)
		}
		p.conn.Close()
		<-p.gone
	})
}

// A peer that sends many messages, or a message in many fragments, is read from more slowly. Its pings, which keep to their rate, wait
// behind these, and come all at once.
func TestPingsBehindManyMessagesAreNotTooMany(t *testing.T) {
	limit := func(o *client.Options) {
		o.Messages, o.Pings = client.Rate{PerSecond: 20, Burst: 1}, client.Rate{PerSecond: 10, Burst: 5}
	}
	for what, frames := range map[string]string{ // 60 events, which take 3 s
		"messages":  strings.Repeat(masked(1, "m"), 60),
		"fragments": unfinished(60*64-1) + masked(0, ""),
	} {
		t.Run(what, func(t *testing.T) {
			eachKind(t, func(t *testing.T, newPair func(*testing.T, int, func(*client.Options)) *pair) {
				p := newPair(t, 1000, limit)
				go io.Copy(io.Discard, p.conn)
				go func() {
					io.WriteString(p.conn, frames)
					for range 25 {
						io.WriteString(p.conn, masked(9, ""))
						time.Sleep(110 * time.Millisecond)
					}
				}()
				time.Sleep(4 * time.Second)
				p.expectFaults(t)
				go io.WriteString(p.conn, strings.Repeat(masked(9, ""), 10)) // and none of that time is left
				synctest.Wait()
				p.expectFaults(t, client.PingFault)
				p.conn.Close()
				<-p.gone
			})
		})
	}
}

// unfinished is a message of which so many fragments have come behind its first, and not the last.
func unfinished(n int) string {
	return string(wstest.Masked(wstest.Text, "m")) + strings.Repeat(string(wstest.Masked(0, "")), n)
}

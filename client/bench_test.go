package client_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/budget"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// drain is the server's end of a connection whose peer takes everything at once.
type drain struct {
	net.Conn
	open    atomic.Bool // the handshake is done
	written atomic.Int64
}

func (d *drain) Write(p []byte) (int, error) {
	if !d.open.Load() {
		return d.Conn.Write(p)
	}
	d.written.Add(int64(len(p)))
	return len(p), nil
}

// lentDrain can be written to without blocking.
type lentDrain struct{ *drain }

func (d lentDrain) TryWrite(p []byte) (int, error) { return d.Write(p) }

// once is a listener for one connection.
type once struct {
	*memnet.Listener
	wrap func(net.Conn) net.Conn
}

func (o once) Accept() (net.Conn, error) {
	c, err := o.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return o.wrap(c), nil
}

// silent is an owner that does nothing.
type silent struct{ gone chan struct{} }

func (silent) Received([]byte, bool)      {}
func (silent) Paused()                    {}
func (silent) Failed(client.Fault, error) {}
func (s silent) Gone(int, string)         { close(s.gone) }
func (silent) ReaderDone()                {}
func (silent) CloseBegun()                {}

// clogged is the server's end of a connection whose peer takes nothing once the handshake is done.
type clogged struct {
	net.Conn
	open atomic.Bool
}

func (c *clogged) TryWrite(p []byte) (int, error) { return 0, nil }

func (c *clogged) Write(p []byte) (int, error) {
	if !c.open.Load() {
		return c.Conn.Write(p)
	}
	return 0, c.wait()
}

// wait blocks until the connection is closed.
func (c *clogged) wait() error {
	_, err := c.Conn.Read(make([]byte, 1))
	return err
}

// benchStuckClient is a client of a peer that takes nothing.
func benchStuckClient(b *testing.B, policy client.Policy, outbox int) *client.Client {
	b.Helper()
	d := &clogged{}
	c := benchClientOn(b, func(c net.Conn) net.Conn {
		d.Conn = c
		return d
	}, &client.Options{Policy: policy, OutboxBytes: outbox, MessageBytes: 1 << 10, Counters: &client.Counters{}, Budget: budget.New(0, nil)})
	d.open.Store(true)
	return c
}

// benchClient is a client of a peer that takes everything at once.
func benchClient(b *testing.B, lent bool) (*client.Client, *drain) {
	b.Helper()
	d := &drain{}
	c := benchClientOn(b, func(c net.Conn) net.Conn {
		d.Conn = c
		if lent {
			return lentDrain{d}
		}
		return d
	}, &client.Options{OutboxBytes: 1 << 30, MessageBytes: 1 << 10, Counters: &client.Counters{}, Budget: budget.New(0, nil)})
	d.open.Store(true)
	return c, d
}

// benchClientOn is a client of a connection that is wrapped.
func benchClientOn(b *testing.B, wrap func(net.Conn) net.Conn, opts *client.Options) *client.Client {
	b.Helper()
	listener := once{memnet.Listen(), wrap}
	upgraded := make(chan *client.Conn, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := client.Upgrade(w, r, client.UpgradeOptions{})
		if err != nil {
			b.Error(err)
		}
		upgraded <- c
	})}
	go server.Serve(listener)
	b.Cleanup(func() { server.Close() })
	conn, err := listener.Dial(64 << 10)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	if _, err := wstest.Upgrade(conn, wstest.Handshake{}); err != nil {
		b.Fatal(err)
	}
	end := silent{make(chan struct{})}
	c := client.New(<-upgraded, opts, end)
	b.Cleanup(func() {
		c.Cut("end")
		<-end.gone
	})
	return c
}

// BenchmarkOutbox measures a batch from Deliver to the socket, which costs nothing here: one batch at a time, and a
// hundred that pile up.
func BenchmarkOutbox(b *testing.B) {
	batch := wire.NewBatch(wire.AppendFrame(nil, wire.OpText, strings.Repeat("x", 128)), 1)
	for _, lent := range []bool{true, false} {
		for _, pile := range []int{1, 100} {
			b.Run(fmt.Sprintf("lent=%v/pile=%d", lent, pile), func(b *testing.B) {
				c, d := benchClient(b, lent)
				before, delivered := d.written.Load(), 0
				b.ReportAllocs()
				for b.Loop() {
					idle := false
					for range pile { // the writer of the pile before may come to rest at any of them
						_, now := c.Deliver(batch)
						idle = idle || now
					}
					delivered += pile
					if idle {
						c.Flush()
					}
					for c.Queued() > 0 { // it is a goroutine of its own that writes
					}
				}
				if got, want := d.written.Load()-before, int64(delivered*len(batch.Frames[wire.V1])); got != want {
					b.Fatalf("%d bytes written, want %d", got, want)
				}
				b.ReportMetric(float64(delivered)/b.Elapsed().Seconds(), "batches/s")
			})
		}
	}
}

// counting is an owner that counts messages.
type counting struct {
	silent
	want int
	n    int
	done chan struct{} // is closed when there are so many
}

func (c *counting) Received([]byte, bool) {
	if c.n++; c.n == c.want {
		close(c.done)
	}
}

// BenchmarkReceive measures messages from a socket to the owner. Whoever sends them does a system call for each 64 KiB.
func BenchmarkReceive(b *testing.B) {
	for _, size := range []int{16, 1 << 10, 16 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			addr, upgraded := upgrades(b)
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			if _, err := wstest.Upgrade(conn, wstest.Handshake{}); err != nil {
				b.Fatal(err)
			}
			frame := wstest.Masked(wstest.Fin|wstest.Text, strings.Repeat("x", size))
			each := max(1, 64<<10/len(frame))
			chunk := bytes.Repeat(frame, each)
			b.ReportAllocs()
			b.ResetTimer()
			n := (b.N + each - 1) / each * each
			owner := &counting{silent: silent{make(chan struct{})}, want: n, done: make(chan struct{})}
			c := client.New(<-upgraded, &client.Options{OutboxBytes: 1 << 20, MessageBytes: 1 << 20, MessageTimeout: time.Minute, Counters: &client.Counters{}, Budget: budget.New(0, nil)}, owner)
			go c.Read(nil)
			for range n / each {
				if _, err := io.Copy(conn, bytes.NewReader(chunk)); err != nil {
					b.Fatal(err)
				}
			}
			<-owner.done
			b.StopTimer()
			c.Cut("end")
			<-owner.gone
		})
	}
}

// BenchmarkShared measures batches to 64 clients in a row, one after the other, as a topic flushes them, on each processor.
func BenchmarkShared(b *testing.B) {
	const inARow = 64
	batch := wire.NewBatch(wire.AppendFrame(nil, wire.OpText, strings.Repeat("x", 128)), 1)
	opts := &client.Options{OutboxBytes: 1 << 30, MessageBytes: 1 << 10, Counters: &client.Counters{}, Budget: budget.New(0, nil)}
	rows := make(chan []*client.Client, runtime.GOMAXPROCS(0))
	for range cap(rows) {
		var row []*client.Client
		for range inARow {
			d := &drain{}
			row = append(row, benchClientOn(b, func(c net.Conn) net.Conn {
				d.Conn = c
				return lentDrain{d}
			}, opts))
			d.open.Store(true)
		}
		rows <- row
	}
	b.RunParallel(func(pb *testing.PB) {
		row := <-rows
		for i := 0; pb.Next(); i++ {
			row[i%inARow].Send(batch)
		}
	})
	if got := opts.Counters.Out.Messages(); got != uint64(b.N) {
		b.Fatalf("%d of %d messages written", got, b.N)
	}
}

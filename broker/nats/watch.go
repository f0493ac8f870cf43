package natsbroker

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// What Prepare sets where the options have the values of nats.GetDefaultOptions.
const (
	reconnectWait  = 50 * time.Millisecond
	pingInterval   = 2 * time.Second
	flusherTimeout = 2 * time.Second
)

// Prepare is a nats.Option: it makes a connection fit for [Options.Conn], and comes after all other options. It
//
//   - sets AllowReconnect, MaxReconnects(-1), RetryOnFailedConnect(true), IgnoreAuthErrorAbort and ReconnectBufSize(-1), so that
//     the connection tries for ever, and nothing is kept for a later connection;
//   - sets ReconnectWait and ReconnectJitter to 50 ms, PingInterval to 2 s and FlusherTimeout to 2 s, unless they have other values than
//     the defaults of NATS;
//   - wraps the dialer, the in-process server and the handlers. They are called as before. Handlers that are set later, by methods
//     of nats.Conn, take the place of these, and the Broker does not notice any more what happens to the connection.
//
// It refuses NoEcho: an instance gets its own publications from the server. New prepares the connections that a Broker makes itself.
func Prepare(o *nats.Options) error {
	if _, is := o.CustomDialer.(*watch); is {
		return errors.New("natsbroker: a connection is prepared once")
	}
	if o.NoEcho {
		return errors.New("natsbroker: NoEcho: an instance gets its own publications from the server")
	}
	o.AllowReconnect, o.MaxReconnect, o.ReconnectBufSize = true, -1, -1
	o.RetryOnFailedConnect, o.IgnoreAuthErrorAbort = true, true
	defaults := nats.GetDefaultOptions()
	replaceDefault(&o.ReconnectWait, defaults.ReconnectWait, reconnectWait)
	replaceDefault(&o.ReconnectJitter, defaults.ReconnectJitter, reconnectWait)
	replaceDefault(&o.ReconnectJitterTLS, defaults.ReconnectJitterTLS, reconnectWait)
	replaceDefault(&o.PingInterval, defaults.PingInterval, pingInterval)
	replaceDefault(&o.FlusherTimeout, defaults.FlusherTimeout, flusherTimeout)
	w := &watch{dial: dialOf(o)}
	if skip, is := o.CustomDialer.(interface{ SkipTLSHandshake() bool }); is {
		w.skipTLS = skip.SkipTLSHandshake
	}
	o.CustomDialer, o.InProcessServer = w, nil
	w.handle(o)
	return nil
}

func replaceDefault(d *time.Duration, of, by time.Duration) {
	if *d == of || *d == 0 {
		*d = by
	}
}

func dialOf(o *nats.Options) func(network, address string) (net.Conn, error) {
	switch {
	case o.InProcessServer != nil:
		server := o.InProcessServer
		return func(string, string) (net.Conn, error) { return server.InProcessConn() }
	case o.CustomDialer != nil:
		return o.CustomDialer.Dial
	case o.Dialer != nil:
		return o.Dialer.Dial
	}
	timeout := o.Timeout
	if timeout == 0 {
		timeout = nats.DefaultTimeout
	}
	return (&net.Dialer{Timeout: timeout}).Dial
}

// watch is the dialer of a connection. NATS calls it between the end of one network connection, whose messages have all been passed on
// by then, and the beginning of the next: nothing else tells the two apart, because handlers are called some time later. It also closes a
// network connection after a failed write, which NATS now and then goes on with, though bytes are missing.
type watch struct {
	dial    func(network, address string) (net.Conn, error)
	skipTLS func() bool

	alive atomic.Uint64 // number of the network connection that there is; 0: none

	mu      sync.Mutex
	owner   *Broker // that the connection serves; nil: none
	dials   uint64
	cut     uint64 // the dial before which the owner was told last
	conn    *watched
	failed  error // of the last write or dial that failed; nil: told
	dialled bool  // the last dial made a network connection, or one before it of whose end the owner was not told
}

// Dial implements nats.CustomDialer.
func (w *watch) Dial(network, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dials++
	id, owner, cut := w.dials, w.owner, w.dialled
	w.dialled = false
	cut = cut && owner != nil
	if cut {
		w.cut = id
	}
	w.mu.Unlock()
	if cut {
		owner.putCut(id)
	}
	conn, err := w.dial(network, address)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failed = err
		return nil, err
	}
	w.conn, w.dialled = newWatched(conn, w, id), true
	w.alive.Store(id)
	return w.conn, nil
}

// SkipTLSHandshake is what NATS asks a dialer.
func (w *watch) SkipTLSHandshake() bool { return w.skipTLS != nil && w.skipTLS() }

// serve makes a Broker the owner of the connection.
func (w *watch) serve(b *Broker) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.owner != nil && w.owner != b {
		return errors.New("natsbroker: this connection serves another Broker already")
	}
	w.owner, w.cut = b, 0
	return nil
}

func (w *watch) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.owner = nil
}

// count returns the number of the last dial, and of the last that the owner was told of.
func (w *watch) count() (dials, cut uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials, w.cut
}

// context returns one that ends with the network connection of that number.
func (w *watch) context(id uint64) context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil && w.conn.id == id {
		return w.conn.ctx
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// end closes the network connection with that number, if it is still there.
func (w *watch) end(id uint64, cause error) {
	w.mu.Lock()
	conn := w.conn
	w.mu.Unlock()
	if conn != nil && conn.id == id {
		conn.fail(cause)
	}
}

// because is the cause of a disconnect: a write that failed says more than what NATS found afterwards.
func (w *watch) because(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != nil && (err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, nats.ErrNoServers)) {
		err, w.failed = w.failed, nil
	}
	if err == nil {
		err = errors.New("natsbroker: the connection has ended")
	}
	return err
}

// tell passes an event on to the owner.
func (w *watch) tell(kind eventKind, err error) {
	w.mu.Lock()
	owner := w.owner
	w.mu.Unlock()
	if owner != nil {
		owner.events.put(event{kind, err})
	}
}

// handle wraps the handlers of a connection.
func (w *watch) handle(o *nats.Options) {
	connected, reconnected, closed := o.ConnectedCB, o.ReconnectedCB, o.ClosedCB
	disconnected, old, failed, async := o.DisconnectedErrCB, o.DisconnectedCB, o.ReconnectErrCB, o.AsyncErrorCB
	o.ConnectedCB = func(nc *nats.Conn) { w.tell(eventUp, nil); call(connected, nc) }
	o.ReconnectedCB = func(nc *nats.Conn) { w.tell(eventUp, nil); call(reconnected, nc) }
	o.ClosedCB = func(nc *nats.Conn) { w.tell(eventClosed, nc.LastError()); call(closed, nc) }
	o.DisconnectedErrCB = func(nc *nats.Conn, err error) {
		w.tell(eventDown, err)
		if disconnected != nil {
			disconnected(nc, err)
		} else {
			call(old, nc)
		}
	}
	o.ReconnectErrCB = func(nc *nats.Conn, err error) {
		w.tell(eventFailed, err)
		if failed != nil {
			failed(nc, err)
		}
	}
	o.AsyncErrorCB = func(nc *nats.Conn, sub *nats.Subscription, err error) {
		w.mu.Lock()
		owner := w.owner
		w.mu.Unlock()
		ours := owner != nil && owner.reported(sub, err)
		if !ours && async != nil {
			async(nc, sub, err)
		}
	}
}

func call(handler nats.ConnHandler, nc *nats.Conn) {
	if handler != nil {
		handler(nc)
	}
}

// watched is a network connection.
type watched struct {
	net.Conn
	watch *watch
	id    uint64
	ctx   context.Context // ends with the connection
	over  context.CancelFunc
}

func newWatched(conn net.Conn, w *watch, id uint64) *watched {
	ctx, cancel := context.WithCancel(context.Background())
	return &watched{conn, w, id, ctx, cancel}
}

func (c *watched) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil {
		c.fail(err)
	}
	return n, err
}

// Read waits until the Broker has room for what it may return. NATS would drop messages, where TCP can slow the server down.
func (c *watched) Read(b []byte) (int, error) {
	c.watch.mu.Lock()
	owner := c.watch.owner
	c.watch.mu.Unlock()
	if owner != nil {
		owner.awaitRoom()
	}
	return c.Conn.Read(b)
}

// Close is also how NATS ends a connection, before it tells anybody.
func (c *watched) Close() error {
	c.watch.alive.CompareAndSwap(c.id, 0)
	c.over()
	return c.Conn.Close()
}

// fail closes the connection, whose end is noticed by the goroutine of NATS that reads.
func (c *watched) fail(cause error) {
	if c.watch.alive.CompareAndSwap(c.id, 0) {
		c.watch.mu.Lock()
		c.watch.failed = cause
		c.watch.mu.Unlock()
	}
	c.over()
	_ = c.Conn.Close()
}

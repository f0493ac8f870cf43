// Package memnet is an in-memory network for tests: connections with a read buffer of a chosen size, so that a peer
// that does not read fills it up at a known point, and deadlines that follow the fake time of a synctest bubble.
package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Addr is the address of everything in memory.
type Addr struct{}

func (Addr) Network() string { return "mem" }
func (Addr) String() string  { return "memory:1" }

// Listener accepts the connections that Dial makes.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen returns a Listener.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects. buffer is how many bytes the server can write before the client reads.
func (l *Listener) Dial(buffer int) (net.Conn, error) {
	client, server := Pipe(buffer)
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial. Connections stay.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns the listener's address.
func (l *Listener) Addr() net.Addr { return Addr{} }

// toServer is the buffer in the other direction, large enough for no test to notice.
const toServer = 1 << 20

// Pipe returns the two ends of a connection. buffer is that of the bytes written by the second end.
func Pipe(buffer int) (client, server *Conn) {
	up, down := newFlow(toServer), newFlow(buffer)
	return &Conn{in: down, out: up}, &Conn{in: up, out: down}
}

// Conn is one end of a connection.
type Conn struct{ in, out *flow }

func (c *Conn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// TryWrite writes as much as there is room for, without blocking.
func (c *Conn) TryWrite(p []byte) (int, error) { return c.out.tryWrite(p) }

// Close ends both directions: the peer reads what is buffered and then io.EOF, and its writes fail.
func (c *Conn) Close() error {
	c.out.set(func(f *flow) { f.writerGone = true })
	c.in.set(func(f *flow) { f.readerGone = true; f.buf = nil })
	return nil
}

// CloseWrite ends one direction: the peer reads what is buffered and then io.EOF.
func (c *Conn) CloseWrite() error {
	c.out.set(func(f *flow) { f.writerGone = true })
	return nil
}

// Buffered returns a copy of what the peer has written and this end has not read.
func (c *Conn) Buffered() []byte {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	return append([]byte(nil), c.in.buf...)
}

func (c *Conn) LocalAddr() net.Addr  { return Addr{} }
func (c *Conn) RemoteAddr() net.Addr { return Addr{} }

func (c *Conn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *Conn) SetReadDeadline(t time.Time) error {
	c.in.set(func(f *flow) { f.readDeadline = t })
	return nil
}

func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.out.set(func(f *flow) { f.writeDeadline = t })
	return nil
}

// flow is one direction of a connection.
type flow struct {
	limit int

	mu            sync.Mutex
	buf           []byte
	changed       chan struct{} // closed and replaced whenever something below or the buffer changes
	writerGone    bool
	readerGone    bool
	readDeadline  time.Time
	writeDeadline time.Time
}

func newFlow(limit int) *flow { return &flow{limit: limit, changed: make(chan struct{})} }

// set changes the flow and lets everyone who waits look again.
func (f *flow) set(change func(*flow)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *flow) read(p []byte) (n int, err error) {
	f.wait(&f.readDeadline, func() bool {
		switch {
		case f.readerGone:
			err = net.ErrClosed
		case expired(f.readDeadline):
			err = os.ErrDeadlineExceeded
		case len(f.buf) > 0:
			n = copy(p, f.buf)
			f.buf = f.buf[n:]
		case f.writerGone:
			err = io.EOF
		default:
			return false
		}
		return true
	})
	return n, err
}

func (f *flow) write(p []byte) (n int, err error) {
	for err == nil && n < len(p) {
		f.wait(&f.writeDeadline, func() bool {
			var k int
			k, err = f.put(p[n:])
			n += k
			return k > 0 || err != nil
		})
	}
	return n, err
}

func (f *flow) tryWrite(p []byte) (n int, err error) {
	f.set(func(f *flow) { n, err = f.put(p) })
	return n, err
}

// put adds as much as there is room for. Called with mu held.
func (f *flow) put(p []byte) (int, error) {
	switch {
	case f.writerGone:
		return 0, net.ErrClosed
	case f.readerGone:
		return 0, io.ErrClosedPipe
	case expired(f.writeDeadline):
		return 0, os.ErrDeadlineExceeded
	}
	n := max(0, min(f.limit-len(f.buf), len(p)))
	f.buf = append(f.buf, p[:n]...)
	return n, nil
}

func expired(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// wait calls step, with mu held, until it reports true: now, and after every change or the deadline.
func (f *flow) wait(deadline *time.Time, step func() bool) {
	for {
		f.mu.Lock()
		if step() {
			close(f.changed)
			f.changed = make(chan struct{})
			f.mu.Unlock()
			return
		}
		changed, until := f.changed, *deadline
		f.mu.Unlock()

		var timeout <-chan time.Time
		if !until.IsZero() {
			timeout = time.After(time.Until(until))
		}
		select {
		case <-changed:
		case <-timeout:
		}
	}
}

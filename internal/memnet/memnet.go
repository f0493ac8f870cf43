// Package memnet is the network of tests, in memory: connections with a read buffer of a chosen size, so that a peer that
// does not read fills it up at a known point, and deadlines that follow the fake time of a synctest bubble. It is what
// package tanktest connects with.
package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// The addresses are of the networks that RFC 5737 keeps free for documentation: a server's code may take an address apart,
// and look for a port or an IP address in it.
var serverAddr = &net.TCPAddr{IP: net.IPv4(203, 0, 113, 1), Port: 80}

// clients is how many connections there have been.
var clients atomic.Uint32

// clientAddr returns the address of the client of a connection. It has it for itself in this process, unless there are
// millions of them.
func clientAddr(number uint32) *net.TCPAddr {
	const firstPort, ports, hosts = 10_000, 50_000, 250
	host := byte(1 + number/ports%hosts) // #nosec G115 -- it is 250 at most
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, host), Port: int(firstPort + number%ports)}
}

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

// Dial connects, as soon as the server accepts. buffer is how many bytes it can write before the client reads.
func (l *Listener) Dial(buffer int) (*Conn, error) {
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
func (l *Listener) Addr() net.Addr { return serverAddr }

// toServer is the buffer in the other direction, large enough for no test to notice.
const toServer = 1 << 20

// Pipe returns the two ends of a connection. buffer is that of the bytes written by the second end.
func Pipe(buffer int) (client, server *Conn) {
	up, down := newFlow(toServer), newFlow(buffer)
	number := clients.Add(1) - 1
	return &Conn{in: down, out: up, number: number}, &Conn{in: up, out: down, number: number, accepted: true}
}

// Conn is one end of a connection. It is safe for concurrent use.
type Conn struct {
	in, out  *flow
	number   uint32 // of the connection
	accepted bool   // it is the server's end
}

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

// Received returns how many bytes the peer has written, whether or not they were read. A peer that waits for room in the
// buffer shows that it is there by one more each time, as the window probes of TCP do.
func (c *Conn) Received() uint64 {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if c.in.pressing {
		c.in.written++
	}
	return c.in.written
}

// SetReadBudget lets Read return so many bytes in all from now on, and then wait as if nothing more had come, not even the
// end. A negative budget is none. A Read that waits already is held to it, too.
func (c *Conn) SetReadBudget(bytes int) {
	c.in.set(func(f *flow) { f.budget = bytes })
}

// AwaitPeer waits until the peer has read all that was written to it and waits for more. What it does with what it has read
// between two calls of Read, in the same goroutine, is done by then. It returns io.ErrClosedPipe or net.ErrClosed when the
// peer or this end has been closed, and os.ErrDeadlineExceeded when the peer has not come so far after timeout.
func (c *Conn) AwaitPeer(timeout time.Duration) (err error) {
	f := c.out
	deadline := time.Now().Add(timeout)
	f.wait(&deadline, func() bool {
		switch {
		case f.writerGone:
			err = net.ErrClosed
		case f.readerGone:
			err = io.ErrClosedPipe
		case f.hungry && len(f.buf) == 0:
		case expired(deadline):
			err = os.ErrDeadlineExceeded
		default:
			return false
		}
		return true
	})
	return err
}

// LocalAddr returns the address of this end, a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return c.addr(c.accepted) }

// RemoteAddr returns the address of the other end, a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return c.addr(!c.accepted) }

func (c *Conn) addr(ofServer bool) net.Addr {
	if ofServer {
		return serverAddr
	}
	return clientAddr(c.number)
}

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

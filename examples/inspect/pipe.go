package main

import (
	"context"
	"net"
	"sync"
	"time"
)

// A system's buffers take some MiB for a peer that does not read, which small talk does not fill in hours. So the visitor who
// hardly reads comes through a network without buffers: what it does not read stays in its outbox.

// pipes is a listener for connections within the process.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func newPipes() *pipes {
	return &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accepted:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return pipeAddr{} }

// pipeAddr is what net.Pipe calls itself.
type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// dial connects to the listener. The end that it returns hardly reads.
func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.accepted <- server:
		return lazyConn{client}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// lazyConn reads a little now and then. It is slower than its messages come, and takes something before the server's write
// timeout has passed.
type lazyConn struct{ net.Conn }

const (
	lazyBytes = 256
	lazyPause = time.Second
)

func (c lazyConn) Read(p []byte) (int, error) {
	time.Sleep(lazyPause)
	return c.Conn.Read(p[:min(len(p), lazyBytes)])
}

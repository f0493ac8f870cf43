// Package ws opens WebSocket connections over TCP that can misbehave. They answer nothing by themselves.
package ws

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// maxFrame is more than any frame that the server of a soak run has to send.
const maxFrame = 1 << 20

// readAhead is how many bytes are read from the kernel before they are needed.
const readAhead = 4 << 10

// Conn is a connection after the opening handshake. One goroutine may read while another one writes.
type Conn struct{ *wstest.Conn }

// handshakeTime is how long a server has to answer the handshake.
const handshakeTime = 10 * time.Second

// Dial connects to a server's address and does the opening handshake with this query. It returns a wstest.StatusError when the
// server refuses. Of what the server sends, the kernel holds about buffer bytes before they are read; 0: its default.
func Dial(ctx context.Context, address, query string, buffer int) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if buffer > 0 {
		conn.(*net.TCPConn).SetReadBuffer(buffer)
	}
	conn.SetDeadline(time.Now().Add(handshakeTime))
	c := wstest.NewConn(conn, readAhead)
	if err := c.Upgrade(wstest.Handshake{Target: "/ws?" + query, Host: address}); err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return &Conn{c}, nil
}

// Frame encodes a complete client frame.
func Frame(op byte, payload string) []byte { return wstest.Masked(wstest.Fin|op, payload) }

// Send writes a frame.
func (c *Conn) Send(op byte, payload string) error {
	_, err := c.Write(Frame(op, payload))
	return err
}

// Receive returns the next frame. It returns wstest.ErrProtocol unless every message is one frame, short and not compressed.
func (c *Conn) Receive() (wstest.Frame, error) {
	f, err := c.ReadFrame()
	if err == nil && (f.Compressed() || len(f.Payload) > maxFrame) {
		err = fmt.Errorf("%w: a frame begins with the byte %#02x and has %d bytes", wstest.ErrProtocol, f.First, len(f.Payload))
	}
	return f, err
}

// Reset ends the connection with a TCP reset, as when a process dies with bytes unread.
func (c *Conn) Reset() {
	c.Conn.Conn.(*net.TCPConn).SetLinger(0)
	c.Close()
}

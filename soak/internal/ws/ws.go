// Package ws is a WebSocket client in full control of every byte, so that it can misbehave. It answers nothing by itself.
// RFC 6455, without extensions.
package ws

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// The opcodes, RFC 6455 section 5.2.
const (
	Text   = 0x1
	Binary = 0x2
	Close  = 0x8
	Ping   = 0x9
	Pong   = 0xA
)

// maxFrame is more than any frame that the server of a soak run has to send.
const maxFrame = 1 << 20

// Conn is a connection after the opening handshake. One goroutine may read while another one writes.
type Conn struct {
	net.Conn
	r *bufio.Reader
}

// ErrProtocol says that the server sent what it must not.
var ErrProtocol = errors.New("ws: protocol broken")

// StatusError is an answer to the handshake other than 101.
type StatusError int

func (e StatusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

// handshakeTime is how long a server has to answer the handshake.
const handshakeTime = 10 * time.Second

// Dial connects to a server's address and does the opening handshake with this query. Of what the server sends, the kernel
// holds about buffer bytes before they are read; 0: its default.
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
	c := &Conn{conn, bufio.NewReaderSize(conn, 4<<10)}
	if err := c.handshake(address, query); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) handshake(host, query string) error {
	c.SetDeadline(time.Now().Add(handshakeTime))
	defer c.SetDeadline(time.Time{})
	_, err := fmt.Fprintf(c, "GET /ws?%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", query, host)
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return StatusError(resp.StatusCode)
	}
	return nil
}

// Frame encodes a complete client frame. The masking key is zero, which RFC 6455 cannot forbid.
func Frame(op byte, payload string) []byte {
	b := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xFFFF:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// Send writes a frame.
func (c *Conn) Send(op byte, payload string) error {
	_, err := c.Write(Frame(op, payload))
	return err
}

// Receive returns the next frame. It returns ErrProtocol unless every message is one unmasked frame.
func (c *Conn) Receive() (op byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, err
	}
	if head[0]&0xF0 != 0x80 || head[1]&0x80 != 0 {
		return 0, nil, fmt.Errorf("%w: frame starts with %x", ErrProtocol, head)
	}
	n := uint64(head[1])
	if n >= 126 {
		var size [8]byte
		from := 6
		if n == 127 {
			from = 0
		}
		if _, err := io.ReadFull(c.r, size[from:]); err != nil {
			return 0, nil, err
		}
		n = binary.BigEndian.Uint64(size[:])
	}
	if n > maxFrame {
		return 0, nil, fmt.Errorf("%w: frame of %d bytes", ErrProtocol, n)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.r, payload)
	return head[0] & 0x0F, payload, err
}

// CloseCode returns the code in a close frame's payload, 1005 when there is none.
func CloseCode(payload []byte) int {
	if len(payload) < 2 {
		return 1005
	}
	return int(binary.BigEndian.Uint16(payload))
}

// Reset ends the connection with a TCP reset, as when a process dies with bytes unread.
func (c *Conn) Reset() {
	c.Conn.(*net.TCPConn).SetLinger(0)
	c.Close()
}

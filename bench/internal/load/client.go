package load

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// client is one connection. Its fields belong to the fleet's reader, but for those that say otherwise.
type client struct {
	fleet  *Fleet
	fd     int // immutable
	number int // immutable

	subprotocol string // to be agreed on; immutable
	greeted     bool   // the server speaks first; immutable

	counter  counter
	response []byte // of the handshake, until it is complete
	open     bool
	ready    bool // what Dial waits for has come
	deflated bool // permessage-deflate was agreed on
	gone     bool
	check    *check // of the messages kept; nil: none are
	record   *record

	// Written by the reader, read by anyone.
	messages atomic.Int64
	base     atomic.Int64 // messages before Arm
}

// request is the opening handshake.
func request(o Options) []byte {
	header := ""
	if o.Compress {
		header = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	}
	if o.Subprotocol != "" {
		header += "Sec-WebSocket-Protocol: " + o.Subprotocol + "\r\n"
	}
	return []byte(wstest.Handshake{Target: "/ws", Host: o.Addr, Header: header}.String())
}

// maxResponse bounds the answer to a handshake in bytes.
const maxResponse = 8 << 10

// received takes what was read from the socket.
func (c *client) received(b []byte) {
	if !c.open {
		c.response = append(c.response, b...)
		end := bytes.Index(c.response, []byte("\r\n\r\n"))
		if end < 0 {
			if len(c.response) > maxResponse {
				c.broken("endless handshake")
			}
			return
		}
		head := string(c.response[:end])
		b, c.response = c.response[end+4:], nil
		if !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, wstest.Accept) {
			first, _, _ := strings.Cut(head, "\r\n")
			c.broken("handshake refused: " + first)
			return
		}
		if p := c.subprotocol; p != "" && !agreed(head, p) {
			c.broken("the server does not speak " + p)
			return
		}
		c.open = true
		c.deflated = strings.Contains(strings.ToLower(head), "permessage-deflate")
		if !c.greeted {
			c.isReady()
		}
	}
	c.counter.feed(b, c)
}

// agreed reports whether the server has chosen a subprotocol.
func agreed(head, subprotocol string) bool {
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "Sec-WebSocket-Protocol") {
			return strings.TrimSpace(value) == subprotocol
		}
	}
	return false
}

func (c *client) isReady() {
	c.ready = true
	c.fleet.opened <- nil
}

// broken ends the connection over something that must not happen.
func (c *client) broken(why string) {
	err := fmt.Errorf("connection %d: %s", c.number, why)
	c.fleet.fault(err)
	c.hangUp()
	if !c.ready {
		c.ready = true
		c.fleet.opened <- err
	}
}

func (c *client) hangUp() {
	if !c.gone {
		c.gone = true
		_ = syscall.EpollCtl(c.fleet.epoll, syscall.EPOLL_CTL_DEL, c.fd, nil)
	}
}

func (c *client) count(messages int) {
	c.messages.Store(c.messages.Load() + int64(messages))
	c.fleet.counted += int64(messages)
	if !c.ready {
		c.isReady()
	}
	if c.record != nil {
		c.record.count(messages)
	}
}

func (c *client) message(data []byte, deflated bool) {
	if deflated {
		var err error
		if data, err = c.fleet.inflate(data); err != nil {
			c.fleet.fault(fmt.Errorf("connection %d: %w", c.number, err))
			return
		}
	}
	if c.counter.lines && deflated { // the counter could not see them
		c.counter.newlines = bytes.Count(data, newline)
	}
	if c.record != nil {
		c.record.message(data)
	}
	if c.check == nil {
		return
	}
	for line := range bytes.SplitSeq(data, newline) {
		if err := c.check.message(line, c.fleet.now()); err != nil {
			c.fleet.fault(fmt.Errorf("connection %d: %w", c.number, err))
		}
	}
}

func (c *client) controlFrame(opcode byte, data []byte) {
	switch opcode {
	case wstest.Ping:
		if err := c.write(wstest.Pong, data); err != nil {
			c.broken("pong: " + err.Error())
		}
	case wstest.Close:
		why := "closed by the server"
		if len(data) >= 2 {
			why = fmt.Sprintf("closed by the server: %d %s", wstest.Frame{Payload: data}.CloseCode(), data[2:])
		}
		c.broken(why)
	}
}

// write sends a frame.
func (c *client) write(opcode byte, data []byte) error {
	return writeAll(c.fd, wstest.Masked(wstest.Fin|opcode, string(data)))
}

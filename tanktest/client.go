package tanktest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// Client is a WebSocket client. On the wire it is a browser: it reads all the time and keeps what comes, answers pings and
// the server's goodbye, masks its frames, and accepts compressed messages.
//
// Its methods are for the goroutine of the test, because they fail the test, which testing.TB allows nowhere else.
type Client struct {
	// Immutable.
	s       *Server
	t       testing.TB
	name    string // in failure messages
	conn    *memnet.Conn
	answer  *http.Response
	deflate bool
	handle  *tank.Client // nil when it had left before it could be found
	inbox   inbox
	writing chan struct{} // holds a value when nobody is writing
	ended   chan struct{} // closed by the reader when nothing more will come

	// Written by the reader, the first until ended is closed.
	end     end
	goodbye atomic.Pointer[closing] // the server's close frame

	leaving atomic.Bool // this client has sent a close frame before it had one

	// Owned by the test.
	last     *Message // that the test has looked at
	frozen   bool
	stopPace func() // ends ReadSlowly; nil when it does not run
}

// abnormal is the close code of a connection that ended without a close frame, RFC 6455 section 7.4.1.
const abnormal = 1006

// closing is what a close frame says.
type closing struct {
	code   int
	reason string
}

func (c closing) String() string {
	if c.reason == "" {
		return strconv.Itoa(c.code)
	}
	return fmt.Sprintf("%d %s", c.code, quote(c.reason))
}

// end is how a connection has ended.
type end struct {
	closing
	how string
	at  time.Time
}

// Conn returns the instance's view of the client, to call its methods. It fails the test when the client had left before Dial
// returned.
func (c *Client) Conn() *tank.Client {
	c.t.Helper()
	if c.handle == nil {
		c.fail("Conn: none of the managers knew it when Dial returned")
	}
	return c.handle
}

// Response returns the server's answer to the handshake, with its headers.
func (c *Client) Response() *http.Response { return c.answer }

// EndedAt returns when the connection ended; the zero time while it has not.
func (c *Client) EndedAt() time.Time {
	if !c.hasEnded() {
		return time.Time{}
	}
	return c.end.at
}

func (c *Client) hasEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// hangUp is the client's end when the test is over.
func (c *Client) hangUp() { c.Cut() }

// read is the client's reader: it runs from Dial until the connection ends.
func (c *Client) read(r *bufio.Reader) {
	defer close(c.ended)
	c.end = c.readAll(r)
	c.end.at = time.Now()
	_ = c.conn.Close()
}

func (c *Client) readAll(r *bufio.Reader) end {
	for {
		f, err := wstest.ReadFrame(r)
		if err == nil {
			err = c.receive(f)
		}
		if err != nil {
			return c.outcome(err)
		}
	}
}

// receive deals with a frame.
func (c *Client) receive(f wstest.Frame) error {
	if c.goodbye.Load() != nil {
		return fmt.Errorf("%w: a frame came behind its close frame", wstest.ErrProtocol)
	}
	switch f.Opcode() {
	case wstest.Ping:
		return c.reply(encode(wstest.Pong, string(f.Payload)))
	case wstest.Pong:
		return nil
	case wstest.Close:
		return c.receiveClose(f)
	}
	data, err := message(f, c.deflate)
	if err == nil {
		c.inbox.put(decode(data, f.Opcode() == wstest.Binary, time.Now()))
	}
	return err
}

// receiveClose answers a close frame, RFC 6455 section 5.5.1. Then it is the server's turn to hang up (section 7.1.1).
func (c *Client) receiveClose(f wstest.Frame) error {
	if len(f.Payload) == 1 {
		return fmt.Errorf("%w: its close frame has one byte", wstest.ErrProtocol)
	}
	bye := closing{code: f.CloseCode(), reason: string(f.Payload[min(2, len(f.Payload)):])}
	c.goodbye.Store(&bye)
	if c.leaving.Load() {
		return nil
	}
	return c.reply(encodeClose(bye.code, bye.reason))
}

// reply writes a frame of which the server may not want to know any more. What it sent before is still to be read.
func (c *Client) reply(frame []byte) error {
	if err := c.write(frame); errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// outcome says how the connection has ended, by what reading or answering returned.
func (c *Client) outcome(err error) end {
	bye, leaving := c.goodbye.Load(), c.leaving.Load()
	switch {
	case errors.Is(err, wstest.ErrProtocol):
		return end{closing: closing{code: abnormal}, how: err.Error()}
	case bye != nil && leaving:
		return end{closing: *bye, how: fmt.Sprint("closed by this client, and answered with ", bye)}
	case bye != nil:
		return end{closing: *bye, how: fmt.Sprint("closed by the server with ", bye)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return end{closing: closing{code: abnormal}, how: fmt.Sprintf("given up by this client: the server has read nothing for %v", defaultPatience)}
	case errors.Is(err, net.ErrClosed):
		return end{closing: closing{code: abnormal}, how: "cut by this client"}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return end{closing: closing{code: abnormal}, how: "the server hung up in the middle of a frame"}
	default:
		return end{closing: closing{code: abnormal}, how: "the server hung up without a close frame (1006)"}
	}
}

// write writes a frame. It waits while the server's buffer of a megabyte is full, because a callback does not return, say, but
// no longer than defaultPatience.
func (c *Client) write(frame []byte) error {
	<-c.writing
	defer func() { c.writing <- struct{}{} }()
	_ = c.conn.SetWriteDeadline(time.Now().Add(defaultPatience))
	_, err := c.conn.Write(frame)
	return err
}

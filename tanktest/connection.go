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
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// connection is the client's end of one connection. On the wire it is a browser: it reads all the time and keeps what comes, answers
// pings and the server's goodbye, masks its frames, and accepts compressed messages.
type connection struct {
	// Immutable.
	conn     *memnet.Conn
	answer   *http.Response
	deflate  bool
	handle   *tank.Client // nil when it had left before it could be found
	protocol protocol
	writing  chan struct{} // holds a value when nobody is writing
	ended    chan struct{} // closed by the reader when nothing more will come

	// Written by the reader, the first until ended is closed.
	end     end
	goodbye atomic.Pointer[closing] // the server's close frame

	leaving atomic.Bool // this client has sent a close frame before it had one
	cut     atomic.Bool // this client has ended the connection

	// Owned by the test.
	frozen   bool
	stopPace func() // ends ReadSlowly; nil when it does not run
}

// protocol is what is spoken on a connection.
type protocol interface {
	// receive understands a message that came, and puts it into the inbox unless it is nothing for the test. It runs in the reader.
	// An error, which wraps wstest.ErrProtocol, ends the connection.
	receive(data string, binary bool, at time.Time) error
	// describe adds lines to a failure message. It runs in the goroutine of the test.
	describe(line func(what, format string, args ...any))
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
	how    string
	broken bool // the server broke the protocol, and how says in what way
	at     time.Time
}

func (c *connection) hasEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// read is the client's reader: it runs from Dial until the connection ends.
func (c *connection) read(r *bufio.Reader) {
	defer close(c.ended)
	c.end = c.readAll(r)
	c.end.at = time.Now()
	_ = c.conn.Close()
}

func (c *connection) readAll(r *bufio.Reader) end {
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
func (c *connection) receive(f wstest.Frame) error {
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
		err = c.protocol.receive(data, f.Opcode() == wstest.Binary, time.Now())
	}
	return err
}

// receiveClose answers a close frame, RFC 6455 section 5.5.1. Then it is the server's turn to hang up (section 7.1.1).
func (c *connection) receiveClose(f wstest.Frame) error {
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
func (c *connection) reply(frame []byte) error {
	if err := c.write(frame); errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// outcome says how the connection has ended, by what reading or answering returned.
func (c *connection) outcome(err error) end {
	bye, leaving := c.goodbye.Load(), c.leaving.Load()
	switch {
	case errors.Is(err, wstest.ErrProtocol):
		return end{closing: closing{code: abnormal}, how: err.Error(), broken: true}
	case bye != nil && leaving:
		return end{closing: *bye, how: fmt.Sprint("closed by this client, and answered with ", bye)}
	case bye != nil:
		return end{closing: *bye, how: fmt.Sprint("closed by the server with ", bye)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return end{closing: closing{code: abnormal}, how: fmt.Sprintf("given up by this client: the server has read nothing for %v", defaultPatience)}
	case c.cut.Load(), errors.Is(err, net.ErrClosed): // the server may notice before the reader does
		return end{closing: closing{code: abnormal}, how: "cut by this client"}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return end{closing: closing{code: abnormal}, how: "the server hung up in the middle of a frame"}
	default:
		return end{closing: closing{code: abnormal}, how: "the server hung up without a close frame (1006)"}
	}
}

// write writes a frame. It waits while the server's buffer of a megabyte is full, because a callback does not return, say, but
// no longer than defaultPatience.
func (c *connection) write(frame []byte) error {
	<-c.writing
	defer func() { c.writing <- struct{}{} }()
	_ = c.conn.SetWriteDeadline(time.Now().Add(defaultPatience))
	_, err := c.conn.Write(frame)
	return err
}

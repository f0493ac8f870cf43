package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// keptMessage is the largest buffer in bytes that stays allocated between messages.
const keptMessage = 1024

// Read is the reader edge: it runs until the connection ends, calling the owner for each message. All functions in
// this file run in its goroutine.
func (c *Client) Read() {
	err := errAborted
	defer func() {
		c.readEnded(err)
		c.ref.Post(readerEnded{closed: websocket.CloseStatus(err) != -1})
		c.conn.ws.CloseNow() // the socket is the actor's
		c.owner.ReaderDone()
	}()
	err = actor.Try(c.readMessages)
}

var (
	errAborted error = &actor.PanicError{Value: "a callback ended the reader's goroutine"}
	errNotUTF8       = errors.New("text message is not valid UTF-8 (RFC 6455, section 8.1)")
)

// readMessages returns why there are no more.
func (c *Client) readMessages() error {
	var buf, inflated []byte
	for {
		kind, r, err := c.conn.ws.Reader(context.Background())
		if err != nil {
			return err
		}
		buf, err = c.readMessage(r, buf[:0])
		if err != nil {
			return err
		}
		data := buf
		if c.conn.deflate && c.conn.reader.marks.next() {
			inflated, err = wire.Inflate(inflated[:0], buf, c.opts.MessageBytes)
			data = inflated
		}
		c.take(data, err, kind == websocket.MessageBinary)
		buf, inflated = kept(buf), kept(inflated)
	}
}

// kept returns the buffer for the next message, unless it is too large to lie idle.
func kept(buf []byte) []byte {
	if cap(buf) > keptMessage {
		return nil
	}
	return buf
}

// take looks at a complete message. err says what was wrong with inflating it.
func (c *Client) take(data []byte, err error, binary bool) {
	switch {
	case c.Closing(): // the closing handshake is on; only the peer's close frame matters
	case errors.Is(err, wire.ErrTooBig), len(data) > c.opts.MessageBytes:
		c.refuseTooBig()
	case err != nil:
		c.refuse(wire.CloseInvalidPayload, "compressed data is corrupt", ProtocolFault, err)
	case !binary && !utf8.Valid(data):
		c.refuse(wire.CloseInvalidPayload, "text is not valid UTF-8", ProtocolFault, errNotUTF8)
	default:
		c.opts.Counters.MessagesIn.Add(1)
		c.hand(data, binary)
	}
}

// hand gives a message to the owner. While that takes, pongs are not seen, so the heartbeat has to look away; and
// when it is over, the peer is given the time of a full heartbeat to show itself.
func (c *Client) hand(data []byte, binary bool) {
	c.busy.Store(true)
	defer func() {
		c.alive.Store(true)
		c.busy.Store(false)
	}()
	c.owner.Received(data, binary)
}

// readMessage appends the message to buf. When it turns out too big, the client is closing when this returns; the rest
// was read and thrown away, so that the peer's close frame behind it is seen.
func (c *Client) readMessage(r io.Reader, buf []byte) ([]byte, error) {
	most := c.mostRaw()
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), most+1)]) // which waits until all of it is filled
		buf = buf[:len(buf)+n]
		switch {
		case c.conn.reader.err != nil:
			return buf, c.conn.reader.err // the library takes a connection cut in mid frame for the message's end
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return buf, err
		case len(buf) > most:
			return c.skip(r)
		}
	}
}

// mostRaw returns the most bytes of a message before inflating it: incompressible data grows a little.
func (c *Client) mostRaw() int {
	if c.conn.deflate {
		return c.opts.MessageBytes + c.opts.MessageBytes/1024 + 64
	}
	return c.opts.MessageBytes
}

func (c *Client) skip(r io.Reader) ([]byte, error) {
	c.refuseTooBig()
	_, err := io.Copy(io.Discard, r)
	return nil, err
}

// refuse closes the connection over something the peer did.
func (c *Client) refuse(code int, reason string, fault Fault, err error) {
	if c.startClosing(closeReason{code: code, reason: reason}) {
		c.owner.Failed(fault, err)
	}
}

func (c *Client) refuseTooBig() {
	c.refuse(wire.CloseTooBig, "message too big", TooBigFault, wire.ErrTooBig)
}

// readEnded finds out why reading ended and starts closing accordingly, if that has not begun.
func (c *Client) readEnded(err error) {
	var peer websocket.CloseError
	var panicked *actor.PanicError
	switch {
	case errors.As(err, &peer):
		c.answerClose(int(peer.Code), peer.Reason)
	case c.conn.reader.err != nil:
		c.lost(c.conn.reader.err)
	case errors.As(err, &panicked):
		c.refuse(wire.CloseInternalError, "internal error", ReadFault, err)
	default:
		c.refuse(wire.CloseProtocolError, "protocol error", ProtocolFault, err)
		c.linger()
	}
}

// answerClose answers the peer's close frame with the same code, RFC 6455 section 5.5.1.
func (c *Client) answerClose(code int, reason string) {
	if !utf8.ValidString(reason) {
		c.refuse(wire.CloseInvalidPayload, "close reason is not valid UTF-8", ProtocolFault, errNotUTF8)
		return
	}
	c.startClosing(closeReason{code: code, reason: reason})
}

// lost reports a connection that ended without a close frame, unless it was ended from this side.
func (c *Client) lost(err error) {
	reason := "connection lost"
	if errors.Is(err, io.EOF) {
		reason = "connection closed without a close frame"
	}
	if c.startClosing(closeReason{code: wire.CloseAbnormal, reason: reason}) {
		c.owner.Failed(ReadFault, fmt.Errorf("%s: %w", reason, err))
	}
}

// linger reads and discards until the peer hangs up or the hard close comes, RFC 6455 section 7.1.1: closing a socket
// with unread data on it resets the connection, and the peer might never see the close frame.
func (c *Client) linger() {
	c.conn.reader.marks = nil // what comes now is not taken for frames
	io.Copy(io.Discard, struct{ io.Reader }{c.conn.reader})
}

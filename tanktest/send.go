package tanktest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// What a client sends, whatever it speaks.

// SendBinary sends a binary message, like Send.
func (c *peer) SendBinary(data []byte) {
	c.t.Helper()
	c.send(fmt.Sprintf("SendBinary(%s)", quote(string(data))), wstest.Binary, string(data))
}

func (c *peer) send(what string, op byte, payload string) {
	c.t.Helper()
	if c.hasEnded() {
		c.fail("%s: %s", what, c.ending())
	}
	err := c.write(encode(op, payload))
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		_ = c.conn.Close() // a part of a frame cannot be taken back
		c.fail("%s: the server has read nothing for %v", what, defaultPatience)
	default:
		c.fail("%s: the server has hung up", what)
	}
}

// Sync waits until the server has handled everything that the client has sent, callbacks and pauses because of rate limits
// included, or the connection has ended. It fails the test when that has not happened within Server.Patience. It works for
// a frozen client, too.
func (c *peer) Sync() {
	c.t.Helper()
	c.sync("Sync")
}

func (c *peer) sync(verb string) {
	c.t.Helper()
	if err := c.conn.AwaitPeer(c.s.Patience); errors.Is(err, os.ErrDeadlineExceeded) {
		c.fail("%s: the server has not handled what was sent within %v; maybe a callback has not returned", verb, c.s.Patience)
	}
}

// Close says goodbye as a browser does, and returns when the server has answered and hung up. It fails the test when that has
// not happened within Server.Patience. code is 1000 to 1003, 1007 to 1014 or 3000 to 4999, or 1005 for a close frame
// without a code; reason has at most 123 bytes of UTF-8.
func (c *peer) Close(code int, reason string) {
	c.t.Helper()
	bye := closing{code, reason}
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999, code == wstest.NoStatus && reason == "":
	default:
		c.fail("Close(%v): this cannot be sent (RFC 6455, section 7.4)", bye)
	}
	switch {
	case len(reason) > wstest.MaxControl-2 || !utf8.ValidString(reason):
		c.fail("Close(%v): a reason is at most %d bytes of valid UTF-8", bye, wstest.MaxControl-2)
	case c.hasEnded():
		c.fail("Close(%v): %s", bye, c.ending())
	case c.frozen:
		c.fail("Close(%v): the client is frozen, so it would not notice the answer; see Thaw", bye)
	}
	c.leaving.Store(true)
	if err := c.write(encodeClose(code, reason)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		_ = c.conn.Close()
	}
	c.awaitEnd(fmt.Sprintf("Close(%v)", bye))
	if c.end.code != code {
		c.fail("Close(%v): the connection has ended otherwise", bye)
	}
}

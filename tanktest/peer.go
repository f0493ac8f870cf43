package tanktest

import (
	"net/http"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// peer is a client as the test sees it, whatever it speaks. All is owned by the goroutine of the test.
type peer struct {
	s     *Server
	t     testing.TB
	name  string // in failure messages
	inbox inbox
	last  *Message // that the test has looked at
	told  bool     // that the server broke the protocol, if it did
	*connection
}

// Conn returns the instance's view of the client, to call its methods. It fails the test when the client had left before Dial
// returned.
func (c *peer) Conn() *tank.Client {
	c.t.Helper()
	if c.handle == nil {
		c.fail("Conn: none of the managers knew it when Dial returned")
	}
	return c.handle
}

// Response returns the server's answer to the handshake, with its headers.
func (c *peer) Response() *http.Response { return c.answer }

// EndedAt returns when the connection ended; the zero time while it has not.
func (c *peer) EndedAt() time.Time {
	if !c.hasEnded() {
		return time.Time{}
	}
	return c.end.at
}

// hangUp is the client's end when the test is over. A test whose server broke the protocol fails, also when it has not noticed.
func (c *peer) hangUp() {
	c.t.Helper()
	c.Cut()
	if c.end.broken && !c.told {
		c.t.Errorf("%s", c.report(c.end.how))
	}
}

package client

import (
	"cmp"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// defaultReadBuffer is the size in bytes of the read buffer of a connection that is not a mere socket, such as TLS. It is
// small because every idle one has it; longer messages are read past it, straight to where they belong.
const defaultReadBuffer = 512

// tlsSendBuffer is how much a socket below TLS takes for a peer that is behind, in bytes; Linux takes twice as much. A write
// with TLS cannot go on after a deadline, and some system may call a socket writable only when a third of its buffer is free:
// that much a peer has to read within the write timeout, where the system does not tell what the peer acknowledges.
const tlsSendBuffer = 128 << 10

// defaultAnswerTimeout is UpgradeOptions.WriteTimeout.
const defaultAnswerTimeout = 5 * time.Second

// UpgradeOptions of the opening handshake.
type UpgradeOptions struct {
	Subprotocols []string      // in order of preference
	V2           V2Use         // comes before Subprotocols
	ReadBuffer   int           // bytes; zero: defaultReadBuffer
	WriteBuffer  int           // bytes; zero: defaultWriteBuffer
	WriteTimeout time.Duration // for the answer; zero: defaultAnswerTimeout
	Compression  bool          // accept permessage-deflate (RFC 7692) from clients that offer it
}

// V2Use says when the subprotocol tank.v2 is spoken.
type V2Use int

// The uses of tank.v2. Whoever does not speak it has a plain socket.
const (
	V2Never    V2Use = iota
	V2Offered        // with clients that offer it
	V2Required       // with clients that offer it; others are refused
)

// Conn is an upgraded connection.
type Conn struct {
	raw    net.Conn  // the hijacked connection: read by the reader, written by the writer edge, closed by the actor
	try    tryWriter // raw, for writes of the actor's that do not block; nil when raw cannot
	reader *reader

	received *tally // counts what is received; set with the reader's client

	writeBuffer int  // bytes; see Client.piece
	deflate     bool // permessage-deflate was negotiated, without context takeover in either direction
	v2          bool // tank.v2 was negotiated
}

// Upgrade does the opening handshake, RFC 6455 section 4.2. Whether the origin is welcome is the caller's to check
// before. It blocks while the peer does not take the answer, for the write timeout at most.
//
// On an error, which keeps nothing of the request, the response has been written, or the connection closed: a connection
// that was hijacked takes no other response. The error wraps http.ErrNotSupported when w cannot be hijacked, and is an
// *actor.PanicError when w panicked over it.
func Upgrade(w http.ResponseWriter, r *http.Request, opts UpgradeOptions) (*Conn, error) {
	c := &Conn{writeBuffer: cmp.Or(opts.WriteBuffer, defaultWriteBuffer)}
	h := &hijacker{w: w, r: r, opts: opts, conn: c, header: make(http.Header)}
	ws, err := websocket.Accept(h, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return nil, h.refuse()
	}
	_ = ws.CloseNow() // of what it was lent: it has nothing more to do
	return c, nil
}

// encoding returns the encoding of what the peer gets.
func (c *Conn) encoding() wire.Encoding {
	switch {
	case c.v2 && c.deflate:
		return wire.V2Deflated
	case c.v2:
		return wire.V2
	case c.deflate:
		return wire.V1Deflated
	}
	return wire.V1
}

// socket returns the socket, also one below TLS, or nil when there is none.
func (c *Conn) socket() syscall.RawConn { return c.reader.socket.Raw }

// gathers reports whether the socket writes several buffers in one system call.
func (c *Conn) gathers() bool {
	_, ok := c.raw.(*net.TCPConn)
	return ok
}

// belowTLS returns the connection below one with TLS, or nil when there is no TLS.
func (c *Conn) belowTLS() net.Conn {
	if t, ok := c.raw.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn()
	}
	return nil
}

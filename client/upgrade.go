package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// defaultReadBuffer is the size in bytes of the read buffer of a connection that is not a mere socket, such as TLS. It is
// small because every idle one has it; longer messages are read past it, straight to where they belong.
const defaultReadBuffer = 512

// noBuffer is the size of buffers that are there because the WebSocket library wants some: the smallest that work. What
// the library writes is swallowed, and what it reads is in memory already, see reader.await.
const noBuffer = 16

// tlsSendBuffer is how much a socket below TLS takes for a peer that is behind, in bytes; Linux takes twice as much. A write
// with TLS cannot go on after a deadline, and some system may call a socket writable only when a third of its buffer is free:
// that much a peer has to read within the write timeout.
const tlsSendBuffer = 128 << 10

// UpgradeOptions of the opening handshake.
type UpgradeOptions struct {
	Subprotocols []string // in order of preference
	ReadBuffer   int      // bytes; zero: defaultReadBuffer
	WriteBuffer  int      // bytes; zero: defaultWriteBuffer
	Compression  bool     // accept permessage-deflate (RFC 7692) from clients that offer it
}

// Conn is an upgraded connection: the socket, and the library's view of it.
type Conn struct {
	raw    net.Conn  // the hijacked connection: read by the reader, written by the writer edge, closed by the actor
	try    tryWriter // the same, for writes of the actor's that do not block; nil when it cannot
	reader *reader
	ws     *websocket.Conn // reads from reader

	writeBuffer int  // bytes; see Client.piece
	deflate     bool // permessage-deflate was negotiated, without context takeover in either direction
}

// Upgrade does the opening handshake, RFC 6455 section 4.2. Whether the origin is welcome is the caller's to check
// before. On an error the response has been written.
func Upgrade(w http.ResponseWriter, r *http.Request, opts UpgradeOptions) (*Conn, error) {
	c := &Conn{writeBuffer: cmp.Or(opts.WriteBuffer, defaultWriteBuffer)}
	accepting := w // as it is when it cannot be hijacked, for the library to say so
	if _, ok := find[http.Hijacker](w); ok {
		h := &hijacker{ResponseWriter: w, conn: c, readBuffer: opts.ReadBuffer}
		if opts.Compression {
			h.extension = negotiateDeflate(r)
		}
		accepting = h
	}
	ws, err := websocket.Accept(accepting, r, &websocket.AcceptOptions{
		Subprotocols:       opts.Subprotocols,
		InsecureSkipVerify: true,
		OnPingReceived: func(_ context.Context, payload []byte) bool {
			c.reader.client.answerPing(payload)
			return false
		},
		OnPongReceived: func(context.Context, []byte) { c.reader.client.ponged() },
	})
	if err != nil {
		if c.raw != nil {
			c.raw.Close()
		}
		return nil, err
	}
	ws.SetReadLimit(-1) // the reader counts for itself
	c.ws = ws
	return c, nil
}

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

// find looks for a ResponseWriter with certain methods behind middleware, in the way of http.ResponseController.
func find[T any](w http.ResponseWriter) (found T, ok bool) {
	for {
		if found, ok = w.(T); ok {
			return found, true
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return found, false
		}
		w = u.Unwrap()
	}
}

// hijacker stands between net/http and the WebSocket library. It keeps the connection for the actor and gives the
// library a view of it that cannot write, with buffers of a size fit for many idle connections.
type hijacker struct {
	http.ResponseWriter
	conn       *Conn
	readBuffer int
	extension  string // the answer to the client's offer, or ""
}

// WriteHeader adds the extension to the answer that makes the request a connection.
func (h *hijacker) WriteHeader(status int) {
	if status == http.StatusSwitchingProtocols && h.extension != "" {
		h.Header().Set("Sec-WebSocket-Extensions", h.extension)
		h.conn.deflate = true
	}
	h.ResponseWriter.WriteHeader(status)
}

// WriteHeaderNow is for gin, whose WriteHeader only takes note; the library asks for this before it hijacks.
func (h *hijacker) WriteHeaderNow() {
	if g, ok := find[interface{ WriteHeaderNow() }](h.ResponseWriter); ok {
		g.WriteHeaderNow()
	}
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	raw, brw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.conn.raw = raw
	if socket, ok := h.conn.belowTLS().(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = socket.SetWriteBuffer(tlsSendBuffer) // or it is as large as it was
	}
	// The server's deadlines were for the request, not for what it became.
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	// A client may send its first frame right behind the handshake, and net/http may have read it already.
	early, err := brw.Reader.Peek(brw.Reader.Buffered())
	if err != nil {
		return nil, nil, err
	}
	r := &reader{Conn: raw, fd: rawSocket(raw), pending: bytes.Clone(early)}
	size := cmp.Or(h.readBuffer, defaultReadBuffer)
	if r.fd != nil {
		r.fillOnce, h.conn.try = r.fill, socket{r.fd}
		size = cmp.Or(h.readBuffer, noBuffer)
	} else if try, ok := raw.(tryWriter); ok {
		h.conn.try = try
	}
	if h.conn.deflate {
		r.stream.marks = &marks{}
	}
	r.buffered = bufio.NewReaderSize(r, size)
	h.conn.reader = r
	return r, bufio.NewReadWriter(r.buffered, bufio.NewWriterSize(r, noBuffer)), nil
}

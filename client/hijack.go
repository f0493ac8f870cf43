package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

// hijacker stands between net/http and the WebSocket library, which checks the opening handshake and has nothing to do with what follows.
// It keeps the connection, and lends the library something that looks like one.
//
// What the library answers goes nowhere at first. A refusal is for Upgrade to write, see refuse. The 101 is written here, to
// the hijacked connection: middleware may hold back a status or never write it, and may fail to hijack afterwards.
type hijacker struct {
	w    http.ResponseWriter
	r    *http.Request
	opts UpgradeOptions
	conn *Conn

	header http.Header     // of the library's answer
	status int             // of the library's answer, if that is a refusal
	text   strings.Builder // of the library's answer, if that is a refusal
	failed error           // why there is no connection, if the library found nothing wrong
}

func (h *hijacker) Header() http.Header         { return h.header }
func (h *hijacker) WriteHeader(status int)      { h.status = status }
func (h *hijacker) Write(p []byte) (int, error) { return h.text.Write(p) }

// Hijack is called by the library when it has found nothing wrong with the request.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	err := actor.Try(h.hijack) // a panic would leave a hijacked connection open: the server does not close it
	if err != nil {
		h.failed = err
		return nil, nil, err
	}
	return lent{}, bufio.NewReadWriter(bufio.NewReaderSize(lent{}, 0), bufio.NewWriterSize(lent{}, 1)), nil
}

// lent is the connection that the library is given: it may close that, and does nothing else with it.
type lent struct{ net.Conn }

func (lent) Close() error { return nil }

func (h *hijacker) hijack() error {
	if err := h.check(); err != nil {
		return err
	}
	raw, buffered, err := takeOver(h.w)
	if err != nil {
		return err
	}
	h.conn.raw = raw
	if socket, ok := h.conn.belowTLS().(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = socket.SetWriteBuffer(tlsSendBuffer) // or it is as large as it was
	}
	// The server's deadlines were for the request, not for what it became.
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if err := h.accept(); err != nil {
		return err
	}
	// A client may send its first frame right behind the handshake, and net/http may have read it already.
	early, err := buffered.Peek(buffered.Buffered())
	if err != nil {
		return err
	}
	h.conn.newReader(bytes.Clone(early), h.opts.ReadBuffer)
	return nil
}

var errNoConnection = errors.New("Hijack returned no connection, or no reader")

// takeOver hijacks the connection, also behind middleware that offers Unwrap or Hijack. Middleware may panic when what it wraps
// cannot be hijacked.
func takeOver(w http.ResponseWriter) (raw net.Conn, buffered *bufio.Reader, err error) {
	raw, brw, err := http.NewResponseController(w).Hijack()
	switch {
	case err != nil:
	case raw == nil:
		err = errNoConnection
	case brw == nil || brw.Reader == nil:
		_ = raw.Close() // nobody else would
		err = errNoConnection
	default:
		return raw, brw.Reader, nil
	}
	return nil, nil, fmt.Errorf("the connection cannot be hijacked: %w", err)
}

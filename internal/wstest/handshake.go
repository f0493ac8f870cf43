// Package wstest is the client's side of RFC 6455 in full control of every byte: it writes what no client of good will sends,
// and shows what the server really sends. It answers nothing by itself.
//
// It shares no code with the server, so that a mistake in one of them does not cancel itself out in a test.
package wstest

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Key is the nonce of every handshake, and Accept its answer: those of RFC 6455, section 1.3. They are constant, so that runs
// of a test do not differ in them.
const (
	Key    = "dGhlIHNhbXBsZSBub25jZQ=="
	Accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// UpgradeHeader makes a request an opening handshake, RFC 6455 section 4.1. Each of its lines has its CRLF.
const UpgradeHeader = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + Key + "\r\n"

// Handshake is an opening handshake.
type Handshake struct {
	Target string // path and query; "/" when it is empty
	Host   string // "example.test" when it is empty
	Header string // further header lines, each with its CRLF
}

// String returns the request.
func (h Handshake) String() string {
	return "GET " + cmp.Or(h.Target, "/") + " HTTP/1.1\r\nHost: " + cmp.Or(h.Host, "example.test") + "\r\n" + UpgradeHeader + h.Header + "\r\n"
}

// SetHeader sets the headers of UpgradeHeader in a request that net/http writes.
func SetHeader(header http.Header) {
	for line := range strings.Lines(UpgradeHeader) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		header.Set(key, value)
	}
}

// Conn is the client's end of a connection. One goroutine may read while another one writes.
type Conn struct {
	net.Conn
	R *bufio.Reader // of the connection; it may hold bytes already
}

// NewConn returns a connection that reads at most size bytes ahead, and at least 16.
func NewConn(conn net.Conn, size int) *Conn { return &Conn{conn, bufio.NewReaderSize(conn, size)} }

// Read reads the bytes behind those that were read from R.
func (c *Conn) Read(b []byte) (int, error) { return c.R.Read(b) }

// Do sends a request as it is, and returns the answer, which may come before the server has read all of the request.
func (c *Conn) Do(request string) (*http.Response, error) {
	_, _ = io.WriteString(c, request)
	return c.ReadResponse(request)
}

// ReadResponse returns the answer to a request.
func (c *Conn) ReadResponse(request string) (*http.Response, error) {
	method, _, _ := strings.Cut(request, " ")
	return http.ReadResponse(c.R, &http.Request{Method: method})
}

// StatusError is an answer to an opening handshake other than 101.
type StatusError int

func (e StatusError) Error() string {
	return fmt.Sprintf("the handshake was answered with %d %s", int(e), http.StatusText(int(e)))
}

// Upgrade does an opening handshake. It returns a StatusError when the server refuses.
func (c *Conn) Upgrade(h Handshake) error {
	answer, err := c.Do(h.String())
	switch {
	case err != nil:
		return err
	case answer.StatusCode != http.StatusSwitchingProtocols:
		return StatusError(answer.StatusCode)
	case answer.Header.Get("Sec-WebSocket-Accept") != Accept:
		return errors.New("the answer to the handshake has another Sec-WebSocket-Accept")
	}
	return nil
}

// Upgrade does an opening handshake over a connection, and closes it on an error.
func Upgrade(conn net.Conn, h Handshake) (*Conn, error) {
	c := NewConn(conn, 4<<10)
	if err := c.Upgrade(h); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

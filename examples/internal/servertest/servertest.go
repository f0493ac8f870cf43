// Package servertest checks that the HTTP server of an example cannot be worn out by connections that do nothing.
package servertest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// Check looks at a server's timeouts, then shortens them and runs it: peers that do not finish their headers, or that ask
// for nothing more, are cut off. connect is called before that, to open a WebSocket connection, and what it returns after
// that, to see that the connection has outlived all timeouts.
func Check(t *testing.T, server *http.Server, connect func(addr string) (alive func())) {
	t.Helper()
	for name, timeout := range map[string]*time.Duration{
		"ReadHeaderTimeout": &server.ReadHeaderTimeout, "ReadTimeout": &server.ReadTimeout,
		"WriteTimeout": &server.WriteTimeout, "IdleTimeout": &server.IdleTimeout,
	} {
		if *timeout <= 0 || *timeout > 2*time.Minute {
			t.Errorf("%s is %v", name, *timeout)
		}
		*timeout = min(*timeout, 100*time.Millisecond)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Close()
	addr := listener.Addr().String()
	alive := connect(addr)

	slow, idle := begin(t, addr, "GET / HTTP/1.1\r\nHost: x\r\nUser-"), begin(t, addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := http.ReadResponse(idle, nil); err != nil {
		t.Errorf("no answer: %v", err)
	}
	for what, peer := range map[string]io.Reader{"does not finish its headers": slow, "asks for nothing more": idle} {
		if _, err := io.Copy(io.Discard, peer); err != nil {
			t.Errorf("a peer that %s is not cut off: %v", what, err)
		}
	}
	alive()
}

// begin connects and sends the beginning of a request. Reading fails when the server has not hung up after 10 s.
func begin(t *testing.T, addr, request string) *bufio.Reader {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(conn, request)
	return bufio.NewReader(conn)
}

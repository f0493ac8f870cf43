package test

// Elsewhere nobody tells what a peer has acknowledged.

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// smallWindow makes the receive buffer of a peer's socket, and its segments, as small as those of a slow link.
func smallWindow(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8<<10)
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1000)
	})
}

// upgradeTLS connects over TLS.
func upgradeTLS(t *testing.T, server *httptest.Server, dialer net.Dialer) *peer {
	t.Helper()
	addr := server.Listener.Addr()
	socket, err := dialer.Dial(addr.Network(), addr.String())
	must(t, err)
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "127.0.0.1"
	conn := tls.Client(socket, config)
	t.Cleanup(func() { conn.Close() })
	p := &peer{t, wstest.NewConn(conn, 16)}
	must(t, p.conn.Upgrade(wstest.Handshake{}))
	return p
}

// A TLS write cannot go on after a deadline, and the socket below it takes the next bytes only when much of its buffer is free:
// a peer that reads less than that within the write timeout is slow, and not gone. One that reads nothing is cut.
func TestSlowReaderOverTLSIsNotCut(t *testing.T) {
	t.Parallel() // it waits, for the most part
	const writeTimeout = time.Second
	m, server := overTCP(t, true, tank.WithLimits(tank.Limits{WriteTimeout: writeTimeout, OutboxBytes: 64 << 20}),
		tank.WithHeartbeat(time.Hour, time.Hour))
	p := upgradeTLS(t, server, net.Dialer{Control: smallWindow})
	<-m.ConnEvents
	for m.Stats().OutboxMemory < 1<<20 { // the system's buffers are full
		must(t, m.BroadcastMessage(make([]byte, 10<<10)))
	}
	pace := time.NewTicker(writeTimeout / 10)
	defer pace.Stop()
	for range cases(15, 40) { // for 1.5 or 4 times the timeout
		<-pace.C
		if _, err := io.CopyN(io.Discard, p.conn, 2<<10); err != nil { // 20 KiB in one timeout
			t.Fatal(err)
		}
	}
	select {
	case e := <-m.Errors:
		t.Fatal(e)
	default:
	}
	stopped := time.Now()
	e := <-m.ConnEvents
	if took := time.Since(stopped); e.Reason != "1006 write timeout" || took > 20*writeTimeout { // on a machine that is busy
		t.Fatalf("got %+v after %v", e, took)
	}
}

// A Unix socket does not tell what the peer has acknowledged, so a whole write has to be taken in time.
func TestWriteWithoutProgressOverTLSOnAUnixSocketIsCut(t *testing.T) {
	m := tank.NewInstance(tank.WithLimits(tank.Limits{WriteTimeout: 200 * time.Millisecond, OutboxBytes: 64 << 20}))
	go m.Start()
	t.Cleanup(func() { m.Shutdown(within(t, 10*time.Second)) })
	server := httptest.NewUnstartedServer(m)
	server.Listener.Close()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	must(t, err)
	server.Listener = listener
	server.StartTLS()
	t.Cleanup(server.Close)
	upgradeTLS(t, server, net.Dialer{})
	<-m.ConnEvents
	for m.Stats().OutboxMemory < 1<<20 { // the system's buffers are full
		must(t, m.BroadcastMessage(make([]byte, 10<<10)))
	}
	if e := <-m.ConnEvents; e.Reason != "1006 write timeout" {
		t.Fatalf("got %+v", e)
	}
}

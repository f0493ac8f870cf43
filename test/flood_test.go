package test

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// rawTCP is a connection to a real server of which the test writes every byte.
func rawTCP(t *testing.T, server *httptest.Server) *peer {
	t.Helper()
	return rawTCPBy(t, server, server.Listener.Addr())
}

// rawTCPBy is rawTCP by way of a proxy.
func rawTCPBy(t *testing.T, server *httptest.Server, addr net.Addr) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", addr.String())
	must(t, err)
	if server.TLS != nil {
		config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		config.ServerName = "127.0.0.1"
		conn = tls.Client(conn, config)
	}
	t.Cleanup(func() { conn.Close() })
	c, err := wstest.Upgrade(conn, wstest.Handshake{})
	must(t, err)
	return &peer{t, c}
}

// Floods go on until the server hangs up. Memory must not grow with them, and the close frame has to come through.
func TestFloodsEndWithTheRightCodeAndTakeNoMemory(t *testing.T) {
	closeTimeout := time.Duration(cases(100, 300)) * time.Millisecond
	eachTransport(t, func(t *testing.T, secure bool) {
		few := 9
		if secure {
			few = 2
		}
		for name, flood := range sample(few, map[string]struct {
			first, again []byte
			code         int
		}{
			"pings":                  {nil, frame(opPing, ""), 1008},
			"pings of 125 bytes":     {nil, frame(opPing, strings.Repeat("x", 125)), 1008},
			"empty fragments":        {begun(0x01, 0), begun(0x00, 0), 1008},
			"pings inside a message": {begun(0x01, 0), frame(opPing, ""), 1008},
			"one endless message":    {begun(0x02, 1), append([]byte("x"), begun(0x00, 1)...), 1008}, // below 32 KiB in 100 ms, or above it
			"an endless frame":       {[]byte{0x82, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 64), 1009},
			"reserved opcodes":       {nil, frame(3, ""), 1002},
			"pongs":                  {nil, frame(opPong, ""), 1008},
			"pongs inside a message": {begun(0x01, 0), frame(opPong, ""), 1008},
		}) {
			t.Run(name, func(t *testing.T) {
				m, server := overTCP(t, secure, tank.WithLimits(tank.Limits{MessageTimeout: 100 * time.Millisecond, CloseTimeout: closeTimeout}))
				p := rawTCP(t, server)
				before := heap()
				var wg sync.WaitGroup
				wg.Go(func() {
					if _, err := p.conn.Write(flood.first); err != nil {
						return
					}
					for chunk := bytes.Repeat(flood.again, 1000); ; {
						if _, err := p.conn.Write(chunk); err != nil {
							return
						}
					}
				})
				for {
					op, payload, err := p.receive()
					if err != nil {
						t.Fatalf("waiting for close %d: %v", flood.code, err)
					}
					if op == opPong || op == opPing {
						continue
					}
					if code := int(payload[0])<<8 | int(payload[1]); op != opClose || code != flood.code && name != "one endless message" {
						t.Fatalf("got opcode %d with %q, want close %d", op, payload, flood.code)
					}
					break
				}
				least := heap() // the flood goes on, and makes garbage between two looks
				for range 4 {
					least = min(least, heap())
				}
				if grown := int64(least) - int64(before); grown > 8<<20 { // what is kept of each frame would be more
					t.Errorf("the heap has grown by %d KiB", grown>>10)
				}
				wg.Wait() // the server hangs up on a peer that goes on
				for e := range m.ConnEvents {
					if e.EventType == tank.EventDisconnect {
						break
					}
				}
			})
		}
	})
}

// swallower is a proxy that passes everything on until it is told to lose it: then neither side hears of the other, as when a
// cable is pulled.
type swallower struct {
	net.Listener
	to      string
	lost    chan struct{}
	release chan struct{}
}

func newSwallower(t *testing.T, to string) *swallower {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &swallower{l, to, make(chan struct{}), make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			front, err := l.Accept()
			if err != nil {
				return
			}
			back, err := net.Dial("tcp", to)
			if err != nil {
				t.Error(err)
				return
			}
			wg.Go(func() { s.pass(front, back) })
			wg.Go(func() { s.pass(back, front) })
		}
	})
	t.Cleanup(func() { l.Close(); close(s.release); wg.Wait() })
	return s
}

func (s *swallower) pass(from, to net.Conn) {
	defer to.Close()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		select {
		case <-s.lost:
			<-s.release // nothing comes through, not even that one side has hung up
			return
		default:
		}
		if err != nil {
			return
		}
		to.Write(buf[:n])
	}
}

package test

import (
	"context"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
)

// witness accepts connections, and notes what the supervisor's goroutine does with them: that has to be nothing, because a
// system call takes as long as hundreds of messages.
type witness struct {
	net.Listener
	mu   sync.Mutex // guards seen
	seen map[string]string
}

type witnessed struct {
	*memnet.Conn
	w *witness
}

func (w *witness) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return witnessed{c.(*memnet.Conn), w}, nil
}

func (w *witness) note(call string) {
	stack := make([]byte, 32<<10)
	stack = stack[:runtime.Stack(stack, false)]
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[call] += ""
	if strings.Contains(string(stack), "(*supervisor).receive") {
		w.seen[call] = string(stack)
	}
}

func (c witnessed) Write(p []byte) (int, error)    { c.w.note("Write"); return c.Conn.Write(p) }
func (c witnessed) TryWrite(p []byte) (int, error) { c.w.note("TryWrite"); return c.Conn.TryWrite(p) }
func (c witnessed) Close() error                   { c.w.note("Close"); return c.Conn.Close() }
func (c witnessed) CloseWrite() error              { c.w.note("CloseWrite"); return c.Conn.CloseWrite() }
func (c witnessed) SetDeadline(t time.Time) error {
	c.w.note("SetDeadline")
	return c.Conn.SetDeadline(t)
}
func (c witnessed) SetReadDeadline(t time.Time) error {
	c.w.note("SetReadDeadline")
	return c.Conn.SetReadDeadline(t)
}
func (c witnessed) SetWriteDeadline(t time.Time) error {
	c.w.note("SetWriteDeadline")
	return c.Conn.SetWriteDeadline(t)
}

// TestSupervisorNeverTouchesASocket makes the supervisor refuse, ping, reap, evict, close and cut.
func TestSupervisorNeverTouchesASocket(t *testing.T) {
	for name, test := range map[string]struct {
		opts []tank.Option
		run  func(*server)
	}{
		"a subscription too many": {[]tank.Option{tank.WithLimits(tank.Limits{Subscriptions: 1})}, func(s *server) {
			p := s.dial("ann")
			p.subscribe(s, "news")
			for range 16 {
				p.send("sub:more")
				p.expectRefusal("limit", "more")
			}
			p.expectClose(1008)
		}},
		"connections too many": {[]tank.Option{byQuery, tank.WithLimits(tank.Limits{ConnectionsPerUser: 1})}, func(s *server) {
			s.dial("ann")
			p := s.dial("ann") // is closed
			s.dial("ann")      // is cut
			p.expectClose(1008)
		}},
		"closed by the server": {nil, func(s *server) {
			p := s.dial("ann")
			s.CloseUser("ann")
			p.expectClose(1000)
		}},
		"heartbeat": {nil, func(s *server) {
			s.dial("ann")
			time.Sleep(time.Minute)
		}},
		"budget": {[]tank.Option{tank.WithLimits(tank.Limits{TotalOutboxBytes: 1000})}, func(s *server) {
			s.connect(handshake{path: "/", buffer: 16})
			must(s.t, s.BroadcastMessage(make([]byte, 2000)))
			s.expectError(tank.CodeSlowClient)
		}},
		"shutdown": {nil, func(s *server) {
			p := s.dial("ann")
			go s.Shutdown(context.Background())
			p.expectClose(1001)
		}},
		"cut": {nil, func(s *server) {
			s.dial("ann").subscribe(s, "news")
			s.Shutdown(within(s.t, time.Second))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t, test.opts...)
				l := memnet.Listen()
				w := &witness{Listener: l, seen: make(map[string]string)}
				go s.http.Serve(w)
				s.listener = l
				test.run(s)
				synctest.Wait()
				w.mu.Lock()
				defer w.mu.Unlock()
				if _, ok := w.seen["TryWrite"]; !ok {
					t.Errorf("nothing was written: %v", w.seen)
				}
				for call, stack := range w.seen {
					if stack != "" {
						t.Errorf("%s is called by the supervisor:\n%s", call, stack)
					}
				}
			})
		})
	}
}

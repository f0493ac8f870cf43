package test

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
)

// metered is a server that counts the messages of each user.
type metered struct {
	*server
	mu  sync.Mutex // guards got
	got map[string]int
}

func (m *metered) handled(user string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.got[user]
}

func serveMetered(t *testing.T, opts ...tank.Option) *metered {
	m := &metered{got: make(map[string]int)}
	m.server = serve(t, append(opts, tank.WithHeartbeat(time.Hour, time.Hour), tank.WithMessageHandler(func(c *tank.Client, _ tank.Message) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.got[c.UserID()]++
	}))...)
	return m
}

var byQuery = tank.WithAuthenticator(func(r *http.Request) (tank.Identity, error) { return named(r.URL.Query().Get("user_id"), nil) })

// burst sends so many messages and returns how many of them are handled at once, and how long it takes until all are.
func (m *metered) burst(p *peer, user string, messages int) (atOnce int, all time.Duration) {
	m.t.Helper()
	before, began := m.handled(user), time.Now()
	for range messages {
		p.send("x")
	}
	synctest.Wait()
	atOnce = m.handled(user) - before
	for m.handled(user) < before+messages {
		if time.Sleep(10 * time.Millisecond); time.Since(began) > time.Hour {
			m.t.Fatalf("%d messages of %d came", m.handled(user)-before, messages)
		}
		synctest.Wait()
	}
	return atOnce, time.Since(began)
}

// leave closes the connection in good order.
func (m *metered) leave(p *peer) {
	m.t.Helper()
	p.write(closeFrame(1000, ""))
	p.expectClose(1000)
	synctest.Wait()
}

func (m *metered) expectAtOnce(p *peer, user string, messages, want int) {
	m.t.Helper()
	if got, _ := m.burst(p, user, messages); got != want {
		m.t.Errorf("%d of %d messages were handled at once, want %d", got, messages, want)
	}
}

func TestNewConnectionInheritsTheAllowanceOfAClosedOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serveMetered(t, byQuery)
		p := s.dial("ann")
		s.expectAtOnce(p, "ann", 200, 200)
		for range 3 {
			s.leave(p)
			p = s.dial("ann")
			if atOnce, took := s.burst(p, "ann", 100); atOnce != 0 || took != time.Second {
				t.Errorf("%d of 100 messages were handled at once, and all of them in %v", atOnce, took)
			}
		}
		s.expectAtOnce(s.dial("bob"), "bob", 200, 200)
		s.leave(p)
		time.Sleep(500 * time.Millisecond)
		s.expectAtOnce(s.dial("ann"), "ann", 200, 50)
		time.Sleep(2 * time.Second)
		s.expectAtOnce(s.dial("ann"), "ann", 200, 200) // what the closed ones left is full again
	})
}

func TestConnectionsThatAreOpenDoNotShareAnAllowance(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serveMetered(t, byQuery)
		a, b := s.dial("ann"), s.dial("ann")
		s.expectAtOnce(a, "ann", 200, 200)
		s.expectAtOnce(b, "ann", 200, 200)
		c := s.dial("ann")
		s.leave(a)
		s.expectAtOnce(c, "ann", 200, 200)   // it was there before
		d, e := s.dial("ann"), s.dial("ann") // all that come inherit it
		s.expectAtOnce(d, "ann", 1, 0)
		s.expectAtOnce(e, "ann", 5, 1) // after 10 ms
	})
}

func TestTheEmptiestAllowanceIsInherited(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serveMetered(t, byQuery)
		var open []*peer
		for _, used := range []int{50, 150, 100, 0} {
			p := s.dial("ann")
			s.expectAtOnce(p, "ann", used, used)
			open = append(open, p)
		}
		for _, p := range open {
			s.leave(p)
		}
		s.expectAtOnce(s.dial("ann"), "ann", 200, 50)
	})
}

// A client does not get a fresh allowance by hanging up before its messages are read: they are handled at its rate, and what
// they used up is inherited, however the connection ends.
func TestHangingUpEarlyDoesNotSaveTheAllowance(t *testing.T) {
	for name, end := range map[string]func(*metered, *peer){
		"the peer hangs up": func(_ *metered, p *peer) { p.conn.Close() },
		"the peer closes":   func(_ *metered, p *peer) { p.write(closeFrame(1000, "")) },
		"the server closes": func(m *metered, p *peer) { synctest.Wait(); m.CloseUser("ann"); p.write(closeFrame(1000, "")) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serveMetered(t, byQuery)
				p := s.dial("ann")
				for range 400 {
					p.send("x")
				}
				end(s, p)
				synctest.Wait()
				if got := s.handled("ann"); got != 200 {
					t.Errorf("%d messages were handled at once", got)
				}
				for s.GetClientCount() > 0 {
					time.Sleep(time.Millisecond)
					synctest.Wait()
				}
				if got, _ := s.burst(s.dial("ann"), "ann", 100); got > 10 {
					t.Errorf("%d messages more were handled at once", got)
				}
			})
		})
	}
}

// A connection that is rejected inherits like any other, and leaves no more than it has inherited.
func TestRejectedConnectionsKeepTheAllowanceOfTheirUser(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serveMetered(t, byQuery, tank.WithLimits(tank.Limits{ConnectionsPerUser: 2}))
		a, b := s.dial("ann"), s.dial("ann")
		s.expectAtOnce(a, "ann", 200, 200)
		s.leave(a)
		a = s.dial("ann")
		for range 3 {
			p := s.dial("ann")
			p.send("x")
			p.expectClose(1008)
		}
		s.leave(b)
		s.expectAtOnce(s.dial("ann"), "ann", 1, 0)
		s.expectAtOnce(a, "ann", 1, 1) // after 10 ms
	})
}

// Where nobody says who the user is, the address counts, and what clients call themselves does not.
func TestWithoutAnAuthenticatorTheAddressInherits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serveMetered(t)
		p := s.dial("ann")
		s.expectAtOnce(p, "ann", 200, 200)
		s.leave(p)
		if atOnce, took := s.burst(s.dial("bob"), "bob", 100); atOnce != 0 || took != time.Second {
			t.Errorf("%d of 100 messages were handled at once, and all of them in %v", atOnce, took)
		}
	})
}

// TestPingAllowanceIsInheritedByTheSameUserAlone: a client is closed over its pings, which must not happen to whoever comes next
// from the same address.
func TestPingAllowanceIsInheritedByTheSameUserAlone(t *testing.T) {
	for name, test := range map[string]struct {
		opts   []tank.Option
		closed bool
	}{"user": {[]tank.Option{byQuery}, true}, "address": {nil, false}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serveMetered(t, test.opts...)
				p := s.dial("ann")
				for i := range 20 {
					p.write(frame(opPing, fmt.Sprint(i)))
					if op, _, err := p.receive(); op != opPong || err != nil {
						t.Fatalf("got opcode %d (%v)", op, err)
					}
				}
				s.leave(p)
				p = s.dial("ann")
				p.write(frame(opPing, ""))
				if test.closed {
					p.expectClose(1008)
				} else if op, _, err := p.receive(); op != opPong || err != nil {
					t.Fatalf("got opcode %d (%v)", op, err)
				}
			})
		})
	}
}

// namelessListener accepts connections that report no address, such as those of some tunnels.
type namelessListener struct{ net.Listener }

type namelessConn struct{ net.Conn }

func (l namelessListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return namelessConn{c}, err
}

func (namelessConn) RemoteAddr() net.Addr { return nil }

func TestConnectionWithoutAnAddress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serveMetered(t)
		l := memnet.Listen()
		go s.http.Serve(namelessListener{l})
		s.listener = l
		p := s.dial("ann")
		s.expectAtOnce(p, "ann", 200, 200)
		if addr := s.GetAllClients()[0].RemoteAddr(); addr != "" {
			t.Errorf("its address is %q", addr)
		}
		s.leave(p)
		s.expectAtOnce(s.dial("ann"), "ann", 1, 0)
	})
}

package test

import (
	"bytes"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// A heartbeat tells whether the peer is there, however much of what it has sent waits to be read.

// backlog is so many messages of one byte. It takes the server 10 ms to read each, behind the first 200.
func backlog(messages int) []byte { return bytes.Repeat(frame(opText, "x"), messages) }

const heartbeatBound = tank.DefaultHeartbeatInterval + tank.DefaultHeartbeatTimeout + tank.DefaultHeartbeatInterval/25

// expectReaped fails the test unless the next event is the end of a client that vanished at a time.
func (s *server) expectReaped(vanished time.Time) {
	s.t.Helper()
	e := s.event()
	if took := time.Since(vanished); e.Reason != "1006 heartbeat timeout" || took > heartbeatBound {
		s.t.Fatalf("got %s %q after %v", e.EventType, e.Reason, took)
	}
	s.expectError(tank.CodeHeartbeat)
}

func TestClientThatVanishesBehindAFloodIsReaped(t *testing.T) {
	for name, messages := range map[string]int{"700 kB": 100_000, "20 kB": 3_000} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t)
				p := s.dial("ann")
				s.expectEvents("connect ann")
				p.write(backlog(messages))
				s.expectReaped(time.Now())
			})
		})
	}
}

func TestClientThatVanishesBehindASlowHandlerIsReaped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithMessageHandler(func(*tank.Client, tank.Message) { time.Sleep(5 * time.Minute) }))
		p := s.dial("ann")
		s.expectEvents("connect ann")
		p.send("takes long")
		s.expectReaped(time.Now())
		time.Sleep(5 * time.Minute) // the handler is still busy
	})
}

func TestClientThatIsThereIsNotReapedHoweverSlowlyItIsRead(t *testing.T) {
	answering := func(p *peer) { p.answer() }
	flooding := func(p *peer) { // pongs would stand behind all that
		for {
			if _, err := p.conn.Write(backlog(1000)); err != nil {
				return
			}
		}
	}
	handler := []tank.Option{tank.WithMessageHandler(func(*tank.Client, tank.Message) { time.Sleep(5 * time.Minute) })}
	for name, test := range map[string]struct {
		opts  []tank.Option
		first []byte
		do    func(*peer)
	}{
		"it answers pings":                         {nil, nil, answering},
		"its pongs stand behind a backlog":         {nil, backlog(20_000), answering},
		"it sends more than there is room for":     {nil, nil, flooding},
		"the handler takes minutes":                {handler, backlog(1), answering},
		"the handler takes minutes, and it floods": {handler, nil, flooding},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t, test.opts...)
				p := s.dial("ann")
				p.write(test.first)
				go test.do(p)
				time.Sleep(12 * time.Minute)
				s.expectNoErrors()
				if n := s.GetClientCount(); n != 1 {
					t.Fatalf("%d clients", n)
				}
				p.conn.Close()
				time.Sleep(5 * time.Minute) // the handler is still busy
			})
		})
	}
}

// On real sockets the kernel knows what has arrived.
const shortInterval, shortTimeout = 200 * time.Millisecond, 100 * time.Millisecond

func TestClientThatVanishesBehindABacklogIsReapedOverRealSockets(t *testing.T) {
	t.Parallel() // it waits, for the most part
	eachTransport(t, func(t *testing.T, secure bool) {
		few := 3
		if secure {
			few = 1
		}
		for name, test := range sample(few, map[string]struct {
			messages int
			isSlow   bool
		}{
			"idle":                         {0, false},
			"throttled":                    {2000, false},    // 14 kB, 18 s
			"throttled, with no room left": {100_000, false}, // 700 kB
			"in a slow handler":            {2000, true},
		}) {
			t.Run(name, func(t *testing.T) {
				end := make(chan struct{})
				m, server := overTCP(t, secure, tank.WithHeartbeat(shortInterval, shortTimeout), tank.WithMessageHandler(func(*tank.Client, tank.Message) {
					if test.isSlow {
						<-end
					}
				}))
				t.Cleanup(func() { close(end) })
				proxy := newSwallower(t, server.Listener.Addr().String())
				p := rawTCPBy(t, server, proxy.Addr())
				go p.answer()
				<-m.ConnEvents
				p.write(backlog(test.messages))
				if test.messages < 10_000 { // else its pongs find no room, either
					<-time.After(3 * shortInterval)
					if n := m.GetClientCount(); n != 1 {
						t.Fatalf("%d clients", n)
					}
				}
				close(proxy.lost)
				began := time.Now()
				e := <-m.ConnEvents
				if took := time.Since(began); e.Reason != "1006 heartbeat timeout" || took > 5*(shortInterval+shortTimeout) { // on a machine that is busy
					t.Fatalf("got %+v after %v", e, took)
				}
				if e := <-m.Errors; e.Code != tank.CodeHeartbeat {
					t.Fatalf("got %v", e)
				}
				p.conn.Close()
			})
		}
	})
}

func TestClientThatIsThereIsNotReapedOverRealSockets(t *testing.T) {
	t.Parallel() // it waits, for the most part
	aTransport(t, func(t *testing.T, secure bool) {
		managers := make(map[string]*tank.Manager)
		for name, test := range map[string]struct {
			messages int // negative: without end
			isSlow   bool
		}{
			"throttled":                       {2000, false},
			"in a slow handler":               {1, true},
			"in a slow handler, with no room": {-1, true},
		} {
			end := make(chan struct{})
			m, server := overTCP(t, secure, tank.WithHeartbeat(shortInterval, 2*shortInterval), tank.WithMessageHandler(func(*tank.Client, tank.Message) {
				if test.isSlow {
					<-end
				}
			}))
			managers[name] = m
			t.Cleanup(func() { close(end) })
			p := rawTCP(t, server)
			go p.answer()
			<-m.ConnEvents
			sent := make(chan struct{})
			t.Cleanup(func() { p.conn.Close(); <-sent })
			go func() {
				defer close(sent)
				p.write(backlog(max(1, test.messages)))
				for test.messages < 0 {
					if _, err := p.conn.Write(backlog(1000)); err != nil {
						return
					}
				}
			}()
		}
		<-time.After(time.Duration(cases(5, 12)) * shortInterval)
		for name, m := range managers {
			if len(m.ConnEvents) > 0 {
				t.Errorf("%s: got %+v", name, <-m.ConnEvents)
			}
		}
	})
}

// TestFullWindowOfAFloodIsNoSignOfLife: a peer that sends faster than it may, until its bytes find no room, has to have its
// bytes read, or it is taken for gone. Its acknowledgements would be those of a host, of which the page may be gone.
func TestFullWindowOfAFloodIsNoSignOfLife(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure bool) {
		m, server := overTCP(t, secure, tank.WithHeartbeat(shortInterval, shortTimeout))
		p := rawTCP(t, server)
		<-m.ConnEvents
		flooded := make(chan struct{})
		go func() {
			defer close(flooded)
			for {
				if _, err := p.conn.Write(backlog(1000)); err != nil {
					return
				}
			}
		}()
		if e := <-m.ConnEvents; e.Reason != "1006 heartbeat timeout" {
			t.Errorf("got %+v", e)
		}
		p.conn.Close()
		<-flooded
	})
}

package test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// Whatever a peer sends has a price. These tests count the bytes that the server takes in a time that is fake: without a price
// it would take all of them at once.

// inTheNetwork is how many bytes the network of the tests takes without the server.
const inTheNetwork = 1 << 20

// flood sends these frames again and again until the connection ends, or 64 MiB are sent. It returns how many bytes were taken.
func (p *peer) flood(frames ...[]byte) (taken int) {
	chunk := bytes.Join(frames, nil)
	chunk = bytes.Repeat(chunk, max(1, 4096/len(chunk)))
	for taken < 64<<20 {
		n, err := p.conn.Write(chunk)
		taken += n
		if err != nil {
			break
		}
	}
	return taken
}

func TestClosingClientIsReadFromSlowly(t *testing.T) {
	const readBuffer = 1 << 20 // a read may have begun before
	for name, test := range map[string]struct {
		close func(s *server, p *peer)
		flood []byte
	}{
		"closed by the server; messages":       {closeAll, frame(opText, "x")},
		"closed by the server; long messages":  {closeAll, frame(opBinary, strings.Repeat("x", 4<<20))},
		"closed by the server; pings":          {closeAll, frame(opPing, "x")},
		"closed by the server; pongs":          {closeAll, frame(opPong, "x")},
		"closed by the server; one message":    {func(s *server, p *peer) { p.write(begun(0x01, 0)); closeAll(s, p) }, begun(0x00, 0)},
		"too many subscriptions; messages":     {func(_ *server, p *peer) { p.write(bytes.Repeat(frame(opText, "sub:b"), 18)) }, frame(opText, "x")},
		"a protocol error; anything behind it": {func(_ *server, p *peer) { p.write(frame(3, "")) }, frame(opText, "x")},
		"a message too big; the rest of it":    {func(_ *server, p *peer) { p.write([]byte{0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) }, make([]byte, 64)},
		"too many pings; more of them":         {func(_ *server, p *peer) { p.write(bytes.Repeat(frame(opPing, ""), 30)) }, frame(opPing, "")},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t, tank.WithUpgrader(tank.Upgrader{ReadBufferSize: readBuffer}), tank.WithLimits(tank.Limits{Subscriptions: 1, MessagesPerSecond: 1e6, MessageBurst: 1e6, MessageBytes: 8 << 20}))
				p := s.dial("ann")
				p.subscribe(s, "a")
				test.close(s, p)
				synctest.Wait()
				began := time.Now()
				ended := make(chan time.Duration, 1)
				go func() {
					for e := range s.ConnEvents {
						if e.EventType == tank.EventDisconnect {
							ended <- time.Since(began)
						}
					}
				}()
				taken := p.flood(test.flood)
				most := 64<<10 + 5<<20
				if strings.HasPrefix(name, "closed") { // frames are looked at, and each counts for 64 bytes more
					most = int(float64(most) * float64(len(test.flood)) / float64(len(test.flood)+64))
				}
				if most += readBuffer + inTheNetwork + 128<<10; taken > most || taken < inTheNetwork+64<<10 {
					t.Errorf("%d bytes were taken, want %d at most", taken, most)
				}
				if took := <-ended; took > tank.DefaultCloseTimeout {
					t.Errorf("it ended after %v", took)
				}
				hung := time.Now()
				must(t, s.Shutdown(within(t, time.Minute))) // waits for the reader
				if took := time.Since(hung); took > 50*time.Millisecond {
					t.Errorf("the reader ended %v after the connection", took)
				}
			})
		})
	}
}

func closeAll(s *server, _ *peer) {
	for _, c := range s.GetAllClients() {
		c.Close(4000, "enough")
	}
}

func TestOrdinaryClosingHandshakeIsNotDelayed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		closeAll(s, p)
		began := time.Now()
		for range 100 { // on their way when the close frame came
			p.send(strings.Repeat("x", 500))
		}
		p.expectClose(4000)
		if took := time.Since(began); took != 0 {
			t.Fatalf("it took %v", took)
		}
	})
}

func TestPongsThatAnswerNothingAreTooMany(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		for range 100 { // some keep their connection alive with them
			p.write(bytes.Repeat(frame(opPong, ""), 10))
			time.Sleep(time.Second)
		}
		s.expectNoErrors()
		p.write(bytes.Repeat(frame(opPong, ""), 50))
		if reason := p.closeReason(1008); reason != "too many pongs" {
			t.Fatalf("closed with %q", reason)
		}
		mustBe(t, s.expectError(tank.CodeLimit), tank.ErrLimit)
	})
}

// However many pings there are, and however late the answers are read.
func TestPongsThatAnswerPingsAreNotTooMany(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithHeartbeat(time.Millisecond, time.Second), tank.WithLimits(tank.Limits{PingsPerSecond: 1, PingBurst: 1}),
			tank.WithMessageHandler(func(*tank.Client, tank.Message) { time.Sleep(10 * time.Second) }))
		p := s.dial("ann")
		go p.answer()
		p.send("keep busy")
		time.Sleep(30 * time.Second)
		s.expectNoErrors()
		if n := s.GetClientCount(); n != 1 {
			t.Fatalf("%d clients", n)
		}
	})
}

func TestFragmentsCountAgainstTheMessageRate(t *testing.T) {
	for name, fragment := range map[string][]byte{"empty": begun(0x00, 0), "a byte": append(begun(0x00, 1), 'x')} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t, tank.WithLimits(tank.Limits{MessageBytes: 1 << 30}), tank.WithHeartbeat(time.Hour, time.Hour))
				p := s.dial("ann")
				p.write(begun(0x02, 0))
				taken := make(chan int, 1)
				go func() { taken <- p.flood(fragment) }()
				go p.answer()
				n := <-taken // the message has 10 s, and then there are 5 s to close
				if most := (200+10*100)*64*len(fragment) + 6<<20 + inTheNetwork; n > most {
					t.Fatalf("%d bytes were taken, want %d at most", n, most)
				}
				mustBe(t, s.expectError(tank.CodeLimit), tank.ErrLimit)
			})
		})
	}
}

func TestManyFragmentsGetThroughWhenTheRateAllows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const fragments = 65_536
		got := make(chan int, 1)
		s := serve(t, tank.WithLimits(tank.Limits{MessageBytes: fragments * 64}), tank.WithHeartbeat(time.Hour, time.Hour),
			tank.WithMessageHandler(func(_ *tank.Client, m tank.Message) { got <- len(m.Data) }))
		p := s.dial("ann")
		part := strings.Repeat("x", 64)
		began := time.Now()
		for i := range fragments {
			f := frame(0, part)
			switch i {
			case 0:
				f[0] = opBinary
			case fragments - 1:
			default:
				f[0] = 0
			}
			p.write(f)
		}
		select {
		case n := <-got:
			if n != fragments*64 {
				t.Fatalf("got a message of %d bytes", n)
			}
		case <-time.After(time.Minute):
			t.Fatal("it has not come")
		}
		s.expectNoErrors()
		if took := time.Since(began); took < 8*time.Second || took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		if n := s.Stats().Throttled; n != 1 {
			t.Errorf("%d messages had to wait", n)
		}
	})
}

func TestMessageThatHadToWaitInTheMiddleIsCountedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		handled := 0
		s := serve(t, tank.WithMessageHandler(func(*tank.Client, tank.Message) { handled++ }))
		p := s.dial("ann")
		p.write(begun(0x01, 0))
		p.write(bytes.Repeat(begun(0x00, 0), 64*400)) // which takes 2 s
		time.Sleep(7 * time.Second)                   // and there is time again
		p.write(begun(0x80, 0))
		synctest.Wait()
		if n := s.Stats().Throttled; handled != 1 || n != 1 {
			t.Fatalf("%d messages were handled, %d had to wait", handled, n)
		}
		p.send("x")
		synctest.Wait()
		if n := s.Stats().Throttled; handled != 2 || n != 1 {
			t.Fatalf("%d messages were handled, %d had to wait", handled, n)
		}
	})
}

// TestTheHelloIsFirst: also for a client that connects in the moment of a ping.
func TestTheHelloIsFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		for range 300 {
			time.Sleep(250 * time.Millisecond)
			s.dial2("", 1<<16) // which expects it
		}
	})
}

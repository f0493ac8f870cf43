package test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// begun is the start of a client frame that announces n bytes, n being less than 64 KiB.
func begun(first byte, n int) []byte {
	return []byte{first, 0x80 | 126, byte(n >> 8), byte(n), 0, 0, 0, 0}
}

// drip writes bytes with a pause before each, until the test ends.
func (p *peer) drip(pause time.Duration, next func() []byte) {
	go func() {
		for {
			select {
			case <-p.t.Context().Done():
				return
			case <-time.After(pause):
			}
			if _, err := p.conn.Write(next()); err != nil {
				return
			}
		}
	}()
}

func TestMessageThatTakesTooLongIsRefused(t *testing.T) {
	x := func() []byte { return []byte("x") }
	for name, send := range map[string]func(*peer){
		"stalled in the header":     func(p *peer) { p.write([]byte{0x81}) },
		"stalled in the mask":       func(p *peer) { p.write([]byte{0x81, 0x85, 0}) },
		"stalled in the payload":    func(p *peer) { p.write(append(begun(0x81, 1000), "xx"...)) },
		"stalled between fragments": func(p *peer) { p.write([]byte{0x01, 0x81, 0, 0, 0, 0, 'x'}) },
		"a byte a second":           func(p *peer) { p.write(begun(0x81, 1000)); p.drip(time.Second, x) },
		"a byte an instant":         func(p *peer) { p.write(begun(0x82, 30_000)); p.drip(time.Millisecond, x) },
		"empty fragments": func(p *peer) {
			p.write(begun(0x01, 0))
			p.drip(time.Millisecond, func() []byte { return begun(0x00, 0) })
		},
		"pings inside": func(p *peer) {
			p.write(begun(0x01, 0))
			p.drip(time.Second, func() []byte { return frame(opPing, "") })
		},
		"behind another message":      func(p *peer) { p.send("complete"); p.write([]byte{0x81}) },
		"behind a ping":               func(p *peer) { p.write(append(frame(opPing, ""), 0x81)) },
		"too slow, and then too late": func(p *peer) { p.write(begun(0x81, 15)); p.drip(time.Second, x) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t)
				p := s.dial("ann")
				began := time.Now()
				send(p)
				for op := byte(0); op != opClose; {
					var payload string
					var err error
					if op, payload, err = p.receive(); err != nil {
						t.Fatal(err)
					}
					if op == opClose && payload != "\x03\xf0message took too long" {
						t.Fatalf("closed with %q", payload)
					}
				}
				if took := time.Since(began); took < 10*time.Second || took > 10*time.Second+10*time.Millisecond {
					t.Fatalf("refused after %v", took)
				}
				mustBe(t, s.expectError(tank.CodeLimit), tank.ErrLimit)
			})
		})
	}
}

// A control frame is small, so that one that does not come to its end is refused even earlier.
func TestControlFrameThatTakesTooLongIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.dial("ann")
		began := time.Now()
		p.write([]byte{0x89, 0x85, 0, 0, 0, 0, 'x'})
		p.expectClose(1008)
		if took := time.Since(began); took > 10*time.Second {
			t.Fatalf("refused after %v", took)
		}
	})
}

func TestTimeOfAMessageEndsWithIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		got := 0
		s := serve(t, tank.WithHeartbeat(time.Hour, time.Hour), tank.WithMessageHandler(func(*tank.Client, tank.Message) { got++ }))
		p := s.dial("ann")
		message := frame(opText, "some text")
		rest := message
		for range 50 { // whenever the server waits, a message has begun
			half := len(message) / 2
			p.write(append(bytes.Clone(rest), message[:half]...))
			rest = message[half:]
			time.Sleep(9 * time.Second)
		}
		p.write(rest)
		time.Sleep(10 * time.Minute) // and now none has
		p.send("at last")
		synctest.Wait()
		s.expectNoErrors()
		if got != 52 {
			t.Fatalf("got %d messages", got)
		}
	})
}

func TestMessageTimeoutOverRealSockets(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure bool) {
		m, server := overTCP(t, secure, tank.WithLimits(tank.Limits{MessageTimeout: 100 * time.Millisecond}))
		c := dialTCP(t, server, "ann")
		must(t, c.Write(t.Context(), websocket.MessageText, []byte("complete")))
		w, err := c.Writer(t.Context(), websocket.MessageText)
		must(t, err)
		w.Write(make([]byte, 10_000)) // the library sends some of it
		if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Fatalf("got %v, want close 1008", err)
		}
		if e := <-m.Errors; e.Code != tank.CodeLimit {
			t.Fatalf("got %v", e)
		}
	})
}

func TestFrameThatAnnouncesTooMuchIsRefusedAtOnce(t *testing.T) {
	for name, header := range map[string][]byte{
		"1 byte too many":      begun(0x82, 32<<10+1),
		"2^62":                 {0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"together":             append(append(begun(0x02, 2), "xx"...), begun(0x80, 32<<10-1)...),
		"with a start of it":   append(begun(0x82, 32<<10+1), "xxx"...),
		"behind a whole other": append(frame(opText, "whole"), begun(0x82, 32<<10+1)...),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				got := 0
				s := serve(t, tank.WithMessageHandler(func(*tank.Client, tank.Message) { got++ }))
				p := s.dial("ann")
				began := time.Now()
				p.write(header)
				if op, payload, err := p.receive(); op != opClose || payload[:2] != "\x03\xf1" || err != nil {
					t.Fatalf("got opcode %d with %q (%v)", op, payload, err)
				}
				if took := time.Since(began); took != 0 {
					t.Fatalf("refused after %v", took)
				}
				if want := strings.Count(name, "whole"); got != want {
					t.Fatalf("%d messages came, want %d", got, want)
				}
			})
		})
	}
}

func TestTextThatCannotBecomeUTF8IsRefusedAtOnce(t *testing.T) {
	for name, sent := range map[string][]byte{
		"in the first fragment":  append(begun(0x01, 3), "a\xffb"...),
		"in an unfinished frame": append(begun(0x81, 1000), "good, then \xf4\x90"...),
		"across fragments":       append(append(begun(0x01, 2), "a\xe4"...), append(begun(0x00, 1), "a"...)...),
		"in a long one":          append(begun(0x81, 20_000), strings.Repeat("字", 6000)+"\xff"...),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t)
				p := s.dial("ann")
				began := time.Now()
				p.write(sent)
				if op, payload, err := p.receive(); op != opClose || payload[:2] != "\x03\xef" || err != nil {
					t.Fatalf("got opcode %d with %q (%v)", op, payload, err)
				}
				if took := time.Since(began); took != 0 {
					t.Fatalf("refused after %v", took)
				}
			})
		})
	}
	t.Run("good text in pieces is none", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			text := strings.Repeat("añ字𝄞", 100)
			var got string
			s := serve(t, tank.WithMessageHandler(func(_ *tank.Client, m tank.Message) { got = string(m.Data) }))
			p := s.dial("ann")
			for _, b := range append(begun(0x81, len(text)), text...) {
				p.write([]byte{b})
				synctest.Wait()
			}
			if got != text {
				t.Fatalf("got %q", got)
			}
		})
	})
}

func TestPingsPastTheLimitCloseTheClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithHeartbeat(time.Hour, time.Hour))
		p := s.dial("ann")
		ping := func(n int) {
			for i := range n {
				p.write(frame(opPing, fmt.Sprint(i)))
			}
		}
		expect := func(n int) {
			t.Helper()
			for i := range n {
				if op, payload, err := p.receive(); op != opPong || payload != fmt.Sprint(i) || err != nil {
					t.Fatalf("got opcode %d with %q (%v), want pong %d", op, payload, err, i)
				}
			}
		}
		ping(20) // the burst
		expect(20)
		for range 100 { // and then for as long as it likes
			time.Sleep(time.Second)
			ping(10)
			expect(10)
		}
		ping(1)
		p.expectClose(1008)
		mustBe(t, s.expectError(tank.CodeLimit), tank.ErrLimit)
	})
}

func TestPingFloodOverRealSockets(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure bool) {
		m, server := overTCP(t, secure)
		c := dialTCP(t, server, "ann")
		ended := make(chan error)
		go func() {
			_, _, err := c.Read(t.Context())
			ended <- err
		}()
		for i := 0; ; i++ {
			if err := c.Ping(t.Context()); err != nil {
				if i < 20 {
					t.Errorf("ping %d is refused: %v", i, err)
				}
				break
			}
		}
		if err := <-ended; websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Fatalf("got %v, want close 1008", err)
		}
		if e := <-m.Errors; e.Code != tank.CodeLimit {
			t.Fatalf("got %v", e)
		}
	})
}

func TestMessagesPastTheRateAreReadLaterAndNotLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const messages = 1200
		type arrival struct {
			text string
			at   time.Time
		}
		got := make(chan arrival, messages)
		s := serve(t, tank.WithHeartbeat(time.Second, time.Second), // it is not dead meanwhile, although its pongs wait, too
			tank.WithMessageHandler(func(_ *tank.Client, m tank.Message) { got <- arrival{string(m.Data), time.Now()} }))
		p := s.dial("ann")
		bystander := s.dial("bob")
		began := time.Now()
		go func() {
			for i := range messages {
				p.send(fmt.Sprint(i))
			}
			for {
				if op, _, err := p.receive(); err != nil {
					return
				} else if op == opPing {
					p.write(frame(opPong, ""))
				}
			}
		}()
		synctest.Wait()
		if len(got) != 200 {
			t.Fatalf("%d messages came at once, want the burst of 200", len(got))
		}
		must(t, s.BroadcastMessage([]byte("not held up")))
		bystander.expect("not held up")
		go bystander.answer()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(got) != messages {
			t.Fatalf("%d messages came", len(got))
		}
		var last arrival
		for i := range messages {
			if last = <-got; last.text != fmt.Sprint(i) {
				t.Fatalf("message %d is %s", i, last.text)
			}
		}
		if took := last.at.Sub(began); took != 10*time.Second {
			t.Fatalf("the last came after %v, want 1000 more at 100 per second", took)
		}
		if n := s.Stats().Throttled; n != messages-200 {
			t.Fatalf("%d messages had to wait", n)
		}
		s.expectNoErrors()
	})
}

func TestShutdownDoesNotWaitForAClientThatIsSlowedDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{MessagesPerSecond: 1, MessageBurst: 1}), tank.WithMessageHandler(func(*tank.Client, tank.Message) {}))
		p := s.dial("ann")
		for range 100 {
			p.send("x")
		}
		go p.answer()
		synctest.Wait() // the second has to wait now
		began := time.Now()
		must(t, s.Shutdown(within(t, time.Minute)))
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Fatalf("it took %v", took)
		}
	})
}

// closeReason reads until the close frame, which must have this code, and returns what it says.
func (p *peer) closeReason(code int) string {
	p.t.Helper()
	for {
		op, payload, err := p.receive()
		switch {
		case err != nil:
			p.t.Fatalf("waiting for close %d: %v", code, err)
		case op != opClose:
		case len(payload) < 2 || int(payload[0])<<8|int(payload[1]) != code:
			p.t.Fatalf("close frame has payload %q, want code %d", payload, code)
		default:
			return payload[2:]
		}
	}
}

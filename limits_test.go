package tank_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
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

// answer reads everything until the end of the connection, and answers what RFC 6455 wants answered.
func (p *peer) answer() {
	for {
		switch op, payload, err := p.receive(); {
		case err != nil:
			return
		case op == opPing:
			p.write(frame(opPong, payload))
		case op == opClose:
			p.write(frame(opClose, payload))
		}
	}
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

func TestSubscriptionsPastTheLimitAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var c *tank.Client
		s := serve(t, tank.WithSubscribeAuthorizer(func(client *tank.Client, _ string) error { c = client; return nil }))
		p := s.dial("ann")
		for i := range 128 {
			p.subscribe(s, fmt.Sprint(i))
		}
		refused := func(times int) {
			t.Helper()
			for range times {
				p.send("sub:more")
				p.expectRefusal("limit", "more")
				mustBe(t, s.expectError(tank.CodeLimit), tank.ErrLimit)
			}
		}
		refused(15)
		p.send("sub:5") // which it has
		synctest.Wait()
		mustBe(t, c.Subscribe("more"), tank.ErrLimit)
		mustBe(t, c.Subscribe("more"), tank.ErrLimit) // the server's own requests do not count
		p.send("unsub:5")
		p.subscribe(s, "in its place")
		refused(15)
		must(t, s.BroadcastTopicMessage("7", "still here"))
		p.expectTopic("7", "still here")
		if got := s.Stats().Topics; got != 128 {
			t.Fatalf("there are %d topics", got)
		}
		p.send("sub:more")
		p.expectRefusal("limit", "more")
		p.expectClose(1008)
	})
}

func TestConnectionsPastTheLimitAreAnswered503(t *testing.T) {
	bubble(t, func(t *testing.T) {
		asked := 0
		s := serve(t, tank.WithLimits(tank.Limits{Connections: 2}), tank.WithAuthenticator(func(r *http.Request) (string, error) {
			if asked++; r.Header.Get("Token") == "bad" {
				return "", errors.New("no")
			}
			return "", nil
		}))
		for range 5 { // a request that is refused takes no place
			if _, resp := s.request(handshake{path: "/", header: http.Header{"Token": {"bad"}}}); resp.StatusCode != 401 {
				t.Fatalf("answered with %s", resp.Status)
			}
			s.expectError(tank.CodeAuth)
		}
		first := s.dial("")
		s.dial("")
		before := asked
		_, resp := s.request(handshake{path: "/"})
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || asked != before {
			t.Fatalf("answered with %s, %v; the authenticator was asked %d times", resp.Status, resp.Header, asked-before)
		}
		mustBe(t, s.expectError(tank.CodeUpgrade), tank.ErrLimit)
		first.write(closeFrame(1000, ""))
		first.expectClose(1000)
		synctest.Wait()
		s.dial("")
		if n := s.GetClientCount(); n != 2 {
			t.Fatalf("%d clients", n)
		}
	})
}

func TestRequestWhoseGoroutineEndsTakesNoPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{Connections: 1}), tank.WithAuthenticator(func(r *http.Request) (string, error) {
			if r.Header.Get("Token") == "exit" {
				runtime.Goexit()
			}
			return "", nil
		}))
		for range 2 {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Header.Set("Token", "exit")
				s.ServeHTTP(httptest.NewRecorder(), r)
			}()
			<-ended
		}
		s.dial("")
	})
}

func TestConnectionsOfOneUserPastTheLimitAreClosedWith1008(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithAuthenticator(func(r *http.Request) (string, error) { return r.URL.Query().Get("user_id"), nil }))
		var ann []*peer
		for range 32 {
			ann = append(ann, s.dial("ann"))
			s.expectEvents("connect ann")
		}
		for range 100 {
			p := s.dial("ann")
			must(t, s.BroadcastMessage([]byte("not for those who are turned away")))
			p.send("sub:news")
			p.expectClose(1008)
			mustBe(t, s.expectError(tank.CodeLimit), tank.ErrLimit)
			s.expectEvents("connect ann", "disconnect ann")
		}
		s.dial("bob")
		for range 40 {
			s.dial("") // nobody in particular
		}
		if n := s.CloseClient("ann"); n != 32 {
			t.Fatalf("%d connections of ann were closed", n)
		}
		for _, p := range ann {
			for range 100 {
				p.expect("not for those who are turned away")
			}
			p.expectClose(1000)
		}
		s.dial("ann").expectNothing()
	})
}

func TestUsersWhoNameThemselvesCannotLockOthersOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		for range 40 {
			s.dial("ann")
		}
		s.expectNoErrors()
		if n := s.GetClientCount(); n != 40 {
			t.Fatalf("%d clients", n)
		}
	})
}

func TestWriteWithoutProgressIsCut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.connect(handshake{path: "/?user_id=ann", buffer: 100})
		s.expectEvents("connect ann")
		must(t, s.BroadcastMessage(make([]byte, 1000)))
		began := time.Now()
		e := s.event()
		if took := time.Since(began); e.Reason != "1006 write timeout" || took != 5*time.Second {
			t.Fatalf("got %+v after %v", e, took)
		}
		s.expectError(tank.CodeWrite)
		if got := s.Stats(); got.Dropped != 1 || got.OutboxBytes != 0 {
			t.Fatalf("got %+v", got)
		}
		p.conn.Close()
	})
}

func TestSlowWriteThatMakesProgressIsNotCut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithHeartbeat(time.Hour, time.Hour))
		p := s.connect(handshake{path: "/", buffer: 10})
		must(t, s.BroadcastMessage([]byte(strings.Repeat("x", 100))))
		for range 102 {
			time.Sleep(4 * time.Second)
			if _, err := p.conn.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		must(t, s.BroadcastMessage([]byte("and on")))
		p.expect("and on")
		s.expectNoErrors()
	})
}

func TestBudgetOfAllOutboxesClosesTheLargestFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const budget = 1 << 20
		clients := map[string]*tank.Client{}
		s := serve(t, tank.WithLimits(tank.Limits{TotalOutboxBytes: budget, WriteTimeout: time.Hour}),
			tank.WithMessageHandler(func(c *tank.Client, _ tank.Message) { clients[c.UserID()] = c }))
		connect := func(name string) {
			s.connect(handshake{path: "/?user_id=" + name, buffer: 16}).send("hello")
			synctest.Wait()
		}
		for _, name := range []string{"small", "large", "medium"} {
			connect(name)
		}
		send := func(name string, kilobytes int) {
			for range kilobytes / 10 {
				must(t, clients[name].Send(tank.Message{Data: make([]byte, 10<<10), Binary: true}))
			}
			synctest.Wait()
		}
		send("small", 200)
		send("large", 450)
		send("medium", 300)
		s.expectNoErrors()
		if got := s.Stats().OutboxBytes; got < 950<<10 || got > budget {
			t.Fatalf("%d bytes are held", got)
		}
		send("small", 100)
		if e := s.expectError(tank.CodeSlowClient); e.UserID != "large" {
			t.Fatalf("got %+v", e)
		}
		send("small", 300)
		s.expectNoErrors() // that made room enough
		send("medium", 150)
		send("medium", 150)
		if e := s.expectError(tank.CodeSlowClient); e.UserID != "small" && e.UserID != "medium" {
			t.Fatalf("got %+v", e)
		}
		if got := s.Stats(); got.Evicted != 2 || got.OutboxBytes > budget {
			t.Fatalf("got %+v", got)
		}
	})
}

// A hundred clients that wait for the same megabyte take a megabyte.
func TestBudgetCountsWhatIsSharedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{TotalOutboxBytes: 1 << 20, WriteTimeout: time.Hour}))
		for range 100 {
			s.connect(handshake{path: "/", buffer: 16})
		}
		for range 50 {
			must(t, s.BroadcastMessage(make([]byte, 10<<10)))
		}
		synctest.Wait()
		s.expectNoErrors()
		if got := s.Stats().OutboxBytes; got < 500<<10 || got > 600<<10 {
			t.Fatalf("%d bytes are held", got)
		}
		must(t, s.Shutdown(within(t, time.Minute)))
		if got := s.Stats().OutboxBytes; got != 0 {
			t.Fatalf("%d bytes are held at the end", got)
		}
	})
}

func TestDrainClosesClientsLittleByLittle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithDrain(10*time.Second, 3))
		const clients = 10
		closed := make(chan time.Duration, clients)
		var began time.Time
		for i := range clients {
			p := s.dial(fmt.Sprint("u", i))
			p.subscribe(s, "news")
			go func() {
				seen := 0
				for {
					op, payload, err := p.receive()
					switch {
					case err != nil:
						t.Errorf("after %d messages: %v", seen, err)
						return
					case op == opClose:
						if payload != "\x03\xe9server is shutting down, please reconnect" {
							t.Errorf("closed with %q", payload)
						}
						took := time.Since(began)
						if want := int((took+700*time.Millisecond)/time.Second) + 1; seen != want { // all that was published before
							t.Errorf("got %d messages in %v", seen, took)
						}
						closed <- took
						p.write(frame(opClose, payload))
						return
					case op == opText:
						if want := fmt.Sprintf(`{"topic":"news","data":"%d"}`, seen); payload != want {
							t.Errorf("got %s, want %s", payload, want)
						}
						seen++
					}
				}
			}()
		}
		began = time.Now()
		must(t, s.BroadcastTopicMessage("news", "0"))
		done := make(chan error)
		go func() { done <- s.Shutdown(within(t, time.Minute)) }()
		synctest.Wait()
		if _, resp := s.request(handshake{path: "/"}); resp.StatusCode != 503 || s.IsRunning() {
			t.Fatalf("a newcomer is answered with %s", resp.Status)
		}
		time.Sleep(300 * time.Millisecond)
		for i := 1; i <= 8; i++ {
			must(t, s.BroadcastTopicMessage("news", fmt.Sprint(i))) // those who are left are served
			time.Sleep(time.Second)
		}
		must(t, <-done)
		mustBe(t, s.BroadcastTopicMessage("news", "too late"), tank.ErrClosed)
		var got []time.Duration
		for range clients {
			got = append(got, (<-closed).Round(time.Millisecond))
		}
		if want := "[0s 0s 0s 2.5s 2.5s 2.5s 5s 5s 5s 7.5s]"; fmt.Sprint(got) != want {
			t.Fatalf("closed after %v, want %s", got, want)
		}
	})
}

func TestDrainEndsWithTheContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithDrain(time.Hour, 1))
		for range 10 {
			go s.dial("").answer()
		}
		began := time.Now()
		mustBe(t, s.Shutdown(within(t, 10*time.Second)), context.DeadlineExceeded)
		if took := time.Since(began); took > 11*time.Second || s.GetClientCount() != 0 {
			t.Fatalf("it took %v, and %d clients are left", took, s.GetClientCount())
		}
	})
}

// Another Shutdown that has no patience ends what the first one was doing little by little.
func TestDrainIsCutByAnotherShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithDrain(time.Hour, 1))
		for range 10 {
			s.dial("").subscribe(s, "news")
		}
		first := make(chan error)
		go func() { first <- s.Shutdown(within(t, 2*time.Hour)) }()
		synctest.Wait()
		began := time.Now()
		mustBe(t, s.Shutdown(within(t, 0)), context.DeadlineExceeded)
		mustBe(t, s.BroadcastTopicMessage("news", "too late"), tank.ErrClosed)
		mustBe(t, s.BroadcastTopicMessage("nobody's", "too late"), tank.ErrClosed)
		if err := <-first; err == nil { // it may have done the last steps itself
			t.Error("the first Shutdown does not tell that connections were cut")
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestDrainOfNobodyTakesNoTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithDrain(time.Hour, 1))
		p := s.dial("")
		p.conn.Close()
		synctest.Wait()
		began := time.Now()
		must(t, s.Shutdown(within(t, time.Minute)))
		must(t, tank.NewInstance(tank.WithDrain(time.Hour, 1)).Shutdown(t.Context()))
		if took := time.Since(began); took != 0 {
			t.Fatalf("it took %v", took)
		}
	})
}

func TestLimitsThatAreNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{
			MessageTimeout: math.MaxInt64, MessagesPerSecond: math.MaxInt, MessageBurst: math.MaxInt, PingsPerSecond: math.MaxInt,
			PingBurst: math.MaxInt, Subscriptions: math.MaxInt, Connections: math.MaxInt, ConnectionsPerUser: math.MaxInt,
			TotalOutboxBytes: math.MaxInt, WriteTimeout: math.MaxInt64,
		}), tank.WithHeartbeat(time.Hour, time.Hour))
		p := s.connect(handshake{path: "/", buffer: 100})
		p.write([]byte{0x81})
		must(t, s.BroadcastMessage(make([]byte, 1000)))
		time.Sleep(20 * time.Second)
		if _, data := p.next(); len(data) != 1000 {
			t.Fatalf("got %d bytes", len(data))
		}
		p.write([]byte{0x80, 0, 0, 0, 0})
		for range 10_000 {
			p.write(append(frame(opPing, ""), frame(opText, "sub:x")...))
		}
		synctest.Wait()
		s.expectNoErrors()
		if n := s.Stats().MessagesIn; n != 10_001 {
			t.Fatalf("%d messages came", n)
		}
	})
}

func TestOutboxPoliciesLoseMessagesAndCountThem(t *testing.T) {
	for name, test := range map[string]struct {
		policy tank.OutboxPolicy
		want   []string // behind the message that is being written
	}{
		"drop oldest": {tank.OutboxDropOldest, []string{"b4", "a5", "b5"}},
		"keep latest": {tank.OutboxKeepLatest, []string{"a5", "b5"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				message := func(name string) string { return name + strings.Repeat("x", 300) }
				var c *tank.Client
				s := serve(t, tank.WithOutboxPolicy(test.policy), tank.WithLimits(tank.Limits{OutboxBytes: 1500}),
					tank.WithSubscribeAuthorizer(func(client *tank.Client, _ string) error { c = client; return nil }))
				p := s.connect(handshake{path: "/?user_id=slow", buffer: 16})
				healthy := s.dial("healthy")
				for _, topic := range []string{"a", "b"} {
					healthy.subscribe(s, topic)
					p.subscribe(s, topic)
				}
				must(t, s.BroadcastTopicMessage("a", message("first")))
				healthy.expectTopic("a", message("first"))
				synctest.Wait()
				for i := range 6 {
					for _, topic := range []string{"a", "b"} {
						must(t, s.BroadcastTopicMessage(topic, message(fmt.Sprint(topic, i))))
						healthy.expectTopic(topic, message(fmt.Sprint(topic, i)))
						synctest.Wait()
					}
				}
				p.expectTopic("a", message("first"))
				for _, want := range test.want {
					p.expectTopic(want[:1], message(want))
				}
				p.expectNothing()
				lost := uint64(12 - len(test.want))
				perTopic := uint64(0)
				for _, topic := range s.GetAllTopics() {
					perTopic += topic.Dropped
				}
				if c.Dropped() != lost || perTopic != lost || s.Stats().Dropped != lost {
					t.Fatalf("%d are counted by the client, %d by the topics, %d in total; want %d", c.Dropped(), perTopic, s.Stats().Dropped, lost)
				}
				if e := s.expectError(tank.CodeSlowClient); e.UserID != "slow" {
					t.Fatalf("got %+v", e)
				}
				s.expectNoErrors() // it tells once
				if s.Stats().Evicted != 0 || s.GetClientCount() != 2 {
					t.Fatal("a client was closed")
				}
			})
		})
	}
}

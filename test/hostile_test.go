package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// Each test here is the end of a way that was found to break the library.

// ginWriter is the ResponseWriter of gin, cut down: WriteHeader only takes note.
type ginWriter struct {
	http.ResponseWriter
	status  int
	written bool
}

func (w *ginWriter) WriteHeader(status int) { w.status = status }

func (w *ginWriter) WriteHeaderNow() {
	if !w.written {
		w.written = true
		w.ResponseWriter.WriteHeader(w.status)
	}
}

func (w *ginWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.written = true
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

func TestGinsResponseWriter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := tank.NewInstance(tank.WithCompression(1, 0))
		s := mount(t, m)
		s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			m.ServeHTTP(unwrappable{&ginWriter{ResponseWriter: w}}, r)
		})
		go m.Start()
		if _, resp := s.request(handshake{path: "/", header: offer}); resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Extensions") == "" {
			t.Fatalf("got %s with %v", resp.Status, resp.Header)
		}
	})
}

// callingError is an error whose text asks the instance that reports it.
type callingError struct{ m *tank.Manager }

func (e callingError) Error() string {
	return fmt.Sprint("already ", e.m.GetTopicSubscriberCount("news"))
}

func TestErrorsThatCallTheInstanceHoldUpNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var m *tank.Manager
		m = tank.NewInstance(
			tank.WithLogger(slog.New(slog.DiscardHandler)),
			tank.WithSubscribeAuthorizer(func(*tank.Client, string) error { panic(callingError{m}) }))
		s := mount(t, m)
		go m.Start()
		p := s.dial("ann")
		p.send("sub:news")
		p.expectClose(1011)
		must(t, s.Shutdown(within(t, time.Minute)))
	})
}

func TestTypedNilErrorsOfCallbacksAreErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithSubscribeAuthorizer(func(*tank.Client, string) error {
			var none *net.OpError
			return none
		}))
		bystander := s.dial("bystander")
		p := s.dial("ann")
		p.send("sub:news")
		synctest.Wait()
		must(t, s.BroadcastMessage([]byte("all is well")))
		bystander.expect("all is well")
		if n := s.GetTopicSubscriberCount("news"); n != 0 {
			t.Fatalf("%d subscribers", n)
		}
	})
}

func TestSlowButSteadyReaderIsAlive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		p := s.connect(handshake{path: "/?user_id=ann", buffer: 4 << 10})
		p.subscribe(s, "news")
		const messages = 90
		for range messages { // less than an outbox
			must(t, s.BroadcastTopicMessage("news", strings.Repeat("x", 10<<10)))
		}
		for n := 0; n < messages; time.Sleep(time.Second) {
			op, payload, err := p.receive()
			if err != nil {
				t.Fatalf("cut after %d messages: %v", n, err)
			}
			if op == opPing {
				p.write(frame(opPong, payload))
			} else {
				n++
			}
		}
		s.expectNoErrors()
	})
}

func TestExtremeSettings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t,
			tank.WithLimits(tank.Limits{MessageBytes: math.MaxInt, OutboxBytes: math.MaxInt, TopicQueueBytes: math.MaxInt,
				PublishTimeout: math.MaxInt64, CloseTimeout: math.MaxInt64}),
			tank.WithHeartbeat(25*time.Second, math.MaxInt64))
		p := s.dial("ann")
		p.subscribe(s, "news")
		must(t, s.BroadcastTopicMessage("news", "x"))
		p.expectTopic("news", "x")
		time.Sleep(time.Hour)
		if n := s.GetClientCount(); n != 1 {
			t.Fatal("cut, although the timeout is 292 years")
		}
		p.conn.Close()
	})
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{MessageBytes: 8, OutboxBytes: 1, TopicQueueBytes: 1}))
		p := s.dial("ann")
		p.subscribe(s, "news")
		for range 10 {
			must(t, s.BroadcastTopicMessage("news", "more than all limits together"))
			p.expectTopic("news", "more than all limits together")
		}
	})
}

func TestHeartbeatTimeoutIsKeptWithLongIntervals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithHeartbeat(time.Hour, 10*time.Second))
		p := s.dial("ann")
		s.expectEvents("connect ann")
		p.receive()
		pinged := time.Now()
		s.expectEvents("disconnect ann")
		if took := time.Since(pinged); took < 10*time.Second || took > 15*time.Second {
			t.Fatalf("cut %v after the ping, want 10s", took)
		}
	})
}

func TestRequestThatOutlivesShutdownIsAnswered503(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithAuthenticator(func(*http.Request) (tank.Identity, error) {
			time.Sleep(10 * time.Second)
			return named("ann", nil)
		}))
		go func() {
			time.Sleep(time.Second)
			s.Shutdown(context.Background())
		}()
		if _, resp := s.request(handshake{path: "/"}); resp.StatusCode != 503 {
			t.Fatalf("got %s", resp.Status)
		}
	})
}

func TestAuthenticatorsErrorIsNeverToldToTheClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithAuthenticator(func(*http.Request) (tank.Identity, error) {
			return named("", fmt.Errorf("secret row 42: %w", tank.ErrInvalidUserID))
		}))
		_, resp := s.request(handshake{path: "/"})
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 401 || strings.Contains(string(body), "secret") {
			t.Fatalf("got %s: %s", resp.Status, body)
		}
	})
}

func TestConsumersMayChangeEvents(t *testing.T) {
	m := tank.NewInstance(tank.WithLogger(slog.New(slog.DiscardHandler)))
	go m.Start()
	go func() {
		for range 2000 {
			m.Publish(context.Background(), "x", "\xff")
		}
		m.Shutdown(context.Background())
	}()
	for e := range m.Errors {
		e.Topic, e.Err = "mine now", nil // a data race, if somebody still reads it
	}
}

func TestEveryShutdownTellsThatConnectionsWereCut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithLimits(tank.Limits{CloseTimeout: time.Hour}))
		s.dial("ann")
		first := make(chan error, 1)
		go func() { first <- s.Shutdown(within(t, time.Minute)) }()
		synctest.Wait()
		mustBe(t, s.Shutdown(within(t, time.Second)), context.DeadlineExceeded)
		for _, err := range []error{<-first, s.Shutdown(t.Context())} {
			if !errors.Is(err, tank.ErrBusy) && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v, although the connection was cut", err)
			}
		}
	})
}

func TestSchemeOfTheOutermostProxyCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		h := http.Header{"Origin": {"https://example.test"}, "X-Forwarded-Proto": {"https, http"}}
		if _, resp := s.request(handshake{path: "/", header: h}); resp.StatusCode != 101 {
			t.Fatalf("got %s", resp.Status)
		}
	})
}

func TestFinalBlockInsideACompressedMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got []string
		s := serve(t, tank.WithCompression(1, 0), tank.WithMessageHandler(func(_ *tank.Client, m tank.Message) { got = append(got, string(m.Data)) }))
		p := s.connect(handshake{path: "/", header: offer})
		final := frame(opText, "\x01\x02\x00\xfd\xffhi\x00") // RFC 7692, section 7.2.3.4
		final[0] |= 0x40
		p.write(final)
		p.write(final)
		smuggled := "\x01\x02\x00\xfd\xffhi" + strings.Repeat("\x00", 4096) + string(frame(opText, "smuggled"))
		f := frame(opText, smuggled)
		f[0] |= 0x40
		p.write(f)
		synctest.Wait()
		if len(got) != 2 || got[0] != "hi" || got[1] != "hi" {
			t.Fatalf("got %q", got)
		}
		p.expectClose(1007)
	})
}

func TestCorruptCompressedDataIsRefused(t *testing.T) {
	whole := deflate(t, strings.Repeat("hello world ", 50))
	for name, data := range map[string]string{"garbage": "\xff\xfe\xfd", "cut short": whole[:len(whole)/2]} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t, tank.WithCompression(1, 0))
				p := s.connect(handshake{path: "/", header: offer})
				f := frame(opText, data)
				f[0] |= 0x40
				p.write(f)
				p.expectClose(1007)
				s.expectError(tank.CodeProtocol)
			})
		})
	}
}

func TestCompressedMarkWhereItDoesNotBelong(t *testing.T) {
	continued := fragments(opText, "ab")
	continued[7] |= 0x40
	ping := frame(opPing, "")
	ping[0] |= 0x40
	for name, sent := range map[string][]byte{"continuation": continued, "control frame": ping} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := serve(t, tank.WithCompression(1, 0))
				p := s.connect(handshake{path: "/", header: offer})
				p.write(sent)
				op, payload, err := p.receive()
				if err != nil || op != opClose || int(payload[0])<<8|int(payload[1]) != 1002 {
					t.Fatalf("got opcode %d with %q (%v), want close 1002", op, payload, err)
				}
				p.conn.Close()
			})
		})
	}
}

func TestCompressedFragmentsWithControlFramesBetween(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got []string
		s := serve(t, atWill, tank.WithCompression(1, 0), tank.WithMessageHandler(func(_ *tank.Client, m tank.Message) { got = append(got, string(m.Data)) }))
		text := strings.Repeat("fragmented and compressed ", 40)
		b := fragments(opText, deflate(t, text))
		b[0] |= 0x40
		var mixed []byte
		for i := 0; i < len(b); i += 7 { // each fragment is 7 bytes
			mixed = append(append(mixed, b[i:i+7]...), frame(opPing, "p")...)
		}
		p := s.connect(handshake{path: "/", header: offer, early: mixed})
		p.write(frame(opText, "plain behind it"))
		for range 3 {
			p.write(mixed)
		}
		go io.Copy(io.Discard, p.conn)
		synctest.Wait()
		if len(got) != 5 || got[0] != text || got[1] != "plain behind it" || got[4] != text {
			t.Fatalf("got %q", got)
		}
	})
}

// TestOneClientsCloseFrameIsNobodyElses ends connections inside compressed messages while others receive such messages.
// With the decompression of the WebSocket library, the race detector finds that they share a decompressor.
func TestOneClientsCloseFrameIsNobodyElses(t *testing.T) {
	want := strings.Repeat("hello world ", 50)
	z := deflate(t, want)
	var wrong atomic.Int64
	m, server := overTCP(t, false, tank.WithCompression(1, 0), tank.WithMessageHandler(func(_ *tank.Client, m tank.Message) {
		if string(m.Data) != want {
			wrong.Add(1)
		}
	}))
	go func() {
		for range m.Errors {
		}
	}()
	dial := func(user string) net.Conn {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		must(t, err)
		_, err = wstest.Upgrade(c, wstest.Handshake{Target: "/?user_id=" + user, Header: "Sec-WebSocket-Extensions: permessage-deflate\r\n"})
		must(t, err)
		return c
	}
	attack := frame(opText, z[:len(z)/2])
	attack[0] = 0x41 // compressed, and not the end
	attack = append(attack, closeFrame(4321, "from attacker")...)
	message := frame(opText, z)
	message[0] |= 0x40
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				c := dial("attacker")
				c.Write(attack)
				io.Copy(io.Discard, c)
				c.Close()
			}
		})
		wg.Go(func() {
			c := dial("victim")
			defer c.Close()
			for range 200 {
				if _, err := c.Write(bytes.Repeat(message, 10)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := wrong.Load(); n != 0 {
		t.Errorf("%d messages came as something else", n)
	}
	for len(m.ConnEvents) > 0 {
		if e := <-m.ConnEvents; e.UserID == "victim" && strings.Contains(e.Reason, "4321") {
			t.Errorf("a victim was closed with %q", e.Reason)
		}
	}
}

func TestFloodBehindAProtocolErrorTakesNoMemory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithCompression(1, 0))
		p := s.connect(handshake{path: "/", header: offer})
		p.write([]byte{0xF1, 0x80, 0, 0, 0, 0}) // reserved bits: the server says goodbye, and waits for the peer to hang up
		before := heap()
		flood := bytes.Repeat([]byte{0x01, 0x00}, 1<<19)
		for range 16 {
			p.write(flood)
		}
		synctest.Wait()
		if grown := int(heap()) - int(before); grown > 4<<20 {
			t.Fatalf("the heap has grown by %d bytes for 16 MiB that nobody wants", grown)
		}
		p.conn.Close()
	})
}

func TestShutdownBehindOneThatWasCutReturnsAtOnce(t *testing.T) {
	m, server := overTCP(t, false, tank.WithCompression(9, 0), tank.WithLimits(tank.Limits{TopicQueueBytes: 256 << 20}))
	c, _, err := websocket.Dial(t.Context(), server.URL, &websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover})
	must(t, err)
	defer c.CloseNow()
	must(t, c.Write(t.Context(), websocket.MessageText, []byte("sub:news")))
	<-m.ConnEvents
	<-m.ConnEvents
	for range 20 { // which take the topic seconds to compress
		must(t, m.BroadcastTopicMessage("news", strings.Repeat("ab", 4<<20)))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	mustBe(t, m.Shutdown(ended), context.Canceled)
	second := make(chan error, 1)
	go func() { second <- m.Shutdown(context.Background()) }()
	select {
	case err := <-second:
		mustBe(t, err, context.Canceled)
	case <-time.After(10 * time.Second):
		t.Fatal("a Shutdown that comes later does not see the end")
	}
}

func TestShutdownInTheAuthenticatorWaitsNoLongerThanItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var s *server
		took := make(chan time.Duration, 1)
		s = serve(t, tank.WithAuthenticator(func(*http.Request) (tank.Identity, error) {
			began := time.Now()
			s.Shutdown(within(t, 10*time.Second))
			took <- time.Since(began)
			return named("", errors.New("no"))
		}))
		s.SetHTTPServer(s.http)
		conn, err := s.listener.Dial(1024)
		must(t, err)
		defer conn.Close()
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if d := <-took; d > 11*time.Second {
			t.Fatalf("took %v", d)
		}
	})
}

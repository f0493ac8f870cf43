package tanktest_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// failure is a test that fails, and what it says then.
type failure struct {
	name string
	test func(t testing.TB, s *tanktest.Server, m *tank.Manager)
	says []string
	took time.Duration
}

const patience = 5 * time.Second

// pathological does what a server's application had better not do.
var pathological = []tank.Option{
	tank.WithSubscribeAuthorizer(func(_ *tank.Client, topic string) error {
		if topic == "secret" {
			return errors.New("nobody may")
		}
		return nil
	}),
	tank.WithLimits(tank.Limits{Subscriptions: 3}),
	tank.WithHeartbeat(time.Hour, time.Hour), // no pings in between
	tank.WithMessageHandler(func(c *tank.Client, m tank.Message) {
		switch string(m.Data) {
		case "sleep":
			time.Sleep(time.Minute)
		case "goodbye":
			c.Close(4000, "as you wish")
		}
	}),
}

var failures = []failure{
	{"nothing comes", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/?user_id=ann")
		c.Subscribe("news", "weather")
		m.BroadcastMessage([]byte("hello"))
		c.ExpectText("hello")
		time.Sleep(time.Second)
		c.Expect("news", "x")
	}, []string{
		`client 1 (/?user_id=ann): waiting for "x" of topic "news": nothing came within 5s`,
		`looked at:   last, text "hello", which came 6s ago`,
		`connection:  open`,
		`server:      subscribed to "news", "weather"; 0 bytes queued, 0 messages dropped`,
	}, patience + time.Second},
	{"another message comes", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Subscribe("news")
		for _, data := range []string{"y", "z", "\n"} {
			m.BroadcastTopicMessage("news", data)
		}
		synctest.Wait()
		c.Expect("news", "x")
	}, []string{`client 1 (/): got "y" of topic "news", want "x" of topic "news"`, `not yet:     2 messages, first "z" of topic "news"`}, 0},
	{"another topic", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Subscribe("news")
		m.BroadcastTopicMessage("news", "x")
		c.Expect("weather", "x")
	}, []string{`got "x" of topic "news", want "x" of topic "weather"`}, 0},
	{"other sources only", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/", tanktest.User("ann"))
		c.Subscribe("news", "weather")
		c.Send("sub:secret")
		c.Sync()
		m.BroadcastTopicMessage("weather", "rain")
		for i := range 4 { // the last comes too late, and so does the one that is waited for
			time.AfterFunc(time.Duration(i+1)*1500*time.Millisecond, func() { m.BroadcastMessage([]byte("hello")) })
		}
		time.AfterFunc(6*time.Second, func() { m.BroadcastTopicMessage("news", "x") })
		c.ExpectTopic("news", "x")
	}, []string{
		`client 1 (/?user_id=ann): waiting for "x" of topic "news", behind 5 messages of other sources: nothing came within 5s`,
		`looked at:   last, text "hello", which came 500ms ago`,
		`server:      subscribed to "news", "weather"`,
	}, patience},
	{"other data, behind other sources", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Subscribe("news")
		m.BroadcastMessage([]byte("hello"))
		c.ExpectText("hello")
		m.BroadcastTopicMessage("news", "y")
		m.BroadcastTopicMessage("news", "x")
		c.ExpectTopic("news", "x")
	}, []string{`got "y" of topic "news", want "x" of topic "news"`}, 0},
	{"a refusal of the topic", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Send("sub:secret")
		c.ExpectTopic("secret", "x")
	}, []string{`got refusal forbidden of topic "secret"`, `want "x" of topic "secret"`}, 0},
	{"no address", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		s.Dial("/", tanktest.RemoteAddr(""))
	}, []string{`Dial "/": RemoteAddr(""): an address is not empty`}, 0},
	{"a topic's message for text", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Subscribe("news")
		m.BroadcastTopicMessage("news", "x")
		c.ExpectText("x")
	}, []string{`got "x" of topic "news", want text "x"`}, 0},
	{"binary for text", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Conn().Send(tank.Message{Data: []byte("x"), Binary: true})
		c.ExpectText("x")
	}, []string{`got binary "x", want text "x"`}, 0},
	{"a refusal for text", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Send("sub:secret")
		c.ExpectText("x")
	}, []string{`got refusal forbidden of topic "secret" ("`, `, want text "x"`}, 0},
	{"another refusal", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Send("sub:secret")
		c.ExpectRefusal("limit", "secret")
	}, []string{`got refusal forbidden of topic "secret"`, `want a refusal limit of topic "secret"`}, 0},
	{"no refusal", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Send("sub:open")
		c.ExpectRefusal("forbidden", "open")
	}, []string{`waiting for a refusal forbidden of topic "open": nothing came within 5s`}, patience},
	{"text for a refusal", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		m.BroadcastMessage([]byte("x"))
		c.ExpectRefusal("forbidden", "open")
	}, []string{`got text "x", want a refusal forbidden of topic "open"`}, 0},
	{"long messages are shortened", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		m.BroadcastMessage([]byte(strings.Repeat("你", 1000)))
		c.ExpectText("x")
	}, []string{`got text "` + strings.Repeat("你", 66) + `"... (3000 bytes), want`}, 0},
	{"patience is set", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		s.Patience = time.Minute
		s.Dial("/").Next()
	}, []string{"waiting for a message: nothing came within 1m0s", "looked at:   no message yet"}, time.Minute},
	{"frozen", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/", tanktest.ReadBuffer(10))
		c.Freeze()
		m.BroadcastMessage([]byte("0123456789"))
		c.Next()
	}, []string{"nothing can come, because the client is frozen; see Thaw", "connection:  frozen, with 10 bytes to read"}, patience},
	{"slow", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.ReadSlowly(1)
		m.BroadcastMessage([]byte("0123456789"))
		time.Sleep(time.Millisecond) // so that the last byte of the five falls into the patience
		c.Next()
	}, []string{"nothing came within 5s", "connection:  open, with 7 bytes to read"}, patience + time.Millisecond},
	{"ended", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Send("goodbye")
		c.Sync()
		time.Sleep(time.Second)
		c.Next()
	}, []string{"waiting for a message: the connection has ended", `closed by the server with 4000 "as you wish", 1s ago`}, time.Second},
	{"closed otherwise", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Send("goodbye")
		c.ExpectClose(1000)
	}, []string{"waiting for close 1000: the connection has ended otherwise", `closed by the server with 4000 "as you wish"`}, 0},
	{"cut, and not closed", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Cut()
		c.ExpectClose(1000)
	}, []string{"the connection has ended otherwise", "connection:  cut by this client"}, 0},
	{"not closed", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		s.Dial("/").ExpectClose(1000)
	}, []string{"waiting for close 1000: the connection has not ended within 5s"}, patience},
	{"close while there are messages", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Conn().Send(tank.Message{Data: []byte("x")})
		c.Send("goodbye")
		c.ExpectClose(4000)
	}, []string{`waiting for close 4000: got text "x"`}, 0},
	{"close while frozen", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Freeze()
		c.Send("goodbye")
		c.ExpectClose(4000)
	}, []string{"waiting for close 4000: the client is frozen, so it would not notice; see Thaw"}, patience},
	{"something comes", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		m.BroadcastMessage([]byte("x"))
		c.ExpectNothing()
	}, []string{`ExpectNothing: got text "x"`}, 0},
	{"nothing from a frozen client", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Freeze()
		c.ExpectNothing()
	}, []string{"ExpectNothing: nothing can come, because the client is frozen; see Thaw"}, 0},
	{"nothing of one that has ended", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Send("goodbye")
		c.ExpectNothing()
	}, []string{"ExpectNothing: the connection has ended"}, 0},
	{"no rest", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.Dial("/").Rest() },
		[]string{"Rest: the connection has not ended within 5s"}, patience},
	{"a forbidden topic", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		m.BroadcastMessage([]byte("x"))
		c.Subscribe("open", "secret")
	}, []string{`Subscribe("secret"): the server refused: forbidden ("`, `subscribed to "open"`}, 0},
	{"an invalid topic", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.Dial("/").Subscribe("a\nb") },
		[]string{`Subscribe("a\nb"): the server refused: invalid_topic ("`}, 0},
	{"a topic that is too long", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		s.Dial("/").Subscribe(strings.Repeat("x", 1000))
	}, []string{`"... (1000 bytes)): the server refused: invalid_topic ("`}, 0},
	{"too many topics", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.Dial("/").Subscribe("1", "2", "3", "4") },
		[]string{`Subscribe("4"): the server refused: limit ("`, `subscribed to "1", "2", "3"`}, 0},
	{"a forbidden topic while frozen", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Freeze()
		c.Subscribe("open")
		c.Subscribe("secret")
	}, []string{`Subscribe("secret"): it had no effect`, `subscribed to "open"`}, 0},
	{"an invalid topic to leave", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Unsubscribe("not even there") // is no mistake
		c.Subscribe("news")
		c.Cut()
		c.Unsubscribe("news")
	}, []string{`Unsubscribe("unsub:news"): the connection has ended`}, 0},
	{"a handler that does not return", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Send("sleep")
		c.Sync()
	}, []string{"Sync: the server has not handled what was sent within 5s; maybe a callback has not returned"}, patience},
	{"a handler that does not let subscribe", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Send("sleep")
		c.Subscribe("news")
	}, []string{"Subscribe: the server has not handled what was sent within 5s"}, patience},
	{"a handler that lets much wait", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Send("sleep")
		for range 100 {
			c.Send(strings.Repeat("x", 30<<10))
		}
	}, []string{`Send("xxx`, `"... (30720 bytes)): the server has read nothing for 5s`}, patience},
	{"text that is none", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.Dial("/").Send("\xff") },
		[]string{`Send("\xff"): a client can send text only that is valid UTF-8`}, 0},
	{"data that is no text", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.Dial("/").Publish("news", "\xff") },
		[]string{`Publish("news", "\xff"): a client can send valid UTF-8 only`}, 0},
	{"a close code that is none", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.Dial("/").Close(1006, "") },
		[]string{"Close(1006): this cannot be sent (RFC 6455, section 7.4)"}, 0},
	{"a reason without a code", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.Dial("/").Close(1005, "x") },
		[]string{`Close(1005 "x"): this cannot be sent`}, 0},
	{"a reason that is too long", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		s.Dial("/").Close(1000, strings.Repeat("x", 124))
	}, []string{"a reason is at most 123 bytes of valid UTF-8"}, 0},
	{"a reason that is no text", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.Dial("/").Close(1000, "\xff") },
		[]string{"a reason is at most 123 bytes of valid UTF-8"}, 0},
	{"goodbye while frozen", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Freeze()
		c.Close(1000, "")
	}, []string{"Close(1000): the client is frozen, so it would not notice the answer; see Thaw"}, 0},
	{"goodbye to a handler that does not return", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Send("sleep")
		c.Close(1000, "")
	}, []string{"Close(1000): the connection has not ended within 5s"}, patience},
	{"goodbye from both", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		c := s.Dial("/")
		c.Freeze()
		c.Send("goodbye")
		c.Sync()
		c.Thaw()
		synctest.Wait()
		c.Close(1000, "")
	}, []string{"Close(1000): the connection has ended", `closed by the server with 4000 "as you wish"`}, 0},
	{"not even slowly", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.Dial("/").ReadSlowly(0) },
		[]string{"ReadSlowly(0): it has to be a byte per second at least; see Freeze"}, 0},
	{"a server that has ended", func(t testing.TB, s *tanktest.Server, m *tank.Manager) {
		m.Shutdown(t.Context())
		s.Dial("/ws")
	}, []string{`Dial "/ws": the server refused with 503 Service Unavailable: "Service Unavailable"`}, 0},
	{"a refusal that does not come", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.DialRefused("/ws") },
		[]string{`DialRefused "/ws": the server took the connection`}, 0},
	{"a path that is none", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.Dial("ws") },
		[]string{`Dial "ws": a path begins with a slash`}, 0},
	{"a path with a line break", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.Dial("/\r\nX: y") },
		[]string{`Dial "/\r\nX: y": `, "invalid control character in URL"}, 0},
	{"no buffer", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.Dial("/", tanktest.ReadBuffer(0)) },
		[]string{`Dial "/": ReadBuffer(0): it has to have a byte at least`}, 0},
	{"a nil option", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { s.Dial("/", tanktest.ReadBuffer(10), nil) },
		[]string{`Dial "/": option 2 is nil`}, 0},
	{"no instance", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { tanktest.Serve(t, nil) },
		[]string{"ServeHandler: manager 1 is nil"}, 0},
	{"no handler", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { tanktest.ServeHandler(t, nil, m) },
		[]string{"ServeHandler: handler is nil"}, 0},
	{"a nil manager", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { tanktest.ServeHandler(t, m, m, nil) },
		[]string{"ServeHandler: manager 2 is nil"}, 0},
	{"no managers", func(t testing.TB, s *tanktest.Server, m *tank.Manager) { tanktest.ServeHandler(t, m) },
		[]string{"ServeHandler needs the managers that the handler leads to"}, 0},
}

func TestFailuresSayWhatIsKnown(t *testing.T) { testFailures(t, failures, pathological...) }

func testFailures(t *testing.T, list []failure, opts ...tank.Option) {
	for _, f := range list {
		t.Run(f.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var took time.Duration
				r := record(t, func(tb testing.TB) {
					s, m := serve(tb, opts...)
					began := time.Now()
					defer func() { took = time.Since(began) }()
					f.test(tb, s, m)
				})
				// The test is over before the handler is, which is not what this is about.
				if len(r.errors) == 1 && strings.Contains(r.errors[0], "one of its callbacks has not returned") {
					r.errors = nil
					time.Sleep(time.Minute)
				}
				wantFatal(t, r, append(f.says, "tanktest: ")...)
				if took != f.took {
					t.Errorf("it took %v, want %v", took, f.took)
				}
			})
		})
	}
}

// strange is a handler that is no good.
func strange(h http.HandlerFunc) func(testing.TB) *tanktest.Server {
	return func(t testing.TB) *tanktest.Server { return tanktest.ServeHandler(t, h, tank.NewInstance()) }
}

// hijacked takes over the connection and writes.
func hijacked(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		conn.Write([]byte(text))
		conn.Close()
	}
}

func TestHandshakesThatGoWrong(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		says    string
		took    time.Duration
	}{
		"no answer":   {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer within 5s", patience},
		"hung up":     {hijacked(""), "no answer: unexpected EOF", 0},
		"not HTTP":    {hijacked("hello\r\n\r\n"), "no answer: malformed HTTP", 0},
		"not found":   {http.NotFound, `the server refused with 404 Not Found: "404 page not found"`, 0},
		"not a proof": {hijacked("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n"), `no WebSocket handshake: the answer has Sec-WebSocket-Accept "x"`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				began := time.Now()
				wantFatal(t, record(t, func(t testing.TB) { strange(test.handler)(t).Dial("/") }), `Dial "/": `, test.says)
				if took := time.Since(began); took != test.took {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// upgraded is a server that does the handshake right, writes, and hangs up when the client does.
func upgraded(frames string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Time{})
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n%s", frames)
		for buf := make([]byte, 100); err == nil; {
			_, err = conn.Read(buf)
		}
	}
}

func TestServersThatBreakTheProtocolAreTold(t *testing.T) {
	for name, test := range map[string]struct{ frames, says string }{
		"masked":             {"\x81\x81\x00\x00\x00\x00x", "a frame of the server's is masked"},
		"fragment":           {"\x01\x01x", "a frame begins with the byte 0x01"},
		"unknown opcode":     {"\x83\x00", "a frame begins with the byte 0x83"},
		"continuation":       {"\x80\x00", "a frame begins with the byte 0x80"},
		"reserved bit":       {"\xa1\x00", "a frame begins with the byte 0xa1"},
		"compressed ping":    {"\xc9\x00", "a frame begins with the byte 0xc9"},
		"compressed":         {"\xc1\x01x", "a message is compressed, which was not agreed on"},
		"long ping":          {"\x89\x7e\x00\x7e", "a control frame has more than 125 bytes"},
		"endless":            {"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", "a frame announces 9223372036854775807 bytes"},
		"not text":           {"\x81\x01\xff", `a text message is not valid UTF-8: "\xff"`},
		"half a close code":  {"\x88\x01x", "its close frame has one byte"},
		"more behind":        {"\x88\x02\x03\xe8\x81\x00", "a frame came behind its close frame"},
		"does not hang up":   {"\x88\x02\x03\xe8", "the server said 1000, but has not hung up within 5s"},
		"no code, no end":    {"\x88\x00", "the server said 1005, but has not hung up within 5s"},
		"pong, then a close": {"\x8a\x01x\x88\x05\x03\xe8bye", `the server said 1000 "bye", but has not hung up within 5s`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				wantFatal(t, record(t, func(t testing.TB) {
					strange(upgraded(test.frames))(t).Dial("/").ExpectClose(1000)
				}), test.says)
			})
		})
	}
}

// TestABrokenProtocolFailsEveryCall that needs the connection or waits for its end, and the test whatever it does.
func TestABrokenProtocolFailsEveryCall(t *testing.T) {
	const says = "the server broke the protocol: a frame of the server's is masked"
	for name, call := range map[string]func(*tanktest.Client){
		"Next":          func(c *tanktest.Client) { c.Next() },
		"ExpectClose":   func(c *tanktest.Client) { c.ExpectClose(1006) },
		"ExpectNothing": func(c *tanktest.Client) { c.ExpectNothing() },
		"Rest":          func(c *tanktest.Client) { c.Rest() },
		"Send":          func(c *tanktest.Client) { c.Send("x") },
		"Close":         func(c *tanktest.Client) { c.Close(1000, "") },
	} {
		bubble(t, func(t *testing.T) {
			r := record(t, func(t testing.TB) {
				c := strange(upgraded("\x81\x81\x00\x00\x00\x00x"))(t).Dial("/")
				synctest.Wait()
				call(c)
			})
			wantFatal(t, r, says, "connection:  given up by this client, 0s ago")
			if strings.Count(r.fatal, says) != 1 {
				t.Errorf("%s failed with %s", name, r.fatal)
			}
		})
	}
	bubble(t, func(t *testing.T) {
		r := record(t, func(t testing.TB) {
			c := strange(upgraded("\x81\x01x\x81\x81\x00\x00\x00\x00x"))(t).Dial("/")
			c.ExpectText("x")
			synctest.Wait()
		})
		if r.fatal != "" || len(r.errors) != 1 || !strings.Contains(r.errors[0], "client 1 (/): "+says) {
			t.Errorf("failed with %q and %q", r.fatal, r.errors)
		}
	})
}

func TestEndsInMidFrame(t *testing.T) {
	for _, frames := range []string{"\x81", "\x81\x7e\x00", "\x81\x05abc"} {
		bubble(t, func(t *testing.T) {
			handshake := "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
			wantFatal(t, record(t, func(t testing.TB) {
				strange(hijacked(handshake + frames))(t).Dial("/").Next()
			}), "the connection has ended", "the server hung up in the middle of a frame")
		})
	}
}

func TestAConnectionThatNoManagerKnows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dial := func(t testing.TB) *tanktest.Client { return strange(upgraded(""))(t).Dial("/") }
		wantFatal(t, record(t, func(t testing.TB) { dial(t).Conn() }), "Conn: none of the managers knew it when Dial returned")
		wantFatal(t, record(t, func(t testing.TB) { dial(t).Subscribe("x") }), "Subscribe: none of the managers knew the client")
	})
}

// TestTheServerHangsUp without a word, and whatever the client does about it.
func TestTheServerHangsUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		handshake := "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
		ping, text := "\x89\x00", "\x81\x01x"
		wantPass(t, record(t, func(t testing.TB) { // the ping cannot be answered, which is no reason not to read on
			c := strange(hijacked(handshake + ping + text))(t).Dial("/")
			c.ExpectText("x")
			c.ExpectClose(1006)
		}))
		wantFatal(t, record(t, func(t testing.TB) {
			c := strange(hijacked(handshake))(t).Dial("/")
			synctest.Wait()
			c.Send("hello")
		}), `Send("hello"): the connection has ended`, "the server hung up without a close frame (1006)")
		wantFatal(t, record(t, func(t testing.TB) {
			s, m := serve(t)
			c := s.Dial("/")
			c.Freeze()
			ctx, cancel := within(time.Second)
			defer cancel()
			m.Shutdown(ctx)
			c.Send("hello")
		}), `Send("hello"): the server has hung up`, "connection:  frozen, with ")
	})
}

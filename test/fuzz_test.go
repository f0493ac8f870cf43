package test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/memnet"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// fuzzed serves with callbacks that allow everything, a handler that sends each message back, and no heartbeat, so that a
// bystander need not read all the time.
func fuzzed(t *testing.T) *server {
	allow := func(*tank.Client, string) error { return nil }
	return serve(t,
		tank.WithHeartbeat(time.Hour, time.Hour),
		tank.WithUpgrader(tank.Upgrader{Subprotocols: []string{"chat"}, EnableCompression: true}),
		tank.WithSubscribeAuthorizer(allow),
		tank.WithPublishAuthorizer(byTopic(allow)),
		tank.WithMessageHandler(func(c *tank.Client, m tank.Message) { c.Send(m) }))
}

// handshakeStatuses are those that docs/protocol.md lists for an instance that is running, without callbacks that refuse
// or panic.
var handshakeStatuses = []int{101, 400, 403, 405, 426}

// FuzzHandshake sends handshakes with anything in their query, headers and method. They reach the instance as they are,
// also where net/http would have refused them.
func FuzzHandshake(f *testing.F) {
	const key = "AAAAAAAAAAAAAAAAAAAAAA=="
	f.Add("GET", "user_id=ann", "http://example.test", "Upgrade", "websocket", key, "13", "chat, other", "permessage-deflate; client_max_window_bits")
	f.Add("GET", "user_id=a%0d%0aSet-Cookie:x", "", "keep-alive, Upgrade", "WebSocket", key, "13", "", "")
	f.Add("GET", "user_id=%zz;;&&==", "http://\u202eevil.test\r\n", "upgrade", "websocket", key, "13", "\u212aat, \x00", "permessage-deflate; server_max_window_bits=8")
	f.Add("GET", "", "https://example.test:443/", "Upgrade", "h2c", key, "8", "", "")
	f.Add("G\x00T", "user_id=\xff", "null", "close", "", "not base64 \x1b[31m", "\r\n", ",,,", ";;=\",")
	f.Add("POST", strings.Repeat("user_id=x&", 30), "ftp://example.test", "Upgrade", "websocket", key+" ", "13", strings.Repeat("a,", 300), strings.Repeat("permessage-deflate,", 30))
	f.Fuzz(func(t *testing.T, method, query, origin, connection, upgrade, key, version, protocols, extensions string) {
		bubble(t, func(t *testing.T) {
			s := fuzzed(t)
			s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Method, r.URL.RawQuery = method, query
				for name, value := range map[string]string{
					"Origin": origin, "Connection": connection, "Upgrade": upgrade, "Sec-Websocket-Key": key,
					"Sec-Websocket-Version": version, "Sec-Websocket-Protocol": protocols, "Sec-Websocket-Extensions": extensions,
				} {
					r.Header.Del(name)
					if value != "" {
						r.Header[name] = []string{value}
					}
				}
				s.ServeHTTP(w, r)
			})
			p, resp := s.request(handshake{path: "/"})
			defer p.conn.Close()
			if !slices.Contains(handshakeStatuses, resp.StatusCode) {
				t.Errorf("answered with %s", resp.Status)
			}
			var answer bytes.Buffer
			resp.Header.Write(&answer)
			if resp.StatusCode != http.StatusSwitchingProtocols {
				io.Copy(&answer, resp.Body)
			}
			for _, line := range strings.FieldsFunc(answer.String(), func(r rune) bool { return r == '\n' }) {
				if problem := disturbs(strings.TrimSuffix(line, "\r")); problem != "" {
					t.Errorf("the answer has %s: %+q", problem, line)
				}
			}
			if answer.Len() > 1000 {
				t.Errorf("the answer has %d bytes: %.500q", answer.Len(), answer.String())
			}
			if clients := s.GetClientCount(); resp.StatusCode != http.StatusSwitchingProtocols && clients != 0 {
				t.Errorf("%s, but %d clients", resp.Status, clients)
			}
			for len(s.Errors) > 0 {
				if text := (<-s.Errors).Error(); strings.ContainsFunc(text, isDisturbing) || len(text) > 1000 {
					t.Errorf("error event %.500q", text)
				}
			}
			s.expectWell(nil)
		})
	})
}

// mayClose reports whether a server may send this close code to a client that sends anything: one of those that
// docs/protocol.md lists for what a client does wrong, or the code of the client's own close frame, which it answers with.
func mayClose(code int) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
}

// FuzzStream sends any bytes behind a good handshake, with and without compression, in one piece or several.
func FuzzStream(f *testing.F) {
	compressed := func(data string) []byte {
		b := frame(opText, data)
		b[0] |= 0x40
		return b
	}
	add := func(pieces ...[]byte) {
		f.Add(bytes.Join(pieces, nil), true, uint8(0))
		f.Add(bytes.Join(pieces, nil), false, uint8(3))
	}
	hello := "\xca\x48\xcd\xc9\xc9\x07\x00" // RFC 7692, section 7.2.3.1
	add(frame(opText, "sub:news"), frame(opText, `{"topic":"news","data":"x"}`), frame(opText, "unsub:news"))
	add(frame(opText, "hello"), frame(opBinary, "\x00\xff"), frame(opPing, "p"), frame(opPong, "p"), closeFrame(4000, "bye"))
	add(fragments(opText, "世界"), frame(opPing, ""), fragments(opBinary, "ab"))
	add(compressed(hello), compressed("garbage"), frame(opText, "behind it"))
	add(fragments(opText, "ab")[:7], frame(opText, "inside a fragment"))
	add([]byte{0x81, 5, 'n', 'o', ' ', 'm', 'k'})
	add([]byte{0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4})
	add(frame(opText, "sub:\u202e"), frame(opText, "sub:\x00"), frame(opText, "\xff"))
	add(closeFrame(1005, ""), frame(opClose, "x"), frame(3, ""))
	add(bytes.Repeat(frame(opPing, ""), 30))
	add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, stream []byte, deflate bool, pieces uint8) {
		if len(stream) > 64<<10 {
			return
		}
		bubble(t, func(t *testing.T) {
			s := fuzzed(t)
			bystander := s.dial("bystander")
			bystander.subscribe(s, "bystander's")
			h := handshake{path: "/?user_id=ann"}
			if deflate {
				h.header = offer
			}
			p := s.connect(h)
			var received bytes.Buffer
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				io.Copy(&received, p.conn)
			}()
			for n := len(stream)/(int(pieces)+1) + 1; len(stream) > 0; stream = stream[min(n, len(stream)):] {
				p.write(stream[:min(n, len(stream))])
				synctest.Wait()
			}
			time.Sleep(time.Second)
			s.expectWell(bystander)
			p.conn.Conn.(*memnet.Conn).CloseWrite()
			time.Sleep(20 * time.Second) // as long as the slowest limit takes
			p.conn.Close()
			<-ended
			checkServerFrames(t, received.Bytes())
			s.expectWell(bystander)
			if got := s.Stats(); got.Clients != 1 || got.Topics != 1 {
				t.Errorf("left behind: %+v", got)
			}
		})
	})
}

// checkServerFrames takes apart what a client has received.
func checkServerFrames(t *testing.T, b []byte) {
	for r := bufio.NewReader(bytes.NewReader(b)); ; {
		f, err := wstest.ReadFrame(r)
		if errors.Is(err, wstest.ErrProtocol) {
			t.Fatal(err)
		}
		if err != nil { // cut
			return
		}
		if f.Opcode() == opClose {
			if n := len(f.Payload); n > 0 && (n == 1 || !mayClose(f.CloseCode()) || !utf8.Valid(f.Payload[2:])) {
				t.Errorf("close frame %q", f.Payload)
			}
			if rest, _ := io.ReadAll(r); len(rest) > 0 {
				t.Errorf("%q behind the close frame", rest)
			}
		}
	}
}

// expectWell fails the test when a callback or an actor has panicked, or the bystander does not get what it should.
func (s *server) expectWell(bystander *peer) {
	s.t.Helper()
	if n := s.Stats().PanicsRecovered; n != 0 {
		for len(s.Errors) > 0 {
			s.t.Logf("%+v", *<-s.Errors)
		}
		s.t.Fatalf("%d panics", n)
	}
	if bystander != nil {
		must(s.t, s.BroadcastTopicMessage("bystander's", "all is well"))
		bystander.expectTopic("bystander's", "all is well")
	}
}

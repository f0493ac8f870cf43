package test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// anyMayPublish lets clients publish whatever they like.
var anyMayPublish = tank.WithPublishAuthorizer(func(*tank.Client, *tank.Publication) error { return nil })

// keepAll makes all topics keep many messages.
var keepAll = tank.WithTopics("*", tank.TopicOptions{History: tank.History{Messages: 1 << 20, Bytes: 64 << 20}})

func since(at tank.Position) string {
	b, err := json.Marshal(at)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestPipelinedReplaysFillNoOutbox: a client that asks for 128 replays of half an outbox at once, and reads slowly, gets all of them,
// one after the other. It is never closed, and never has more queued than an outbox holds.
func TestPipelinedReplaysFillNoOutbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const outbox, replays = 1 << 20, 128
		s := serve(t, keepAll, atWill, tank.WithLimits(tank.Limits{OutboxBytes: outbox, MessagesPerSecond: 1 << 30, MessageBurst: 1 << 30}))
		at, err := s.Position("kept")
		must(t, err)
		data := strings.Repeat("x", 1000)
		const messages = 500
		for range messages {
			must(t, s.Publish(context.Background(), "kept", data))
		}
		p := s.dial2("ann", defaultBuffer)
		c := s.GetAllClients()[0]
		for i := range replays {
			p.send(fmt.Sprintf(`{"id":%d,"sub":"kept","since":%s}`, i+1, since(at)))
		}
		for i := range replays {
			p.expect(fmt.Sprintf(`{"id":%d,"ok":{"epoch":%q,"seq":%d,"from":0,"recovered":true}}`, i+1, at.Epoch, messages))
			for j := range messages {
				p.expect(fmt.Sprintf(`["kept",%d,%q]`, j+1, data))
				if q := c.Stats().OutboxBytes; q > outbox {
					t.Fatalf("%d bytes are queued", q)
				}
			}
		}
		p.expectNothing()
		s.expectNoErrors()
	})
}

// TestReplayIsAtMostHalfAnOutbox: what does not fit was not recovered, as if it were not kept.
func TestReplayIsAtMostHalfAnOutbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, keepAll, tank.WithLimits(tank.Limits{OutboxBytes: 10_000}))
		at, err := s.Position("kept")
		must(t, err)
		data := strings.Repeat("x", 1000-len(`["kept",1,""]`)-4)
		for range 9 {
			must(t, s.Publish(context.Background(), "kept", data))
		}
		p := s.dial2("ann", defaultBuffer)
		ask := func(seq int, want string) {
			t.Helper()
			p.send(fmt.Sprintf(`{"id":1,"sub":"kept","since":[%q,%d]}`, at.Epoch, seq))
			p.expect(fmt.Sprintf(`{"id":1,"ok":{"epoch":%q,"seq":9,%s}}`, at.Epoch, want))
		}
		ask(3, `"from":9,"recovered":false,"why":"evicted"`)
		ask(4, `"from":4,"recovered":true`)
		for i := range 5 {
			p.expect(fmt.Sprintf(`["kept",%d,%q]`, i+5, data))
		}
		p.send(`{"id":2,"sub":"kept","last":9}`)
		p.expect(fmt.Sprintf(`{"id":2,"ok":{"epoch":%q,"seq":9,"from":4}}`, at.Epoch))
		for i := range 5 {
			p.expect(fmt.Sprintf(`["kept",%d,%q]`, i+5, data))
		}
		page, err := s.History(context.Background(), "kept", at, 0) // the program reads all of it
		if err != nil || len(page.Messages) != 9 || !page.Whole {
			t.Fatalf("got %d messages, %v", len(page.Messages), err)
		}
		must(t, s.Publish(context.Background(), "kept", strings.Repeat("y", 6000))) // more than half of an outbox by itself
		ask = func(seq int, want string) {
			t.Helper()
			p.send(fmt.Sprintf(`{"id":3,"sub":"kept","since":[%q,%d]}`, at.Epoch, seq))
			p.expect(fmt.Sprintf(`{"id":3,"ok":{"epoch":%q,"seq":10,%s}}`, at.Epoch, want))
		}
		p.next()
		ask(9, `"from":10,"recovered":false,"why":"evicted"`)
		ask(10, `"from":10,"recovered":true`)
	})
}

// TestReplayOfAClientThatVanishes: the reader does not wait for ever.
func TestReplayOfAClientThatVanishes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, keepAll, tank.WithLimits(tank.Limits{OutboxBytes: 100_000}))
		at, err := s.Position("kept")
		must(t, err)
		for range 45 {
			must(t, s.Publish(context.Background(), "kept", strings.Repeat("x", 1000)))
		}
		p := s.connect(handshake{path: "/", header: http.Header{"Sec-Websocket-Protocol": {"tank.v2"}}, buffer: 1000})
		for i := range 10 {
			p.send(fmt.Sprintf(`{"id":%d,"sub":"kept","since":%s}`, i+1, since(at)))
		}
		synctest.Wait()
		if n := s.GetClientCount(); n != 1 {
			t.Fatalf("%d clients", n)
		}
		p.conn.Close()
		synctest.Wait()
		time.Sleep(time.Second)
		if n := s.GetClientCount(); n != 0 {
			t.Fatalf("%d clients are left", n)
		}
	})
}

// TestAnswersAreNotDropped: an outbox policy drops publications alone, and the reader takes no further command while the answers to
// earlier ones are over the limit.
func TestAnswersAreNotDropped(t *testing.T) {
	for name, policy := range map[string]tank.OutboxPolicy{"close": tank.OutboxClose, "drop oldest": tank.OutboxDropOldest, "keep latest": tank.OutboxKeepLatest} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const outbox, requests = 2000, 500
				s := serve(t, atWill, tank.WithOutboxPolicy(policy), anyMayPublish, tank.WithLimits(tank.Limits{OutboxBytes: outbox, WriteTimeout: time.Hour, MessagesPerSecond: 1 << 30, MessageBurst: 1 << 30}),
					tank.WithRequestHandler(func(_ *tank.Client, r tank.Request) (any, error) { return r.Data, nil }))
				p := s.connect(handshake{path: "/", header: http.Header{"Sec-Websocket-Protocol": {"tank.v2"}}, buffer: 500})
				p.next()
				p.send(`{"id":1,"sub":"news"}`)
				p.next()
				c := s.GetAllClients()[0]
				go func() {
					for i := range requests {
						p.send(fmt.Sprintf(`{"id":%d,"msg":"%s"}`, i+2, strings.Repeat("r", 100)))
					}
				}()
				synctest.Wait()
				if policy != tank.OutboxClose { // which would close the client
					for i := range 100 {
						must(t, s.Publish(context.Background(), "news", fmt.Sprint("message ", i)))
						synctest.Wait()
					}
				}
				if q := c.Stats().OutboxBytes; q > 2*outbox {
					t.Errorf("%d bytes are queued", q)
				}
				next := 2
				for next < requests+2 {
					_, text := p.next()
					var answer struct{ ID int }
					if json.Unmarshal([]byte(text), &answer) != nil || answer.ID == 0 {
						continue // a publication
					}
					if answer.ID != next {
						t.Fatalf("got %s, want the answer to %d", text, next)
					}
					next++
				}
			})
		})
	}
}

// TestNamesThatLinger: a client that takes part in ever new topics costs a bounded amount of memory.
func TestNamesThatLinger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const total = 256 << 10
		s := serve(t, atWill, anyMayPublish, keepAll, tank.WithLimits(tank.Limits{TotalHistoryBytes: total, MessagesPerSecond: 1 << 30, MessageBurst: 1 << 30}))
		p := s.dial2("ann", defaultBuffer)
		for i := range 2000 {
			p.send(fmt.Sprintf(`{"id":1,"sub":"t%d"}`, i))
			p.next()
			if i%2 == 0 {
				p.send(fmt.Sprintf(`{"id":2,"pub":"t%d","data":1,"key":"%100d"}`, i, i))
				p.next() // the publication
				p.next()
			}
			p.send(fmt.Sprintf(`{"id":3,"unsub":"t%d"}`, i))
			p.next()
			synctest.Wait()
			if st := s.Stats(); st.HistoryMemory > total || st.LingeringTopics > total/8/1024 {
				t.Fatalf("%d bytes are kept, and %d topics linger", st.HistoryMemory, st.LingeringTopics)
			}
		}
		if st := s.Stats(); st.Topics > total/1024 {
			t.Fatalf("%d topics live", st.Topics)
		}
	})
}

// TestHandshakesWithProtocols: what is permitted decides, and a token among the subprotocols is never echoed.
func TestHandshakesWithProtocols(t *testing.T) {
	for _, c := range []struct {
		permitted     []tank.Protocol
		offered, want string
		status        int
		protocol      tank.Protocol
	}{
		{nil, "tank.v2, bearer.TOKEN", "tank.v2", 101, tank.V2},
		{nil, "bearer.TOKEN, TANK.V2", "TANK.V2", 101, tank.V2},
		{nil, "mine, tank.v2", "tank.v2", 101, tank.V2},
		{nil, "mine", "mine", 101, tank.V1},
		{nil, "tank.v22", "", 101, tank.V1},
		{nil, "", "", 101, tank.V1},
		{[]tank.Protocol{tank.V1}, "tank.v2, mine", "mine", 101, tank.V1},
		{[]tank.Protocol{tank.V1}, "tank.v2", "", 101, tank.V1},
		{[]tank.Protocol{tank.V2}, "mine, tank.v2", "tank.v2", 101, tank.V2},
		{[]tank.Protocol{tank.V2}, "mine", "", 400, 0},
		{[]tank.Protocol{tank.V2}, "", "", 400, 0},
		{[]tank.Protocol{tank.V2, tank.V1}, "mine", "mine", 101, tank.V1},
	} {
		bubble(t, func(t *testing.T) {
			opts := []tank.Option{tank.WithUpgrader(tank.Upgrader{Subprotocols: []string{"mine"}})}
			if c.permitted != nil {
				opts = append(opts, tank.WithProtocols(c.permitted...))
			}
			s := serve(t, opts...)
			h := handshake{path: "/", header: http.Header{}}
			if c.offered != "" {
				h.header.Set("Sec-Websocket-Protocol", c.offered)
			}
			_, resp := s.request(h)
			synctest.Wait()
			if resp.StatusCode != c.status || resp.Header.Get("Sec-Websocket-Protocol") != c.want {
				t.Fatalf("%v, %q: answered %s %q", c.permitted, c.offered, resp.Status, resp.Header)
			}
			if clients := s.GetAllClients(); c.protocol != 0 && clients[0].Protocol() != c.protocol {
				t.Fatalf("%v, %q: the client speaks %v", c.permitted, c.offered, clients[0].Protocol())
			}
		})
	}
}

// TestHelloTellsTheHeartbeat in whole seconds, rounded up, also when there is practically none.
func TestHelloTellsTheHeartbeat(t *testing.T) {
	for interval, want := range map[time.Duration]string{
		time.Millisecond: `"ping":1}}`, 25 * time.Second: `"ping":25}}`, 25*time.Second + 1: `"ping":26}}`, math.MaxInt64: `"ping":9223372037}}`,
	} {
		bubble(t, func(t *testing.T) {
			s := serve(t, tank.WithHeartbeat(interval, time.Minute))
			p := s.connect(handshake{path: "/", header: http.Header{"Sec-Websocket-Protocol": {"tank.v2"}}})
			f, err := p.conn.ReadFrame()
			must(t, err)
			if !strings.HasSuffix(string(f.Payload), want) {
				t.Errorf("with a heartbeat each %v, the client is told %s", interval, f.Payload)
			}
		})
	}
}

// TestCompressedClientsOfBothProtocols get the same as the others.
func TestCompressedClientsOfBothProtocols(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, keepAll, tank.WithCompression(1, 0))
		p := s.connect(handshake{path: "/", header: http.Header{"Sec-Websocket-Protocol": {"tank.v2"}, "Sec-Websocket-Extensions": {"permessage-deflate"}}})
		text := func() string {
			f, err := p.conn.ReadFrame()
			must(t, err)
			if !f.Compressed() {
				return string(f.Payload)
			}
			return inflate(t, f.Payload)
		}
		text()
		p.send(`{"id":1,"sub":"news"}`)
		text()
		data := strings.Repeat("compressible ", 100)
		must(t, s.Publish(context.Background(), "news", data))
		if got, want := text(), fmt.Sprintf(`["news",1,%q]`, data); got != want {
			t.Fatalf("got %.100q", got)
		}
		p.send(`{"id":2,"sub":"news","last":1}`)
		text()
		if got, want := text(), fmt.Sprintf(`["news",1,%q]`, data); got != want {
			t.Fatalf("replayed %.100q", got)
		}
	})
}

// TestPanicsOfRequestHandlers: the client is closed with 1011, and others go on.
func TestRequestHandlersThatFail(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, tank.WithRequestHandler(func(_ *tank.Client, r tank.Request) (any, error) {
			switch string(r.Data) {
			case `"panic"`:
				panic("in the request handler")
			case `"unencodable"`:
				return func() {}, nil
			case `"not UTF-8"`:
				return json.RawMessage("\"\xff\""), nil
			case `"secret"`:
				return nil, errors.New("the database password is wrong")
			case `"nil error"`:
				return nil, (*tank.RequestError)(nil)
			case `"no code"`:
				return nil, &tank.RequestError{Message: "without a code"}
			case `"busy"`:
				return nil, fmt.Errorf("publishing: %w", tank.ErrBusy)
			case `"methods panic"`:
				return nil, badError{}
			}
			var n int
			return n, r.Decode(&n)
		}))
		p := s.dial2("ann", defaultBuffer)
		ask := func(data, want string) {
			t.Helper()
			p.send(fmt.Sprintf(`{"id":1,"msg":%s}`, data))
			p.expect(want)
		}
		failed := `{"id":1,"error":{"code":"internal","message":"the request failed","retry":false}}`
		ask(`7`, `{"id":1,"ok":7}`)
		for _, result := range []string{`"unencodable"`, `"not UTF-8"`} {
			ask(result, failed)
			if e := s.expectError(tank.CodeRequest); !errors.Is(e.Err, tank.ErrInvalidData) {
				t.Errorf("got %v", e)
			}
		}
		ask(`"secret"`, failed)
		if e := s.expectError(tank.CodeRequest); e.UserID != "ann" || !strings.Contains(e.Error(), "password") {
			t.Errorf("got %v", e)
		}
		ask(`"nil error"`, failed)
		s.expectError(tank.CodeRequest)
		ask(`"methods panic"`, failed)
		s.expectError(tank.CodeRequest)
		ask(`"no code"`, failed)
		s.expectError(tank.CodeRequest)
		ask(`"busy"`, `{"id":1,"error":{"code":"busy","message":"the server is busy: try again","retry":true}}`)
		p.send(`{"id":2,"msg":[1]}`)
		if _, text := p.next(); !strings.Contains(text, `"code":"bad_message","message":"the message cannot be of the type array"`) {
			t.Errorf("got %s", text)
		}
		p.send(`{"id":3,"msg":"panic"}`)
		if _, text := p.next(); !strings.HasPrefix(text, `{"bye":{"code":1011,"within":1000}}`) {
			t.Errorf("got %s", text)
		}
		p.expectClose(1011)
		s.expectError(tank.CodeInternal)
	})
}

// badError panics when it is asked what it is.
type badError struct{}

func (badError) Error() string { return "bad" }
func (badError) As(any) bool   { panic("in As") }

// TestResumesUnderStorms: thousands of clients come and go, and resume, while messages are published and the topic comes and goes.
// Whoever is told that it has recovered gets every message, each once and in order.
func TestResumesUnderStorms(t *testing.T) {
	for name, storm := range map[string]struct{ crowd, rounds int }{
		"of a crowd":                       {50, cases(1000, 5000)},
		"of the last out and the first in": {2, cases(500, 2000)},
	} {
		t.Run(name, func(t *testing.T) { bubble(t, func(t *testing.T) { resumeStorm(t, storm.crowd, storm.rounds) }) })
	}
}

func resumeStorm(t *testing.T, crowd, rounds int) {
	s := serve(t, atWill, tank.WithTopics("kept", tank.TopicOptions{History: tank.History{Messages: 50}}),
		tank.WithLimits(tank.Limits{Connections: 1 << 20, ConnectionsPerUser: 1 << 20, MessagesPerSecond: 1 << 30, MessageBurst: 1 << 30}))
	ctx, cancel := context.WithCancel(context.Background())
	var publisher, clients sync.WaitGroup
	publisher.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			for _, topic := range []string{"kept", "news"} {
				if err := s.Publish(context.Background(), topic, fmt.Sprint(n)); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Millisecond)
		}
	})
	var recovered, failures atomic.Int64
	for i := range crowd {
		clients.Go(func() {
			r, n := resumeAgainAndAgain(t, s, i, rounds/crowd)
			recovered.Add(int64(r))
			failures.Add(int64(n))
		})
	}
	clients.Wait()
	cancel()
	publisher.Wait()
	if recovered.Load() < int64(rounds/8) || failures.Load() == 0 {
		t.Errorf("%d recovered, %d did not", recovered.Load(), failures.Load())
	}
}

// resumeAgainAndAgain is one client of the storm. It returns how often it recovered, and how often not.
func resumeAgainAndAgain(t *testing.T, s *server, i, rounds int) (recovered, not int) {
	topic := []string{"kept", "news"}[i%2]
	at := "null"
	last, epoch := -1, "" // the number
	for round := range rounds {
		conn, resp := s.raw(wstest.Handshake{Header: "Sec-WebSocket-Protocol: tank.v2\r\n"}.String(), defaultBuffer)
		if resp.StatusCode != 101 {
			t.Errorf("answered %s", resp.Status)
			return
		}
		p := &peer{t, conn}
		p.send(fmt.Sprintf(`{"id":1,"sub":%q,"since":%s}`, topic, at))
		for got := 0; got < 20; {
			op, text, err := p.receive()
			if err != nil {
				t.Error(err)
				return
			}
			if op == opPing {
				p.write(frame(opPong, text))
				continue
			}
			var reply struct {
				OK struct {
					Epoch     string
					Seq, From int
					Recovered bool
				}
			}
			var parts []any
			switch {
			case json.Unmarshal([]byte(text), &parts) == nil:
				got++
				if seq := int(parts[1].(float64)); seq != last+1 {
					t.Errorf("number %d came behind %d", seq, last)
					return
				}
				last++
			case json.Unmarshal([]byte(text), &reply) == nil && reply.OK.Epoch != "":
				switch {
				case reply.OK.Recovered && (epoch != reply.OK.Epoch || reply.OK.From != last):
					t.Errorf("recovered from %d of %s: %s", last, epoch, text)
				case reply.OK.Recovered:
					recovered++
				default:
					not++
					last = reply.OK.From
					if at == "null" {
						last = reply.OK.Seq
					}
				}
				epoch = reply.OK.Epoch
			}
		}
		at = fmt.Sprintf("[%q,%d]", epoch, last)
		conn.Close()
		time.Sleep(time.Duration((i*7+round*13)%100) * time.Millisecond)
	}
	return recovered, not
}

// inflate takes the compression of a message away, RFC 7692 section 7.2.2.
func inflate(t *testing.T, payload []byte) string {
	t.Helper()
	text, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
	must(t, err)
	return string(text)
}

// replayOutbox is the outbox of the client of replayBehind, in bytes.
const replayOutbox = 100_000

// replayBehind has a client that reads nothing ask for a replay of 45 messages of 1,000 bytes, behind so many live ones of this size that
// are queued for it, and send another command. told counts how often that was looked at.
func replayBehind(t *testing.T, live int) (s *server, p *peer, told *atomic.Int32) {
	t.Helper()
	told = new(atomic.Int32)
	s = serve(t, keepAll, atWill, tank.WithLimits(tank.Limits{OutboxBytes: replayOutbox, WriteTimeout: time.Hour}),
		tank.WithMessageHandler(func(*tank.Client, tank.Message) { told.Add(1) }))
	at, err := s.Position("kept")
	must(t, err)
	data := strings.Repeat("x", 1000)
	for range 45 {
		must(t, s.Publish(context.Background(), "kept", data))
	}
	p = s.dial2("ann", 2000)
	p.send(`{"sub":"live"}`)
	synctest.Wait()
	for range live {
		must(t, s.Publish(context.Background(), "live", data))
	}
	synctest.Wait()
	p.send(fmt.Sprintf(`{"id":1,"sub":"kept","since":%s}`, since(at)))
	p.send(`{"msg":"and then"}`)
	return s, p, told
}

// TestReplayWaitsForRoom: before it, for what is queued already; and behind it, before the next command is looked at.
func TestReplayWaitsForRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p, told := replayBehind(t, 70)
		synctest.Wait()
		for i := range 70 {
			p.expect(fmt.Sprintf(`["live",%d,%q]`, i+1, strings.Repeat("x", 1000)))
		}
		if told.Load() != 0 {
			t.Error("a command was looked at before the replay was asked for")
		}
		time.Sleep(time.Second)
		queued := s.GetAllClients()[0].Stats().OutboxBytes
		if told.Load() != 0 && queued > replayOutbox/2 {
			t.Errorf("a command was looked at while %d bytes are queued", queued)
		}
		if queued < 40_000 {
			t.Errorf("only %d bytes are queued", queued)
		}
		for range 46 {
			p.next()
		}
		time.Sleep(time.Second)
		if told.Load() != 1 {
			t.Errorf("the command behind the replay was looked at %d times", told.Load())
		}
		s.expectNoErrors()
	})
}

// TestCommandsBehindAReplayWait until no more than half of the outbox is queued, although publications have come meanwhile.
func TestCommandsBehindAReplayWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, p, told := replayBehind(t, 20) // which leaves room enough for the replay, and is more than half of the outbox together with it
		time.Sleep(time.Second)
		if told.Load() != 0 {
			t.Errorf("the command was looked at while %d bytes are queued", s.GetAllClients()[0].Stats().OutboxBytes)
		}
		for range 20 + 46 {
			p.next()
		}
		time.Sleep(time.Second)
		if told.Load() != 1 {
			t.Errorf("the command was looked at %d times", told.Load())
		}
	})
}

func TestPublicationsThatTheServerCannotMake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, keepAll)
		for _, c := range []struct {
			p    tank.Publication
			want error
		}{
			{tank.Publication{Topic: "", Data: "x"}, tank.ErrInvalidTopic},
			{tank.Publication{Topic: "kept", Data: "\xff"}, tank.ErrInvalidData},
			{tank.Publication{Topic: "kept", Data: "{", JSON: true}, tank.ErrInvalidData},
			{tank.Publication{Topic: "kept", Data: "1 2", JSON: true}, tank.ErrInvalidData},
			{tank.Publication{Topic: "kept", Data: "x", Key: strings.Repeat("k", 129)}, tank.ErrInvalidData},
			{tank.Publication{Topic: "kept", Data: "x", Key: "a\n"}, tank.ErrInvalidData},
			{tank.Publication{Topic: "kept", Data: "x", From: "a\x00"}, tank.ErrInvalidUserID},
		} {
			at, err := s.PublishMessage(context.Background(), c.p)
			mustBe(t, err, c.want)
			if at != (tank.Position{}) {
				t.Errorf("%+v was published as %v", c.p, at)
			}
		}
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := s.PublishMessage(ended, tank.Publication{Topic: "kept", Data: "x"})
		mustBe(t, err, tank.ErrBusy)
		for _, bad := range []tank.Position{{Epoch: "a b", Seq: 1}, {Seq: 1}, {Epoch: "a", Seq: 1 << 53}} {
			_, err := s.History(context.Background(), "kept", bad, 0)
			mustBe(t, err, tank.ErrInvalidData)
		}
		if page, err := s.History(context.Background(), "never", tank.Position{}, 0); err != nil || page.Whole || len(page.Messages) > 0 {
			t.Errorf("got %+v, %v", page, err)
		}
		for key := range 3 {
			p := tank.Publication{Topic: "kept", Data: fmt.Sprint(key), Key: fmt.Sprint("k", key/2)}
			if at, err := s.PublishMessage(context.Background(), p); err != nil || at.Seq != uint64(key/2)+1 {
				t.Errorf("%d was published as %v, %v", key, at, err)
			}
		}
	})
}

// TestAClientThatResumesTooSlowlyCanStillUnsubscribe: a policy drops what it cannot keep up with, so its outbox stays more than half
// full; its commands are still read.
func TestAClientThatResumesTooSlowlyCanStillUnsubscribe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, atWill, keepAll, tank.WithOutboxPolicy(tank.OutboxDropOldest), tank.WithLimits(tank.Limits{OutboxBytes: 1 << 20}))
		at, err := s.Position("kept")
		must(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		var publisher sync.WaitGroup
		defer publisher.Wait()
		defer cancel()
		p := s.connect(handshake{path: "/", header: http.Header{"Sec-Websocket-Protocol": {"tank.v2"}}, buffer: 10_000})
		p.next()
		p.send(fmt.Sprintf(`{"id":1,"sub":"kept","since":%s}`, since(at)))
		p.next()
		publisher.Go(func() {
			for ctx.Err() == nil { // ten times as fast as it reads
				s.Publish(context.Background(), "kept", strings.Repeat("x", 10_000))
				time.Sleep(time.Millisecond)
			}
		})
		for range 200 {
			p.next()
			time.Sleep(10 * time.Millisecond)
		}
		p.send(fmt.Sprintf(`{"id":2,"sub":"kept","since":%s}`, since(at)))
		p.send(`{"id":3,"unsub":"kept"}`)
		for range 1000 {
			if _, text := p.next(); strings.HasPrefix(text, `{"id":3`) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Error("10 s later, the unsub has no answer")
	})
}

package test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	tank "github.com/fanqie/tank-websocket-go-server"
)

var allowAll = tank.WithPublishAuthorizer(func(*tank.Client, *tank.Publication) error { return nil })

// explanation returns the message of the next frame, which has to be an error frame bad_message.
func (p *peer) explanation() string {
	p.t.Helper()
	_, text := p.next()
	var frame struct {
		Error *struct{ Code, Message, Topic string }
	}
	if err := json.Unmarshal([]byte(text), &frame); err != nil || frame.Error == nil || frame.Error.Code != "bad_message" || frame.Error.Topic != "" {
		p.t.Fatalf("got %s (%v), want an error frame bad_message", text, err)
	}
	return frame.Error.Message
}

func TestMessageThatIsNotUnderstoodIsExplained(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t, allowAll)
		p := s.dial("ann")
		tests := []struct {
			op         byte
			text, want string
		}{
			{opText, `{"topic":"t","data":{"id":1}}`, `data is an object, not a string: send text, for example JSON.stringify(value)`},
			{opText, `{"topic":"t","data":1}`, `data is a number, not a string: send text, for example JSON.stringify(value)`},
			{opText, `{"topic":"t"}`, `member "data" is missing`},
			{opText, `{"topic":"t","data":"d","id":"x"}`, `unexpected member "id"`},
			{opText, `subscribe:t`, `did you mean sub:TOPIC?`},
			{opText, `SUB:t`, `did you mean sub:TOPIC?`},
			{opText, `hello`, `got "hello"`},
			{opText, ``, `got ""`},
			{opText, "\u202e\x1b[31m", `got "\u202e\x1b[31m"`},
			{opBinary, "sub:t", `the message is binary`},
			{opBinary, "\xff", `the message is binary`},
		}
		for _, test := range tests {
			p.write(frame(test.op, test.text))
			if got := p.explanation(); !strings.Contains(got, test.want) {
				t.Errorf("%q is answered with\n%s, want\n%s", test.text, got, test.want)
			}
		}
		if got := s.Stats(); got.MessagesIgnored != uint64(len(tests)) || got.Topics != 0 {
			t.Errorf("got %+v", got)
		}
		s.expectNoErrors()
		p.subscribe(s, "t") // the connection goes on
	})
}

// A message handler gets everything that is not understood, and nobody else answers.
func TestMessageHandlerGetsWhatIsNotUnderstood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serveMetered(t, allowAll)
		p := s.dial("ann")
		for _, text := range []string{`{"topic":"t","data":1}`, `SUB:t`, ``} {
			p.send(text)
		}
		p.write(frame(opBinary, "x"))
		p.expectNothing()
		if n := s.handled("ann"); n != 4 || s.Stats().MessagesIgnored != 0 {
			t.Errorf("%d messages were handled, and %d ignored", n, s.Stats().MessagesIgnored)
		}
	})
}

// notes keeps the lines that are logged at the level Info.
type notes struct {
	mu    sync.Mutex // guards lines
	lines strings.Builder
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lines.Write(p)
}

func (n *notes) logged() string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lines.String()
}

func TestSpacesAroundATopicAreLegalAndNotedOnceAConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := &notes{}
		s := serve(t, tank.WithLogger(slog.New(slog.NewTextHandler(n, &slog.HandlerOptions{Level: slog.LevelInfo}))))
		p := s.dial("ann")
		p.send("sub:a b")
		p.send("sub:\n") // which is refused
		p.expectRefusal("invalid_topic", "\n")
		if got := n.logged(); got != "" {
			t.Errorf("logged %s", got)
		}
		p.subscribe(s, " t")
		p.subscribe(s, "t ")
		must(t, s.BroadcastTopicMessage(" t", "x"))
		p.expectTopic(" t", "x")
		p.send("unsub: t")
		got := n.logged()
		if strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=INFO") || !strings.Contains(got, `user=ann topic=" t"`) || !strings.Contains(got, "client=") {
			t.Errorf("logged %s", got)
		}
		s.expectNoErrors()
		bob := s.dial("bob")
		bob.send("unsub:t\u3000")
		if got := n.logged(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "user=bob") {
			t.Errorf("logged %s", got)
		}
		bob.expectNothing()
	})
}

// Without a logger nobody is told, and nothing else happens.
func TestSpacesAroundATopicWithoutALogger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := serve(t)
		s.dial("ann").subscribe(s, " t ")
		s.expectNoErrors()
	})
}

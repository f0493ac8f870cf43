package test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// Requests that come at once are put together. None of them waits for what comes behind it.

// TestNoRequestWaitsForWhatComesBehindIt sends two subscriptions and something else in one write.
func TestNoRequestWaitsForWhatComesBehindIt(t *testing.T) {
	for name, c := range map[string]struct {
		behind []byte
		opt    func(busy chan struct{}) tank.Option
	}{
		"nothing":        {opt: func(chan struct{}) tank.Option { return tank.WithHeartbeat(time.Hour, time.Hour) }},
		"a part of more": {frame(opText, "sub:b")[:3], func(chan struct{}) tank.Option { return tank.WithHeartbeat(time.Hour, time.Hour) }},
		"a slow callback": {frame(opText, "hello"), func(busy chan struct{}) tank.Option {
			return tank.WithMessageHandler(func(*tank.Client, tank.Message) { <-busy })
		}},
		"slow Info": {frame(opText, "sub:crowd"), func(busy chan struct{}) tank.Option {
			info := func(*tank.Client) any { <-busy; return nil }
			return tank.WithTopics("crowd", tank.TopicOptions{Presence: tank.Presence{Enabled: true, Info: info}})
		}},
		"too much": {frame(opText, "sub:b"), func(chan struct{}) tank.Option {
			return tank.WithLimits(tank.Limits{MessagesPerSecond: 1, MessageBurst: 2})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				busy := make(chan struct{})
				defer close(busy)
				s := serve(t, c.opt(busy))
				p := s.dial("ann")
				began := time.Now()
				p.write(slices.Concat(frame(opText, "sub:a"), frame(opText, "sub:c"), c.behind))
				s.expectEvents("connect ann", "subscribe ann a", "subscribe ann c") // now, and not later
				if took := time.Since(began); took > 0 {
					t.Errorf("they took %v", took)
				}
			})
		})
	}
}

// TestRequestsBeforeTheEndOfAConnectionCount ends a connection in the write in which it asks for something.
func TestRequestsBeforeTheEndOfAConnectionCount(t *testing.T) {
	for name, end := range map[string][]byte{
		"close frame":    closeFrame(1000, ""),
		"protocol error": frame(0x3, ""),
		"not UTF-8":      frame(opText, "\xff"),
		"too big":        frame(opText, string(make([]byte, 100<<10))),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log bytes.Buffer
				s := serve(t, tank.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
				p := s.dial("ann")
				go p.write(slices.Concat(frame(opText, "sub:a"), frame(opText, "sub:b"), frame(opText, "unsub:a"), end))
				s.expectEvents("connect ann", "subscribe ann a", "subscribe ann b", "unsubscribe ann a")
				p.answer()
				if e := s.event(); e.EventType != tank.EventDisconnect || !slices.Equal(e.Topics, []string{"b"}) {
					t.Errorf("%s with %q, want disconnect with b", e.EventType, e.Topics)
				}
				synctest.Wait()
				if fault := strings.Index(log.String(), "level=WARN"); fault >= 0 && fault < strings.Index(log.String(), "msg=unsubscribe") {
					t.Errorf("the fault is logged before what came before it:\n%s", &log)
				}
			})
		})
	}
}

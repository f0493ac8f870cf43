package hub

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// gate is a subscriber that holds its topic up until it is closed.
type gate chan struct{}

func (g gate) Deliver(*wire.Batch) (taken, idle bool) { <-g; return true, false }
func (g gate) Flush()                                 {}
func (g gate) Encoding() wire.Encoding                { return wire.V1 }

func TestNothingOfATopicComesBehindTheAnswerToUnsubscribe(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*instance, *Session) // while messages wait in the topic
		want   []string
	}{
		"in a shutdown": {
			func(x *instance, _ *Session) { go x.shutdown(context.Background()) },
			[]string{
				`{"topic":"news","data":"one"}`,
				`{"error":{"code":"shutting_down","message":"tank: closed","topic":"news"}}`,
				`{"topic":"news","data":"two"}`,
			},
		},
		"behind another unsubscribe": {
			func(x *instance, ann *Session) { x.postUnsubscribe(ann, "news", 0) },
			[]string{`{"topic":"news","data":"one"}`, `{"topic":"news","data":"two"}`, `{"id":7,"ok":{}}`},
		},
		"behind another unsubscribe, in a shutdown": {
			func(x *instance, ann *Session) {
				x.postUnsubscribe(ann, "news", 0)
				go x.shutdown(context.Background())
			},
			[]string{
				`{"topic":"news","data":"one"}`,
				`{"error":{"code":"shutting_down","message":"tank: closed","topic":"news"}}`,
				`{"topic":"news","data":"two"}`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testUnsubscribeFromABusyTopic(t, c.before, c.want) })
		})
	}
}

func testUnsubscribeFromABusyTopic(t *testing.T, before func(*instance, *Session), want []string) {
	x := start(t, nil)
	l := serveHTTP(t, x)
	conn := wstest.NewConn(dial(t, l, "ann", 1000), 1000)
	ann := x.all()[0]
	if err := x.Subscribe(ann, "news", ""); err != nil {
		t.Fatal(err)
	}
	g := make(gate)
	busy := &topic.Member{Subscriber: g}
	x.topics.find("news").Join(busy)
	x.publish(t, "news", "one")
	synctest.Wait()
	x.publish(t, "news", "two")
	before(x, ann)
	synctest.Wait()
	x.postUnsubscribe(ann, "news", 7)
	synctest.Wait()
	close(g)
	for _, want := range want {
		if f, err := conn.ReadFrame(); err != nil || string(f.Payload) != want {
			t.Fatalf("got %q, %v, want %q", f.Payload, err, want)
		}
	}
}

// TestSubscriptionsToATopicThatHasJustEndedAreAnswered: they begin with the one that replaces it, or end before.
func TestSubscriptionsToATopicThatHasJustEndedAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, nil)
		l := serveHTTP(t, x)
		conn := wstest.NewConn(dial(t, l, "ann", 1000), 1000)
		ann := x.all()[0]
		if _, err := x.Listen(t.Context(), "news", 1000, client.CloseSlow); err != nil {
			t.Fatal(err)
		}
		handed := 0
		ask := func(id uint64) *Ask { return &Ask{ID: id, Handed: func() { handed++ }} }
		see(x, func(s *supervisor) bool {
			s.topics["news"].topic.Stop() // the supervisor has yet to hear of it
			subscribe{session: ann, topic: "news", ask: ask(1)}.handle(s)
			unsubscribe{session: ann, topic: "news", id: 2}.handle(s)
			subscribe{session: ann, topic: "news", ask: ask(3)}.handle(s)
			return true
		})
		synctest.Wait()
		if handed != 2 {
			t.Errorf("%d were handed over, want 2", handed)
		}
		for _, want := range []string{`{"error":{"code":"busy",`, `{"id":2,"ok":{}}`, `{"id":3,"ok":{"epoch":`} {
			if f, err := conn.ReadFrame(); err != nil || !strings.HasPrefix(string(f.Payload), want) {
				t.Fatalf("got %q, %v, want %q", f.Payload, err, want)
			}
		}
	})
}

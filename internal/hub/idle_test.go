package hub

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/client"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// keeping makes topics keep messages, by the first word of their name.
func keeping(total int) func(*Config, *client.Options) {
	return func(c *Config, _ *client.Options) {
		c.TotalHistoryBytes = total
		c.History = func(name string) (h topic.History) {
			switch word, _, _ := strings.Cut(name, " "); word {
			case "kept":
				h.Bytes = 1 << 20
			case "short":
				h = topic.History{Bytes: 1 << 20, Age: time.Minute}
			}
			return h
		}
	}
}

func (x *instance) publish1(t *testing.T, name string, bytes int) {
	t.Helper()
	if err := x.Publish(context.Background(), &wire.Publication{Topic: name, Data: strings.Repeat("x", bytes)}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func (x *instance) position(t *testing.T, name string) wire.Position {
	t.Helper()
	at, err := x.Position(time.Second, name)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// names returns the names of the topics that are listed, in order.
func (x *instance) names() (names []string) {
	for _, s := range x.AllTopics(false) {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names
}

func (x *instance) wantTopics(t *testing.T, when string, lingering int, names ...string) {
	t.Helper()
	synctest.Wait()
	if got := x.names(); !slices.Equal(got, names) || x.Topics() != len(names) || x.LingeringTopics() != lingering {
		t.Fatalf("%s: %d topics %q, %d linger; want %q, and %d", when, x.Topics(), got, x.LingeringTopics(), names, lingering)
	}
	if lingering == 0 && len(names) == 0 && x.HistoryMemory() != 0 {
		t.Fatalf("%s: %d bytes are kept", when, x.HistoryMemory())
	}
}

func TestTopicLivesUntilItsMessagesAreTooOldAndThenLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, keeping(1<<20))
		x.publish1(t, "short", 100)
		at := x.position(t, "short")
		x.wantTopics(t, "at first", 0, "short")
		time.Sleep(time.Minute - time.Second)
		x.publish1(t, "short", 100) // in a block of its own
		time.Sleep(30 * time.Second)
		x.wantTopics(t, "while the second message is kept", 0, "short")
		time.Sleep(32 * time.Second)
		x.wantTopics(t, "when all messages are too old", 1)
		if got := x.position(t, "short"); got.Epoch != at.Epoch || got.Seq != 2 {
			t.Fatalf("the topic stands at %v, was at %v", got, at)
		}
		time.Sleep(linger - time.Second)
		x.wantTopics(t, "before it has lingered", 1)
		time.Sleep(2 * time.Second)
		x.wantTopics(t, "when it has lingered", 0)
		if got := x.position(t, "short"); got.Epoch == at.Epoch {
			t.Fatal("the epoch has come back")
		}
	})
}

// TestTopicsLingerWhenSomebodyKnowsTheirNumbering, and only then.
func TestTopicsLingerWhenSomebodyKnowsTheirNumbering(t *testing.T) {
	for _, c := range []struct {
		what, topic string
		do          func(*testing.T, *instance, string)
		lingers     bool
	}{
		{"a plain subscriber", "news", func(t *testing.T, x *instance, name string) { x.publish1(t, name, 1) }, false},
		{"a position", "news", func(t *testing.T, x *instance, name string) { x.position(t, name) }, true},
		{"nothing, and messages would be kept", "short", func(*testing.T, *instance, string) {}, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := start(t, keeping(1<<20))
				l, err := x.Listen(context.Background(), c.topic, 1000, client.CloseSlow)
				if err != nil {
					t.Fatal(err)
				}
				c.do(t, x, c.topic)
				x.Unlisten(l)
				want := 0
				if c.lingers {
					want = 1
				}
				x.wantTopics(t, "afterwards", want)
				time.Sleep(linger + time.Second)
				x.wantTopics(t, "in the end", 0)
			})
		})
	}
}

func TestLingeringTopicsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total = 80 << 10 // an eighth of which is 10 topics
		x := start(t, keeping(total))
		first := x.position(t, "news 0")
		for i := range 10_000 {
			x.position(t, fmt.Sprint("news ", i))
		}
		x.wantTopics(t, "after a flood", 10)
		if got := x.HistoryMemory(); got != 10<<10 {
			t.Errorf("%d bytes are kept", got)
		}
		if n := see(x, func(s *supervisor) int { return len(s.lingering) }); n > 100 {
			t.Errorf("%d ends are due", n)
		}
		if got := x.position(t, "news 0"); got == first {
			t.Error("the oldest has not ended")
		}
		time.Sleep(linger + time.Second)
		x.wantTopics(t, "in the end", 0)
	})
}

// TestNothingIsKeptBehindAShutdown: topics that linger, and those whose last subscriber is leaving, end with it.
func TestNothingIsKeptBehindAShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, keeping(1<<20))
		l, err := x.Listen(t.Context(), "news", 1000, client.CloseSlow)
		if err != nil {
			t.Fatal(err)
		}
		x.publish1(t, "kept", 100)
		for _, name := range []string{"kept", "lingers", "news"} {
			x.position(t, name)
		}
		x.publish1(t, "news", 100)
		x.wantTopics(t, "at first", 1, "kept", "news")
		see(x, func(s *supervisor) bool {
			unlisten{l}.handle(s)
			s.hub.life.moveTo(drainingTopics)
			shutdown{}.handle(s)
			return true
		})
		if err := x.shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if x.HistoryMemory() != 0 || x.LingeringTopics() != 0 || x.Topics() != 0 {
			t.Errorf("%d bytes of %d topics are kept, and %d linger", x.HistoryMemory(), x.Topics(), x.LingeringTopics())
		}
	})
}

// TestIdleTopicsAreGivenUpFirst: the longest idle one first, and what others keep when that is not enough.
func TestIdleTopicsAreGivenUpFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, keeping(100_000))
		var listeners []*Listener
		for _, name := range []string{"kept busy", "kept old"} {
			l, err := x.Listen(context.Background(), name, 1<<20, client.CloseSlow)
			if err != nil {
				t.Fatal(err)
			}
			listeners = append(listeners, l)
		}
		for _, name := range []string{"kept old", "kept busy", "kept one", "kept two", "kept three"} {
			x.publish1(t, name, 15_000)
			time.Sleep(time.Second)
		}
		x.wantTopics(t, "at first", 0, "kept busy", "kept old", "kept one", "kept three", "kept two")
		x.publish1(t, "kept four", 35_000)
		x.wantTopics(t, "when it is too much", 0, "kept busy", "kept four", "kept old", "kept three")
		x.publish1(t, "kept busy", 60_000) // the others are not enough
		x.wantTopics(t, "when it is much too much", 0, "kept busy", "kept old")
		kept := func(name string) int64 { return x.topics.find(name).Kept() }
		if kept("kept old") == 0 || kept("kept busy") == 0 {
			t.Errorf("%d and %d bytes are kept", kept("kept old"), kept("kept busy"))
		}
		x.publish1(t, "kept busy", 20_000)
		if kept("kept old") != 0 || kept("kept busy") == 0 || x.HistoryMemory() > 100_000 {
			t.Errorf("%d and %d bytes are kept, %d in all", kept("kept old"), kept("kept busy"), x.HistoryMemory())
		}
		for _, l := range listeners {
			x.Unlisten(l)
		}
		synctest.Wait()
	})
}

// TestKeysAreGivenUp: of a topic with a subscriber, whose memory is keys alone.
func TestKeysAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const total = 64 << 10
		x := start(t, keeping(total))
		l, err := x.Listen(t.Context(), "news", 1<<20, client.CloseSlow)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			if _, err := x.PublishAsked(t.Context(), &wire.Publication{Topic: "news", Data: "x", Key: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := x.HistoryMemory(); got > total || got < total/2 {
			t.Errorf("%d bytes are kept, want at most %d", got, total)
		}
		x.Unlisten(l)
		time.Sleep(linger + time.Second)
		x.wantTopics(t, "in the end", 0)
	})
}

// TestTopicWithoutRoomForItsLastMessageEnds: it keeps nothing any more.
func TestTopicWithoutRoomForItsLastMessageEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, keeping(10<<20))
		x.publish1(t, "kept", 100)
		x.wantTopics(t, "at first", 0, "kept")
		x.publish1(t, "kept", 2<<20)
		x.wantTopics(t, "behind a message that is not kept", 0)
	})
}

// TestPublicationsAreKeptWhileTopicsBeginAndEnd: each one that is accepted can be read thereafter.
func TestPublicationsAreKeptWhileTopicsBeginAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, keeping(100<<20))
		const rounds = 500
		done := make(chan int)
		go func() {
			for range rounds {
				l, err := x.Listen(t.Context(), "kept", 1<<20, client.CloseSlow)
				if err != nil {
					break
				}
				x.Unlisten(l)
			}
			close(done)
		}()
		for range rounds {
			if err := x.Publish(t.Context(), &wire.Publication{Topic: "kept", Data: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		<-done
		page, known, err := x.Hub.History(t.Context(), "kept", wire.Position{}, rounds+1)
		n := 0
		for _, part := range page.Parts {
			n += part.Messages
		}
		if !known || err != nil || n != rounds {
			t.Errorf("%d messages are kept, want %d: %v", n, rounds, err)
		}
	})
}

// TestPublicationToATopicThatEndsIsAnswered: the topic is found, and has ended when the publication comes.
func TestPublicationToATopicThatEndsIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, nil)
		l := serveHTTP(t, x)
		conn := dial(t, l, "ann", 1000)
		ended := topic.Spawn("news", topic.Options{})
		ended.Stop()
		see(x, func(s *supervisor) bool { s.hub.topics.add(ended); return true })
		if err := x.PublishFrom(time.Second, x.all()[0], &wire.Publication{Topic: "news", Data: "x"}, "", 7); err != nil {
			t.Fatal(err)
		}
		frame, err := wstest.NewConn(conn, 1000).ReadFrame()
		if err != nil || string(frame.Payload) != `{"id":7,"ok":{}}` {
			t.Fatalf("got %q, %v", frame.Payload, err)
		}
	})
}

// TestTopicsThatKeepNothingAnyMoreAreNotListed: one that is given up has lost what it kept, and in the same moment its last subscriber.
func TestTopicsThatKeepNothingAnyMoreAreNotListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, keeping(1<<30))
		dial(t, serveHTTP(t, x), "ann", 64<<10)
		ann := x.all()[0]
		if err := x.Subscribe(ann, "kept", ""); err != nil {
			t.Fatal(err)
		}
		x.publish1(t, "kept", 100)
		x.position(t, "kept")
		see(x, func(s *supervisor) int {
			given := s.topics["kept"].topic
			for range actor.DefaultRestarts + 1 {
				given.Join(nil) // which panics
			}
			for err := error(nil); err == nil; runtime.Gosched() {
				_, err = given.TryPut(topic.NewPublish(&wire.Publication{Data: "x"}))
			}
			time.Sleep(time.Second) // it has told of its end
			unsubscribe{session: ann, topic: "kept"}.handle(s)
			return 0
		})
		synctest.Wait()
		x.wantTopics(t, "given up", 1)
	})
}

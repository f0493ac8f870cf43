package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// inMemory runs a test of a chat with clients of tank.v2, as the page is one.
func inMemory(t *testing.T, test func(t *testing.T, app *Chat, s *tanktest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		app := New(slog.New(slog.DiscardHandler), time.Second)
		app.Start()
		s := tanktest.ServeHandler(t, app, app.Manager)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := app.Shutdown(ctx); err != nil {
				t.Errorf("shutdown: %v", err)
			}
		})
		test(t, app, s)
	})
}

func join(s *tanktest.Server, name, topic string, options ...tanktest.SubscribeOption) (*tanktest.ClientV2, tanktest.Subscription) {
	c := s.DialV2("/ws?user_id=" + name)
	return c, c.Subscribe(topic, options...)
}

// expectSaid wants the next message to have a number, and who has said what.
func expectSaid(t *testing.T, c *tanktest.ClientV2, seq uint64, from, text string) {
	t.Helper()
	m := c.Next()
	var got said
	if err := json.Unmarshal([]byte(m.Data), &got); err != nil || !m.JSON {
		t.Fatalf("got %v (%v)", m, err)
	}
	if m.Seq != seq || m.From != from || got.From != from || got.Text != text || got.Time.IsZero() {
		t.Fatalf("got %v, want number %d, %q of %s", m, seq, text, from)
	}
}

func TestLatecomersGetTheLastMessages(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *Chat, s *tanktest.Server) {
		ada, _ := join(s, "Ada", "茶")
		const all = kept + 50
		for i := range all {
			ada.Publish("茶", draft{Text: fmt.Sprint(i + 1)})
		}
		bo, at := join(s, "Bo", "茶", tanktest.Last(kept))
		if at.From != all-kept {
			t.Errorf("Bo is answered %+v", at)
		}
		for seq := at.From + 1; seq <= all; seq++ {
			expectSaid(t, bo, seq, "Ada", fmt.Sprint(seq))
		}
		ada.Publish("茶", draft{Text: "now"})
		expectSaid(t, bo, all+1, "Ada", "now")
	})
}

func TestWhatIsKeptGetsTooOld(t *testing.T) {
	inMemory(t, func(t *testing.T, app *Chat, s *tanktest.Server) {
		ada, _ := join(s, "Ada", "tea")
		ada.Publish("tea", draft{Text: "hi"})
		time.Sleep(keptAge / 2)
		_, at := join(s, "Bo", "tea", tanktest.Last(kept))
		if at.From != 0 {
			t.Errorf("Bo is answered %+v", at)
		}
		for _, c := range app.Manager.GetAllClients() {
			app.Manager.CloseUser(c.UserID())
		}
		time.Sleep(keptAge)
		if topics := app.Manager.GetAllTopics(); len(topics) != 0 {
			t.Errorf("these topics are left: %+v", topics)
		}
	})
}

// TestWhatIsKeptFitsIntoAReplay, also when everybody says as much as they may. Each < takes six bytes.
func TestWhatIsKeptFitsIntoAReplay(t *testing.T) {
	inMemory(t, func(t *testing.T, app *Chat, s *tanktest.Server) {
		ada, first := join(s, "Ada", "tea")
		for range kept {
			ada.Publish("tea", draft{Text: strings.Repeat("<", maxText)})
		}
		_, last := join(s, "Bo", "tea", tanktest.Last(kept))
		replayed := kept - last.From
		if bytes := app.Manager.Stats().HistoryMemory; replayed < 20 || bytes > 2*keptBytes {
			t.Errorf("%d messages and %d bytes are kept", replayed, bytes)
		}
		since := tank.Position{Epoch: first.Position.Epoch, Seq: last.From}
		if _, at := join(s, "Bea", "tea", tanktest.Since(since)); !at.Recovered {
			t.Errorf("what is kept is not replayed: %+v", at)
		}
		since.Seq--
		if _, at := join(s, "Ben", "tea", tanktest.Since(since)); at.Recovered || at.Why != "evicted" {
			t.Errorf("more than is kept is replayed: %+v", at)
		}
	})
}

func TestFeedsKeepNothing(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *Chat, s *tanktest.Server) {
		join(s, "Ada", eventsTopic)
		join(s, "Bo", "tea") // of which Ada is told
		for _, feed := range []string{eventsTopic, topicsTopic} {
			c, at := join(s, "Cem", feed, tanktest.Last(kept))
			if at.From != at.Position.Seq {
				t.Errorf("%s replays: %+v", feed, at)
			}
			c.Close(1000, "")
		}
	})
}

func TestWhoComesBackGetsWhatWasMissed(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *Chat, s *tanktest.Server) {
		ada, _ := join(s, "Ada", "tea")
		bo, _ := join(s, "Bo", "tea")
		ada.Publish("tea", draft{Text: "one"})
		expectSaid(t, bo, 1, "Ada", "one")
		bo.Cut()
		ada.Publish("tea", draft{Text: "two"})
		ada.Publish("tea", draft{Text: "three"})
		if got := bo.Resume()["tea"]; !got.Recovered {
			t.Errorf("Bo is answered %+v", got)
		}
		expectSaid(t, bo, 2, "Ada", "two")
		expectSaid(t, bo, 3, "Ada", "three")
		bo.ExpectNothing()
	})
}

// TestRepeatedMessageIsSaidOnce, also under another name: that is another connection.
func TestRepeatedMessageIsSaidOnce(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *Chat, s *tanktest.Server) {
		bo, _ := join(s, "Bo", "tea")
		ada, _ := join(s, "Ada", "tea")
		hello := draft{Text: "hello", Ref: "r1"}
		ada.Publish("tea", hello, tanktest.Key("k1"))
		ada.Cut()
		ada.Resume()
		renamed, _ := join(s, "Eda", "tea")
		for _, c := range []*tanktest.ClientV2{ada, renamed} {
			if got := c.Publish("tea", hello, tanktest.Key("k1")); got.Seq != 1 || !got.Duplicate {
				t.Errorf("the repetition is answered %+v", got)
			}
		}
		expectSaid(t, bo, 1, "Ada", "hello")
		bo.ExpectNothing()
	})
}

// TestRefusalsInTankV2: the message before the answer says why.
func TestRefusalsInTankV2(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *Chat, s *tanktest.Server) {
		ada, _ := join(s, "Ada", "tea")
		for name, c := range map[string]struct {
			topic string
			data  any
			code  string
		}{
			"too long":       {"tea", draft{strings.Repeat("茶", maxText+1), "r7"}, "text_too_long"},
			"no text":        {"tea", draft{" ", "r7"}, "empty_text"},
			"not subscribed": {"coffee", draft{"hi", "r7"}, "not_subscribed"},
			"a feed":         {eventsTopic, draft{"hi", "r7"}, "reserved_topic"},
			"no draft":       {"tea", []string{"hi"}, "bad_message"},
			"text":           {"tea", "hi", "bad_message"},
		} {
			answer := ada.PublishRefused("forbidden", c.topic, c.data)
			var told struct{ Error refusal }
			if m := ada.Next(); json.Unmarshal([]byte(m.Data), &told) != nil || !m.JSON || m.Topic != "" {
				t.Fatalf("%s: got %v", name, m)
			}
			if got := told.Error; got.Code != c.code || got.Topic != c.topic || (got.Ref == "r7") != (c.code != "bad_message") || answer.Retry {
				t.Errorf("%s: the chat says %+v, and the answer is %+v", name, got, answer)
			}
		}
		ada.SubscribeRefused("forbidden", "chat:secret")
	})
}

package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
	"github.com/fanqie/tank-websocket-go-server/tanktest"
)

// What statistics say of clients of tank.v2.

// statsOf returns the statistics of a topic among some.
func statsOf(t *testing.T, topics []tank.TopicStats, name string) tank.TopicStats {
	t.Helper()
	for _, s := range topics {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("%s is not among %v", name, topics)
	return tank.TopicStats{}
}

// TestResumesAreCountedByAnswer: and whoever missed something is an event with the reason.
func TestResumesAreCountedByAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tank.NewInstance(tank.WithTopics("kept*", tank.TopicOptions{History: tank.History{Messages: 3}}))
		s := tanktest.Serve(t, m)
		stays := s.DialV2("/?user_id=stays")
		at := map[string]tank.Position{}
		for _, topic := range []string{"kept", "off"} {
			at[topic] = stays.Subscribe(topic).Position
			for n := range 5 {
				publishTo(t, m, topic, n)
			}
		}
		ann := s.DialV2("/?user_id=ann")
		behind := func(topic string, seq uint64) tanktest.SubscribeOption {
			return tanktest.Since(tank.Position{Epoch: at[topic].Epoch, Seq: seq})
		}
		for _, tt := range []struct {
			topic string
			since tanktest.SubscribeOption
			why   string
		}{
			{"kept", behind("kept", 2), ""},
			{"kept", behind("kept", 4), ""},
			{"off", behind("off", 5), ""},
			{"kept", behind("kept", 1), "evicted"},
			{"kept", behind("kept", 6), "ahead"},
			{"kept", behind("off", 4), "epoch"},
			{"off", behind("off", 4), "off"},
		} {
			got := ann.Subscribe(tt.topic, tt.since)
			if got.Why != tt.why || got.Recovered != (tt.why == "") {
				t.Fatalf("%s: answered %+v, want %q", tt.topic, got, tt.why)
			}
			ann.Unsubscribe(tt.topic)
		}
		ann.Subscribe("kept", tanktest.Last(2))
		if got, want := m.Stats().Resumes, (tank.Resumes{Recovered: 3, Epoch: 1, Ahead: 1, Off: 1, Evicted: 1}); got != want {
			t.Errorf("counted %+v, want %+v", got, want)
		}
		if got := m.Stats().Replayed; got != 3+1+2 {
			t.Errorf("%d messages replayed", got)
		}
		synctest.Wait()
		var missed []string
		for len(m.ConnEvents) > 0 {
			if e := <-m.ConnEvents; e.EventType == tank.EventMissed {
				missed = append(missed, e.UserID+" "+e.Topic+" "+e.Reason)
				if e.ClientID == "" || e.Time.IsZero() {
					t.Errorf("the event is %+v", e)
				}
			}
		}
		if got, want := strings.Join(missed, ", "), "ann kept evicted, ann kept ahead, ann kept epoch, ann off off"; got != want {
			t.Errorf("events are %s, want %s", got, want)
		}
	})
}

// TestFiguresOfATopic: what it stands at and keeps, and who is in it.
func TestFiguresOfATopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tank.NewInstance(tank.WithTopics("*", tank.TopicOptions{
			History:  tank.History{Messages: 2, Age: time.Hour},
			Presence: tank.Presence{Enabled: true},
		}))
		s := tanktest.Serve(t, m)
		plain, ann := s.Dial("/?user_id=zoe"), s.DialV2("/?user_id=ann")
		plain.Subscribe("news")
		synctest.Wait()
		if got := statsOf(t, m.GetAllTopics(), "news"); got.Epoch != "" || got.Seq != 0 || got.Kept != 0 || !got.OldestKeptAt.IsZero() || got.SubscribersV2 != 0 {
			t.Errorf("of a new topic: %+v", got)
		}
		at := ann.Subscribe("news").Position
		for n := range 3 {
			time.Sleep(time.Minute)
			publishTo(t, m, "news", n)
		}
		time.Sleep(time.Second)
		got := statsOf(t, m.GetAllTopics(), "news")
		if got.Epoch != at.Epoch || got.Seq != 3 || got.Subscribers != 2 || got.SubscribersV2 != 1 || got.Users != 2 {
			t.Errorf("got %+v, want the epoch %s", got, at.Epoch)
		}
		if age := time.Since(got.OldestKeptAt); got.Kept != 2 || got.KeptBytes == 0 || got.KeptBytes != m.Stats().HistoryMemory || age < time.Minute || age > 3*time.Minute {
			t.Errorf("keeps %+v, the oldest %v old", got, age)
		}
		if got := m.Stats(); got.Clients != 2 || got.ClientsV2 != 1 || got.Present != 2 {
			t.Errorf("got %+v", got)
		}
		ann.Subscribe("rare")
		if got := m.Stats().Present; got != 3 {
			t.Errorf("%d are present in two topics, want 3", got)
		}
		must(t, m.Reset("news"))
		if got := statsOf(t, m.GetAllTopics(), "news"); got.Seq != 0 || got.Kept != 0 || got.KeptBytes != 0 || !got.OldestKeptAt.IsZero() || got.Epoch == at.Epoch {
			t.Errorf("of a topic that was reset: %+v", got)
		}
		ann.Close(1000, "")
		plain.Close(1000, "")
		time.Sleep(time.Minute)
		if got := m.Stats(); got.ClientsV2 != 0 || got.Present != 0 || got.Topics != 0 || got.LingeringTopics != 2 {
			t.Errorf("got %+v", got)
		}
		lingers := statsOf(t, m.GetLingeringTopics(), "news")
		if lingers.Epoch == "" || lingers.Subscribers != 0 || len(m.GetLingeringTopics()) != 2 || len(m.GetAllTopics()) != 0 {
			t.Errorf("got %+v", lingers)
		}
		time.Sleep(2 * time.Minute)
		if list := m.GetLingeringTopics(); len(list) != 0 {
			t.Errorf("linger on: %v", list)
		}
	})
}

// TestPresentEndsWithItsTopic: whoever was there when a topic is given up is not counted for ever.
func TestPresentEndsWithItsTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, s := withPresence(t, tank.Presence{})
		dialAs(s, "ann").Subscribe("news")
		if got := m.Stats().Present; got != 1 {
			t.Fatalf("%d are present", got)
		}
		must(t, m.Shutdown(context.Background()))
		if got := m.Stats(); got.Present != 0 || got.ClientsV2 != 0 {
			t.Errorf("after Shutdown: %+v", got)
		}
	})
}

// TestLag: how many messages of a topic a client's socket has not taken, whichever protocol it speaks.
func TestLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tank.NewInstance()
		s := tanktest.Serve(t, m)
		plain, ann := s.Dial("/?user_id=zoe", tanktest.ReadBuffer(64)), s.DialV2("/?user_id=ann", tanktest.ReadBuffer(256))
		plain.Subscribe("news", "other")
		ann.Subscribe("news")
		ann.Subscribe("other")
		lags := func() (text string) {
			synctest.Wait()
			for _, c := range m.GetAllClients() {
				text += fmt.Sprint(c.UserID(), " ", c.Stats().Protocol, " ", c.Lag("news"), " ", c.Lag("other"), " ", c.Lag("nothing"), "; ")
			}
			return text
		}
		if got, want := lags(), "zoe v1 0 0 0; ann tank.v2 0 0 0; "; got != want {
			t.Errorf("at first %s, want %s", got, want)
		}
		plain.Freeze()
		ann.Freeze()
		for range 10 {
			publishTo(t, m, "news", strings.Repeat("x", 300))
		}
		publishTo(t, m, "other", "small")
		if got, want := lags(), "zoe v1 10 1 0; ann tank.v2 10 1 0; "; got != want {
			t.Errorf("while nobody reads %s, want %s", got, want)
		}
		gone := m.GetAllClients()[0]
		ann.Thaw()
		if got, want := lags(), "zoe v1 10 1 0; ann tank.v2 0 0 0; "; got != want {
			t.Errorf("when one reads %s, want %s", got, want)
		}
		plain.Cut()
		for range 11 {
			ann.Next()
		}
		if got, want := lags(), "ann tank.v2 0 0 0; "; got != want {
			t.Errorf("at the end %s, want %s", got, want)
		}
		if got := gone.Lag("news"); got != 0 {
			t.Errorf("a client that has gone lags by %d", got)
		}
	})
}

// TestLostIsWhatClientsWereTold: of what was dropped for a client, what is told by a notice.
func TestLostIsWhatClientsWereTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tank.NewInstance(tank.WithOutboxPolicy(tank.OutboxDropOldest), tank.WithLimits(tank.Limits{OutboxBytes: 4 << 10}))
		s := tanktest.Serve(t, m)
		c, plain := s.DialV2("/", tanktest.ReadBuffer(256)), s.Dial("/", tanktest.ReadBuffer(64))
		c.Subscribe("news")
		plain.Subscribe("news")
		c.Freeze()
		plain.Freeze()
		for range 20 {
			publishTo(t, m, "news", strings.Repeat("x", 1000))
		}
		dropped := m.Stats().Dropped
		if lost := m.Stats().Lost; lost != 0 || dropped < 30 {
			t.Errorf("before anybody was told: lost %d, dropped %d", lost, dropped)
		}
		c.Thaw()
		plain.Thaw()
		told := uint64(0)
		for at := uint64(0); at < 20; {
			got := c.Next()
			if got.Notice == "lost" {
				told += lostOf(t, got)
				at = c.Position("news").Seq
			} else {
				at = got.Seq
			}
		}
		if got := m.Stats(); told == 0 || told >= dropped || got.Lost != told || got.Dropped != dropped {
			t.Errorf("told of %d, counted %d lost, and %d dropped of %d", told, got.Lost, got.Dropped, dropped)
		}
	})
}

// lostOf returns how many messages a notice names.
func lostOf(t *testing.T, notice tanktest.Message) uint64 {
	t.Helper()
	var says struct{ Lost uint64 }
	must(t, json.Unmarshal([]byte(notice.Data), &says))
	return says.Lost
}

// publishTo publishes a text, and waits until the topic has delivered it.
func publishTo(t *testing.T, m *tank.Manager, topic string, data any) {
	t.Helper()
	must(t, m.Publish(context.Background(), topic, fmt.Sprint(data)))
	synctest.Wait()
}

// TestRequestsAreCountedAndTimed: those that fail, and those whose handler panics, too.
func TestRequestsAreCountedAndTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tank.NewInstance(tank.WithRequestHandler(func(_ *tank.Client, r tank.Request) (any, error) {
			time.Sleep(3 * time.Millisecond)
			switch string(r.Data) {
			case `"fail"`:
				return nil, errors.New("no")
			case `"encode"`:
				return make(chan int), nil
			case `"panic"`:
				panic("no")
			}
			return nil, nil
		}))
		s := tanktest.Serve(t, m)
		c := s.DialV2("/")
		c.Request("fine")
		c.Request("fine")
		c.RequestRefused("internal", "fail")
		c.RequestRefused("internal", "encode")
		panics := s.Dial("/", tanktest.Subprotocols("tank.v2"))
		panics.Next() // hello
		panics.Send(`{"id":1,"msg":"panic"}`)
		panics.Next() // bye
		panics.ExpectClose(int(tank.CloseInternalError))
		synctest.Wait()
		if got := m.Stats(); got.Requests != 5 || got.RequestsFailed != 3 {
			t.Errorf("counted %d requests, %d of them failed", got.Requests, got.RequestsFailed)
		}
		h := m.Histograms().RequestLatency
		if i := slices.Index(h.Bounds, 0.005); i < 0 || h.Counts[i] != 5 {
			t.Errorf("calls took %+v", h)
		}
		if want := 0.015; h.Sum < want-1e-9 || h.Sum > want+1e-9 {
			t.Errorf("calls took %v s, want %v s", h.Sum, want)
		}
	})
}

package topic_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// arrivals makes messages with numbers.
func arrivals(numbers ...uint64) (list []topic.Arrival) {
	for _, n := range numbers {
		list = append(list, topic.Arrival{Publication: wire.Publication{Topic: "room", Data: fmt.Sprint(n)}, Seq: n})
	}
	return list
}

// TestWhatIsDroppedWhileOthersAreLoaded is loaded, too: nothing is missing between what is loaded and what the topic has.
func TestWhatIsDroppedWhileOthersAreLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads []topic.Load
		x := topic.Spawn("room", topic.Options{
			Joining: true,
			History: topic.History{Messages: 100},
			OnLoad:  func(_ *topic.Topic, l topic.Load) { loads = append(loads, l) },
		})
		defer x.Stop()
		at := func(seq uint64) wire.Position { return wire.Position{Epoch: "E", Seq: seq} }
		x.Began(at(10))
		x.InForce()
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(x.Arrive(context.Background(), arrivals(11, 12)))
		pages := make(chan topic.Page, 1)
		go func() {
			page, err := x.History(context.Background(), at(5), 100)
			if err != nil {
				t.Error(err)
			}
			pages <- page
		}()
		synctest.Wait()
		must(x.Arrive(context.Background(), arrivals(13)))
		x.Abandon(1 << 30)
		must(x.Arrive(context.Background(), arrivals(14)))
		for i, more := range [][]topic.Arrival{arrivals(6, 7), arrivals(6, 7, 11, 12, 13)} {
			synctest.Wait()
			if len(loads) != i+1 || loads[i].From != 5 || loads[i].UpTo != uint64(10+3*i) {
				t.Fatalf("it loads %+v", loads)
			}
			x.Loaded(topic.Loaded{Load: loads[i], Messages: more, Whole: true})
		}
		page := <-pages
		var got []uint64
		for _, part := range page.Parts {
			for i := range part.Messages {
				got = append(got, part.Number(i))
			}
		}
		if page.Missed != "" || fmt.Sprint(got) != "[6 7 11 12 13 14]" {
			t.Errorf("got %v, missed %q", got, page.Missed)
		}
	})
}

// TestAnswersOfANewEpoch come behind what was published in it, also if the topic is told of it later. Those of an old one come at once.
func TestAnswersOfANewEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := topic.Spawn("room", topic.Options{Joining: true, History: topic.History{Messages: 100}, OnLoad: func(*topic.Topic, topic.Load) {}})
		defer x.Stop()
		x.Began(wire.Position{Epoch: "E", Seq: 10})
		x.InForce()
		s := newReader2()
		x.Join(&topic.Member{Subscriber: s})
		synctest.Wait()
		s.take()
		x.Acknowledge(wire.Position{Epoch: "F", Seq: 5}, false, s, 1)
		x.Acknowledge(wire.Position{Epoch: "G", Seq: 5}, false, s, 2)
		synctest.Wait()
		if got := s.take(); len(got) > 0 {
			t.Errorf("got %q", got)
		}
		x.Began(wire.Position{Epoch: "F"})
		synctest.Wait()
		if got := s.take(); len(got) != 2 || got[1] != `{"id":2,"ok":{"seq":5}}` {
			t.Errorf("got %q, want a reset, and the answer to what does not come", got)
		}
		if err := x.Arrive(context.Background(), arrivals(5)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		x.Acknowledge(wire.Position{Epoch: "E", Seq: 20}, false, s, 3)
		synctest.Wait()
		if got := s.take(); len(got) != 3 || got[1] != `{"id":1,"ok":{"seq":5}}` || got[2] != `{"id":3,"ok":{"seq":20}}` {
			t.Errorf("got %q", got)
		}
	})
}

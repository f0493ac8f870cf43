package topic_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/budget"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// spawn2 makes a topic whose messages have numbers.
func spawn2(t *testing.T, opts topic.Options) *hub {
	h := &hub{Topic: topic.Spawn("room", opts), t: t}
	t.Cleanup(h.Stop)
	return h
}

func (h *hub) position() wire.Position {
	h.t.Helper()
	at, err := h.Position(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return at
}

func (s *reader2) want(t *testing.T, want ...string) {
	t.Helper()
	if got := s.take(); !slices.Equal(got, want) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestReplyAndReplayComeInOneTurn: what is taken in the same turn comes before or behind, as it was put.
func TestReplyAndReplayComeInOneTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn2(t, topic.Options{History: topic.History{Messages: 10}})
		s, old := newReader2(), newReader2()
		m := &topic.Member{Subscriber: old}
		h.Join(m)
		at := h.position()
		old.want(t, fmt.Sprintf(`{"topic":"room","reset":{"epoch":%q,"seq":0}}`, at.Epoch))
		h.hold() // publishes number 1
		h.publish("two")
		h.Join((&topic.Member{Subscriber: s}).Asking(&topic.Ask{ID: 7, Since: at, Most: 1000}))
		h.publish("three")
		h.Ask(m, &topic.Ask{ID: 8, Since: wire.Position{Epoch: at.Epoch, Seq: 2}, Most: 1000})
		h.publish("four")
		h.release()
		s.want(t, fmt.Sprintf(`{"id":7,"ok":{"epoch":%q,"seq":2,"from":0,"recovered":true}}`, at.Epoch),
			frame2(1, "hold"), frame2(2, "two"), frame2(3, "three"), frame2(4, "four"))
		old.want(t, frame2(1, "hold"), frame2(2, "two"), frame2(3, "three"),
			fmt.Sprintf(`{"id":8,"ok":{"epoch":%q,"seq":3,"from":2,"recovered":true}}`, at.Epoch), frame2(3, "three"), frame2(4, "four"))
	})
}

// TestReplaysShareTheirMemory: whoever misses the same is given the same buffers, and the outboxes count them once.
func TestReplaysShareTheirMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn2(t, topic.Options{History: topic.History{Messages: 1000}})
		at := h.position()
		for i := range 500 {
			h.publish(fmt.Sprint("message ", i, strings.Repeat(".", 100)))
			synctest.Wait()
		}
		var all [2][]*wire.Batch
		held := 0
		for i := range all {
			s := newReader2()
			h.Join((&topic.Member{Subscriber: s}).Asking(&topic.Ask{Since: at, Most: 1 << 20}))
			synctest.Wait()
			all[i] = s.batches
			before := held
			for _, b := range s.batches {
				held += b.Hold()
			}
			if i == 1 && held-before > len(s.batches)*wire.BatchOverhead {
				t.Errorf("the second holds %d bytes in %d batches", held-before, len(s.batches))
			}
		}
		if len(all[0]) == 0 || len(all[0]) > 10 || !slices.Equal(all[0], all[1]) {
			t.Errorf("one is given %d batches, the other %d", len(all[0]), len(all[1]))
		}
	})
}

// asked publishes for a client that has an id, or 0.
func (h *hub) asked(s *reader2, id uint64, data, key, owner string) {
	h.t.Helper()
	m := topic.NewAsked(&wire.Publication{Data: data, Key: key}, owner, s, id)
	if err := h.Put(h.t.Context(), m); err != nil {
		h.t.Fatal(err)
	}
}

// TestAnswersAreCollectedBehindTheirBatch: one's own publication comes first, and many answers are one piece.
func TestAnswersAreCollectedBehindTheirBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn2(t, topic.Options{})
		s, other := newReader2(), newReader2()
		h.Join((&topic.Member{Subscriber: s}).Asking(&topic.Ask{}))
		h.hold()
		s.take()
		before := len(s.batches)
		h.asked(s, 1, "one", "", "")
		h.asked(s, 2, "two", "", "")
		h.asked(s, 0, "three", "", "")
		h.asked(other, 5, "four", "", "")
		h.asked(s, 3, "five", "", "")
		h.release()
		s.want(t, frame2(2, "one"), frame2(3, "two"), frame2(4, "three"), frame2(5, "four"), frame2(6, "five"),
			`{"id":1,"ok":{"seq":2}}`, `{"id":2,"ok":{"seq":3}}`, `{"id":3,"ok":{"seq":6}}`)
		other.want(t, `{"id":5,"ok":{"seq":5}}`)
		batches := s.batches[before:]
		if len(batches) != 3 || batches[0].Messages != 5 || batches[0].Answers || batches[1].Messages != 2 || !batches[1].Answers {
			t.Errorf("got %d batches", len(batches))
		}
	})
}

func TestKeysAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn2(t, topic.Options{History: topic.History{Messages: 2}})
		s := newReader2()
		publish := func(id uint64, key, owner string) { h.asked(s, id, "x", key, owner) }
		publish(1, "k", "ann")
		publish(2, "k", "ann")
		publish(3, "k", "bob") // has keys of his own
		publish(4, "", "ann")
		publish(5, "", "ann") // no key is no repetition
		s.want(t, `{"id":1,"ok":{"seq":1}}`, `{"id":2,"ok":{"seq":1,"duplicate":true}}`, `{"id":3,"ok":{"seq":2}}`, `{"id":4,"ok":{"seq":3}}`, `{"id":5,"ok":{"seq":4}}`)
		time.Sleep(2 * time.Minute)
		publish(6, "k", "ann")
		s.want(t, `{"id":6,"ok":{"seq":1,"duplicate":true}}`)
		time.Sleep(time.Nanosecond)
		publish(7, "k", "ann")
		s.want(t, `{"id":7,"ok":{"seq":5}}`)
		time.Sleep(time.Hour)
		publish(8, "k", "ann") // its message is kept
		s.want(t, `{"id":8,"ok":{"seq":5,"duplicate":true}}`)
		if err := h.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		publish(9, "k", "ann")
		s.want(t, `{"id":9,"ok":{"seq":1}}`)
	})
}

func TestKeysAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := budget.New(0, nil)
		h := spawn2(t, topic.Options{Budget: held})
		s := newReader2()
		for i := range 20_000 {
			h.asked(s, 0, "x", fmt.Sprintf("%s%5d", strings.Repeat("k", 100), i), "ann")
		}
		synctest.Wait()
		if h.Kept() > 1<<20+1<<10+500 || h.Kept() < 1<<20+1<<10-500 || held.Held() != h.Kept() {
			t.Errorf("%d bytes are kept, %d counted", h.Kept(), held.Held())
		}
		h.asked(s, 1, "x", fmt.Sprintf("%s%5d", strings.Repeat("k", 100), 19_999), "ann")
		h.asked(s, 2, "x", fmt.Sprintf("%s%5d", strings.Repeat("k", 100), 0), "ann")
		s.want(t, `{"id":1,"ok":{"seq":20000,"duplicate":true}}`, `{"id":2,"ok":{"seq":20001}}`)
	})
}

// TestKeysThatAreForgottenCountNoMore, also if it is a repetition that finds them too old.
func TestKeysThatAreForgottenCountNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		held := budget.New(0, nil)
		h := spawn2(t, topic.Options{Budget: held})
		s := newReader2()
		for i := range 100 {
			h.asked(s, 0, "x", fmt.Sprint("key ", i), "ann")
		}
		time.Sleep(time.Minute)
		h.asked(s, 0, "x", "new", "ann")
		time.Sleep(time.Minute + 1)
		h.asked(s, 1, "x", "new", "ann")
		s.want(t, `{"id":1,"ok":{"seq":101,"duplicate":true}}`)
		if h.Kept() > 2<<10 || held.Held() != h.Kept() {
			t.Errorf("for one key, %d bytes are kept, %d counted", h.Kept(), held.Held())
		}
	})
}

func TestWhoeverIsAdoptedIsToldTheNewNumbering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := spawn2(t, topic.Options{})
		s, plain := newReader2(), &inbox{}
		member, other := (&topic.Member{Subscriber: s}).Asking(&topic.Ask{}), &topic.Member{Subscriber: plain}
		old.Join(member)
		old.publish("one")
		s.want(t, frame2(1, "one"))
		h := spawn2(t, topic.Options{})
		h.Adopt(member)
		h.Adopt(other)
		h.publish("two")
		at := h.position()
		s.want(t, fmt.Sprintf(`{"topic":"room","reset":{"epoch":%q,"seq":0}}`, at.Epoch), frame2(1, "two"))
		plain.want(t, "a plain socket", `{"topic":"room","data":"two"}`)
		if at.Epoch == old.position().Epoch {
			t.Error("the epoch is the old one's")
		}
	})
}

func TestAbandonDropsWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []bool
		h := spawn2(t, topic.Options{History: topic.History{Bytes: 10_000, Age: time.Hour}, OnKept: func(_ *topic.Topic, kept bool, _ time.Time) { told = append(told, kept) }})
		at := h.position()
		h.publish("one", "two")
		synctest.Wait()
		h.Abandon(1 << 30)
		synctest.Wait()
		if h.Kept() != 0 || !slices.Equal(told, []bool{true, false}) {
			t.Errorf("%d bytes are kept; told %v", h.Kept(), told)
		}
		s := newReader2()
		h.Join((&topic.Member{Subscriber: s}).Asking(&topic.Ask{ID: 1, Since: at, Most: 1000}))
		s.want(t, fmt.Sprintf(`{"id":1,"ok":{"epoch":%q,"seq":2,"from":2,"recovered":false,"why":"evicted"}}`, at.Epoch))
		h.publish("three")
		synctest.Wait()
		if !slices.Equal(told, []bool{true, false, true}) {
			t.Errorf("told %v", told)
		}
	})
}

// TestAbandonDropsKeysToo: a topic that keeps no messages, or not enough of them, gives up its oldest keys.
func TestAbandonDropsKeysToo(t *testing.T) {
	for name, history := range map[string]topic.History{"keys alone": {}, "messages and keys": {Bytes: 10_000}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				held := budget.New(0, nil)
				h := spawn2(t, topic.Options{History: history, Budget: held})
				s := newReader2()
				for i := range 100 {
					h.asked(s, 0, "x", fmt.Sprint("key ", i), "ann")
				}
				synctest.Wait()
				want := h.Kept() / 2
				h.Abandon(h.Kept() - want)
				synctest.Wait()
				if got := h.Kept(); got > want || got < want-1000 || held.Held() != got {
					t.Fatalf("%d bytes are kept, %d counted, want %d", got, held.Held(), want)
				}
				h.asked(s, 1, "x", "key 99", "ann")
				h.asked(s, 2, "x", "key 0", "ann")
				s.want(t, `{"id":1,"ok":{"seq":100,"duplicate":true}}`, `{"id":2,"ok":{"seq":101}}`)
			})
		})
	}
}

// TestOnKeptTellsOfAMessageThatLeavesNoRoom: a message over the limit in bytes drops all that was kept, and is not kept itself.
func TestOnKeptTellsOfAMessageThatLeavesNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []bool
		h := spawn2(t, topic.Options{History: topic.History{Bytes: 10_000}, OnKept: func(_ *topic.Topic, kept bool, _ time.Time) { told = append(told, kept) }})
		for _, size := range []int{100, 20_000, 20_000, 100} {
			h.publish(strings.Repeat("x", size))
			synctest.Wait()
		}
		if !slices.Equal(told, []bool{true, false, true}) {
			t.Errorf("told %v", told)
		}
	})
}

// TestAbandonDropsTheOldest: no more than is asked for, but for the rest of a block.
func TestAbandonDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const messages, size = 40, 4000
		h := spawn2(t, topic.Options{History: topic.History{Bytes: 1 << 20}})
		for range messages {
			h.publish(strings.Repeat("x", size))
			synctest.Wait()
		}
		before := h.Kept()
		h.Abandon(before / 2)
		page, err := h.History(t.Context(), wire.Position{}, messages)
		left := h.Kept()
		if err != nil || left > before/2 || left < before/2-20_000 {
			t.Errorf("%d of %d bytes are kept, %v", left, before, err)
		}
		kept := 0
		for _, part := range page.Parts {
			kept += part.Messages
		}
		if page.Missed != wire.MissedEvicted || page.From.Seq+uint64(kept) != messages || kept < messages/2-5 || kept > messages/2 {
			t.Errorf("%d messages are kept behind number %d; missed: %q", kept, page.From.Seq, page.Missed)
		}
	})
}

// TestRetireEndsATopicThatKeepsNothing, and no other: what was taken is not lost with it.
func TestRetireEndsATopicThatKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped, told := 0, 0
		opts := topic.Options{
			History: topic.History{Messages: 3},
			OnStop:  func(*topic.Topic, error) { stopped++ },
			OnKept:  func(*topic.Topic, bool, time.Time) { told++ },
		}
		h := spawn2(t, opts)
		h.hold()
		h.Abandon(1 << 30)
		h.Retire()
		h.publish("waits behind it")
		before := told
		h.release()
		if told-before < 2 { // the second is about what has come behind it
			t.Fatalf("was told %d times that it has not ended", told-before)
		}
		if page, err := h.History(t.Context(), wire.Position{}, 10); err != nil || len(page.Parts) != 1 || stopped != 0 {
			t.Fatalf("got %+v, %v; %d topics have ended", page, err, stopped)
		}
		h.Retire()
		synctest.Wait()
		if stopped != 0 {
			t.Fatal("a topic that keeps messages has ended")
		}
		h.Abandon(1 << 30)
		h.Retire()
		synctest.Wait()
		if err := publish(h, t.Context(), "late"); !errors.Is(err, actor.ErrStopped) || stopped != 1 {
			t.Fatalf("got %v; %d topics have ended", err, stopped)
		}
	})
}

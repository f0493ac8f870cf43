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
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

func TestEverySubscriberGetsEveryMessageInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{})
		a, _ := h.join()
		b, _ := h.join()
		h.publish("1", "2")
		synctest.Wait()
		h.publish("3")
		a.want(t, "a", "1", "2", "3")
		b.want(t, "b", "1", "2", "3")
	})
}

func TestAMessageIsOneFrame(t *testing.T) {
	for _, tt := range []struct {
		name, topic, data string
		verbatim          bool
		want              string
	}{
		{"in the envelope", "news", "hello", false, "\x81\x1f" + `{"topic":"news","data":"hello"}`},
		{"in the envelope, escaped", `a"b\c`, "\"\\\n\x01\u2028", false, "\x81\x2c" + `{"topic":"a\"b\\c","data":"\"\\\n\u0001` + "\u2028" + `"}`},
		{"in the envelope, Chinese", "新闻", "你好", false, "\x81\x22" + `{"topic":"新闻","data":"你好"}`},
		{"in the envelope, empty", "news", "", false, "\x81\x1a" + `{"topic":"news","data":""}`},
		{"verbatim", "news", `{"a":"b"}`, true, "\x81\x09" + `{"a":"b"}`},
		{"verbatim, empty", "news", "", true, "\x81\x00"},
		{"verbatim, not UTF-8", "news", "\xff\x00", true, "\x82\x02\xff\x00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hub{Topic: topic.Spawn(tt.topic, topic.Options{Verbatim: tt.verbatim}), t: t}
				defer h.Stop()
				s, _ := h.join()
				h.publish(tt.data)
				if synctest.Wait(); len(s.batches) != 1 || string(s.batches[0].Frames[wire.V1]) != tt.want {
					t.Errorf("got %q, want one batch %q", s.copies, tt.want)
				}
				if got := h.Name(); got != tt.topic {
					t.Errorf("Name is %q, want %q", got, tt.topic)
				}
			})
		})
	}
}

// maxBatch restates the promise: a batch ends with the message that brings it to 128 KiB.
const maxBatch = 128 << 10

func TestABurstComesInFewBatchesOfBoundedSize(t *testing.T) {
	for _, size := range []int{1, 100, 1000, 10_000, maxBatch - 10, maxBatch, 400_000} {
		t.Run(fmt.Sprintf("size=%d", size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := spawn(t, topic.Options{})
				h.hold()
				s, _ := h.join()
				count, frame := max(400_000/size, 5), frameLen(size)
				for range count {
					h.publish(strings.Repeat("x", size))
				}
				h.release()
				for i, b := range s.batches {
					last := i == len(s.batches)-1
					if n := len(b.Frames[wire.V1]); n >= maxBatch+frame || n < maxBatch && !last {
						t.Errorf("batch %d of %d has %d bytes, in messages of %d", i, len(s.batches), n, frame)
					}
				}
				if got := len(s.payloads(t)); got != count {
					t.Errorf("got %d messages, want %d", got, count)
				}
			})
		})
	}
}

// frameLen returns the length of a frame with a payload of n bytes.
func frameLen(n int) int {
	switch {
	case n < 126:
		return 2 + n
	case n <= 0xFFFF:
		return 4 + n
	default:
		return 10 + n
	}
}

func TestWhatWaitsIsOneBatchSharedByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{})
		h.hold()
		a, _ := h.join()
		b, _ := h.join()
		h.publish("1", "2", "3")
		h.release()
		a.want(t, "a", "1", "2", "3")
		if len(a.batches) != 1 || len(b.batches) != 1 || a.batches[0] != b.batches[0] {
			t.Errorf("got %d and %d batches, want the same one for both", len(a.batches), len(b.batches))
		}
	})
}

func TestAMemberGetsWhatIsPublishedBetweenJoinAndLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{})
		h.hold()
		stays, _ := h.join()
		h.publish("before")
		guest, m := h.join()
		h.publish("during")
		h.Leave(m, false, nil)
		h.publish("after")
		h.Join(m)
		h.publish("again")
		h.release()
		guest.want(t, "the guest", "during", "again")
		stays.want(t, "the one who stays", "before", "during", "after", "again")
	})
}

func TestJoiningTwiceIsJoiningOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{})
		s, m := h.join()
		h.Join(m)
		h.publish("once")
		h.Leave(m, false, nil)
		h.publish("never")
		s.want(t, "the subscriber", "once")
	})
}

func TestLeavingTwiceIsLeavingOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{})
		a, first := h.join()
		b, _ := h.join()
		c, last := h.join()
		stranger := &topic.Member{Subscriber: &inbox{}}
		h.publish("1")
		for _, m := range []*topic.Member{first, first, stranger, last, last, first} {
			h.Leave(m, false, nil)
		}
		h.publish("2")
		h.Join(first)
		h.publish("3")
		a.want(t, "a", "1", "3")
		b.want(t, "b", "1", "2", "3")
		c.want(t, "c", "1")
	})
}

func TestOneClientMayHaveTwoMemberships(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{})
		s, first := h.join()
		h.Join(&topic.Member{Subscriber: s})
		h.publish("twice")
		h.Leave(first, false, nil)
		h.publish("once")
		s.want(t, "the subscriber", "twice", "twice", "once")
	})
}

func TestStopDeliversWhatWasTakenAndRefusesTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stops []error
		h := spawn(t, topic.Options{OnStop: func(_ *topic.Topic, err error) { stops = append(stops, err) }})
		h.hold()
		s, _ := h.join()
		h.publish("1", "2")
		h.Leave(h.holder, false, nil)
		h.Stop()
		h.Stop()
		if err := publish(h, t.Context(), "late"); !errors.Is(err, actor.ErrStopped) {
			t.Errorf("Publish after Stop returned %v, want ErrStopped", err)
		}
		h.Join(&topic.Member{Subscriber: &inbox{}})
		h.Leave(h.holder, false, nil)
		if len(stops) != 0 {
			t.Error("OnStop was called before the messages were delivered")
		}
		close(h.gate)
		s.want(t, "the subscriber", "1", "2")
		if len(stops) != 1 || stops[0] != nil {
			t.Errorf("OnStop was called with %v, want once with nil", stops)
		}
	})
}

func TestCountersAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		h := spawn(t, topic.Options{})
		if got := h.Stats(); got != (topic.Stats{CreatedAt: start}) {
			t.Errorf("stats of a new topic are %+v", got)
		}
		h.publish("to nobody", "to nobody")
		synctest.Wait()
		h.join()
		h.join()
		refuses, m := h.join()
		refuses.refuse = true
		<-time.After(time.Minute)
		h.publish("1", "2", "3", "4", "5")
		synctest.Wait()
		h.Leave(m, false, nil)
		h.publish("6")
		synctest.Wait()
		want := topic.Stats{Published: 8, Delivered: 12, Dropped: 5, Position: wire.Position{Seq: 8}, CreatedAt: start, LastPublishedAt: start.Add(time.Minute)}
		got := h.Stats()
		if !got.LastPublishedAt.Equal(want.LastPublishedAt) {
			t.Errorf("LastPublishedAt is %v, want %v", got.LastPublishedAt, want.LastPublishedAt)
		}
		if got.LastPublishedAt = want.LastPublishedAt; got != want {
			t.Errorf("stats are\n%+v, want\n%+v", got, want)
		}
	})
}

func TestDepthCountsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{})
		h.hold()
		h.publish("1", "2", "3")
		if got := h.Stats(); got.Depth != 3 || got.Published != 1 {
			t.Errorf("stats are %+v, want depth 3, published 1", got)
		}
		h.release()
		if got := h.Stats(); got.Depth != 0 || got.Published != 4 {
			t.Errorf("stats are %+v, want depth 0, published 4", got)
		}
	})
}

// TestMembersAreThoseBetweenWhatWasTakenBeforeAndAfter: whoever asks gets the answer behind all that was published before.
func TestMembersAreThoseBetweenWhatWasTakenBeforeAndAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{})
		expect := func(want ...*sleeper) {
			t.Helper()
			got, err := h.Members(t.Context())
			if err != nil || len(got) != len(want) {
				t.Fatalf("got %d members and error %v, want %d", len(got), err, len(want))
			}
			for _, s := range want {
				if !slices.Contains(got, topic.Subscriber(s)) {
					t.Fatal("somebody is missing")
				}
			}
		}
		expect()
		one, two := &sleeper{t: t}, &sleeper{t: t}
		first, second := &topic.Member{Subscriber: one}, &topic.Member{Subscriber: two}
		h.Join(first)
		h.Join(second)
		expect(one, two)
		h.publish("message")
		h.Leave(first, false, nil)
		expect(two)
		if one.waiting.Load()+one.written.Load() != 1 {
			t.Error("the message published before was not delivered")
		}
		h.Stop()
		if _, err := h.Members(t.Context()); !errors.Is(err, actor.ErrStopped) {
			t.Errorf("got error %v after Stop, want actor.ErrStopped", err)
		}
	})
}

// TestMembersWaitForWhatWasTakenBefore: also when that came just before.
func TestMembersWaitForWhatWasTakenBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{})
		h.hold()
		slow := blocker(make(chan struct{}))
		h.Join(&topic.Member{Subscriber: slow})
		h.publish("message")
		answered := make(chan error, 1)
		go func() {
			_, err := h.Members(t.Context())
			answered <- err
		}()
		synctest.Wait()
		h.release()
		if len(answered) > 0 {
			t.Error("Members did not wait for the message published before")
		}
		close(slow)
		if err := <-answered; err != nil {
			t.Error(err)
		}
	})
}

// encoded is an inbox of a subscriber with an encoding.
type encoded struct {
	inbox
	encoding wire.Encoding
}

func (s *encoded) Encoding() wire.Encoding { return s.encoding }

func TestOnlyEncodingsThatAMemberNeedsAreMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{Deflater: wire.NewDeflater(1, 0)})
		var members [wire.Encodings]*topic.Member
		var subscribers [wire.Encodings]*encoded
		for e := range members {
			subscribers[e] = &encoded{encoding: wire.Encoding(e)}
			members[e] = &topic.Member{Subscriber: subscribers[e]}
		}
		message := strings.Repeat("message ", 100)
		for _, step := range []struct {
			what string
			do   func()
			want [wire.Encodings]bool
		}{
			{"for a plain member", func() { h.Join(members[wire.V1]) }, [wire.Encodings]bool{wire.V1: true}},
			{"for two", func() { h.Join(members[wire.V1Deflated]) }, [wire.Encodings]bool{wire.V1: true, wire.V1Deflated: true}},
			{"for one with compression", func() { h.Leave(members[wire.V1], false, nil) }, [wire.Encodings]bool{wire.V1Deflated: true}},
			{"and one of the program's", func() { h.Join(members[wire.Objects]) }, [wire.Encodings]bool{wire.V1Deflated: true, wire.Objects: true}},
			{"for that one alone", func() { h.Leave(members[wire.V1Deflated], false, nil) }, [wire.Encodings]bool{wire.Objects: true}},
			{"and one of tank.v2", func() { h.Join(members[wire.V2]) }, [wire.Encodings]bool{wire.V2: true, wire.Objects: true}},
			{"and one with compression", func() { h.Join(members[wire.V2Deflated]) }, [wire.Encodings]bool{wire.V2: true, wire.V2Deflated: true, wire.Objects: true}},
			{"for this one", func() { h.Leave(members[wire.V2], false, nil) }, [wire.Encodings]bool{wire.V2Deflated: true, wire.Objects: true}},
			{"for all", func() { h.Join(members[wire.V1]); h.Join(members[wire.V1Deflated]); h.Join(members[wire.V2]) },
				[wire.Encodings]bool{true, true, true, true, true}},
		} {
			step.do()
			h.hold()
			h.Leave(h.holder, false, nil) // whose encoding is not to count
			h.publish(message, message)
			h.release()
			for e, s := range subscribers {
				if !step.want[e] {
					continue
				}
				b := s.batches[len(s.batches)-1]
				if b.Messages != 2 {
					t.Errorf("%s: a batch of %d messages, want 2", step.what, b.Messages)
				}
				made := [wire.Encodings]bool{wire.Objects: len(b.Objects) > 0}
				for e, frames := range b.Frames {
					made[e] = len(frames) > 0
				}
				if made != step.want {
					t.Errorf("%s: the encodings made are %v, want %v", step.what, made, step.want)
				}
				if s.encoding == wire.Objects {
					if want := []wire.Publication{{Topic: "room", Data: message}, {Topic: "room", Data: message}}; !slices.Equal(b.Objects, want) {
						t.Errorf("%s: got %+v", step.what, b.Objects)
					}
				} else if frames := decode(t, b.For(s.encoding)); len(frames) != 2 {
					t.Errorf("%s: %d frames, want 2", step.what, len(frames))
				}
			}
		}
	})
}

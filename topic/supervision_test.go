package topic_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

func TestAPanickingSubscriberCostsTheOthersNothing(t *testing.T) {
	for bad := range 4 {
		t.Run(fmt.Sprintf("place=%d", bad), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var panics []*actor.PanicError
				h := spawn(t, topic.Options{OnPanic: func(_ *topic.Topic, err *actor.PanicError) { panics = append(panics, err) }})
				var all []*inbox
				for i := range 4 {
					s, _ := h.join()
					s.panics = i == bad
					all = append(all, s)
				}
				h.publish("1")
				synctest.Wait()
				h.publish("2")
				synctest.Wait()
				for i, s := range all {
					if i != bad {
						s.want(t, fmt.Sprintf("subscriber %d", i), "1", "2")
					}
				}
				if len(panics) != 2 || panics[0].Value != "in Deliver" || !strings.Contains(string(panics[0].Stack), "culprit") {
					t.Errorf("OnPanic was called with %v, want twice with the panic and its stack", panics)
				}
				if got := h.Stats(); got.Delivered != 6 || got.Dropped != 2 || got.Published != 2 || got.Restarts != 0 {
					t.Errorf("stats are %+v, want 6 delivered, 2 dropped, 2 published, no restart", got)
				}
				all[bad].panics = false
				h.publish("3")
				all[bad].want(t, "the subscriber that has recovered", "3")
			})
		})
	}
}

func TestSubscribersThatPanicAgainAndAgainDoNotEndTheTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{}) // nobody is told, which must be fine too
		for range 50 {
			s, _ := h.join()
			s.panics = true
		}
		healthy, _ := h.join()
		for range 50 {
			h.publish("x")
			synctest.Wait()
		}
		if got := len(healthy.payloads(t)); got != 50 {
			t.Errorf("the healthy subscriber got %d messages, want 50", got)
		}
	})
}

func TestHooksAreToldWhichTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var panicked, stopped *topic.Topic
		h := spawn(t, topic.Options{
			OnPanic: func(who *topic.Topic, _ *actor.PanicError) { panicked = who },
			OnStop:  func(who *topic.Topic, _ error) { stopped = who },
		})
		s, _ := h.join()
		s.panics = true
		h.publish("x")
		h.Stop()
		synctest.Wait()
		if panicked != h.Topic || stopped != h.Topic {
			t.Errorf("OnPanic was given %p and OnStop %p, want %p", panicked, stopped, h.Topic)
		}
	})
}

// A nil Member is what makes the topic actor itself panic.

func TestATopicThatPanicsKeepsItsSubscribersAndMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var panics []*actor.PanicError
		h := spawn(t, topic.Options{OnPanic: func(_ *topic.Topic, err *actor.PanicError) { panics = append(panics, err) }})
		s, _ := h.join()
		h.hold()
		h.publish("1")
		h.Join(nil)
		h.publish("2")
		h.Adopt(nil)
		h.publish("3")
		h.release()
		s.want(t, "the subscriber", "hold", "1", "2", "3")
		if got := h.Stats().Restarts; len(panics) != 2 || got != 2 {
			t.Errorf("%d panics reported and %d restarts counted, want 2", len(panics), got)
		}
	})
}

func TestATopicThatPanicsWithoutEndIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stops []error
		h := spawn(t, topic.Options{OnStop: func(_ *topic.Topic, err error) { stops = append(stops, err) }})
		for range actor.DefaultRestarts + 5 {
			h.Join(nil)
		}
		synctest.Wait()
		var err *actor.PanicError
		if len(stops) != 1 || !errors.As(stops[0], &err) {
			t.Fatalf("OnStop was called with %v, want once with the panic", stops)
		}
		if err := publish(h, t.Context(), "late"); !errors.Is(err, actor.ErrStopped) {
			t.Errorf("Publish to a topic that was given up returned %v, want ErrStopped", err)
		}
	})
}

// giveUp makes the topic panic until it is given up.
func (h *hub) giveUp() {
	for range actor.DefaultRestarts + 1 {
		h.Join(nil)
	}
}

func TestWhoeverLeavesATopicThatIsGivenUpIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{})
		_, early := h.join()
		_, late := h.join()
		left := 0
		h.hold()
		h.giveUp()
		h.Leave(early, false, func() { left++ }) // which the topic does not get to
		h.release()
		if left != 1 {
			t.Errorf("done was called %d times for what the topic discarded, want once", left)
		}
		h.Leave(late, false, func() { left++ })
		if left != 2 {
			t.Error("done was not called for a topic that has ended")
		}
	})
}

// TestSubscriptionsThatNeverBeginAreAnswered: the topic is given up, or has ended, and its members leave before another one has them.
func TestSubscriptionsThatNeverBeginAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{})
		handed, joined := 0, 0
		join := func(id uint64) (*reader2, *topic.Member) {
			s := newReader2()
			m := (&topic.Member{Subscriber: s, Joined: func() { joined++ }}).Asking(&topic.Ask{ID: id, Handed: func() { handed++ }})
			h.Join(m)
			return s, m
		}
		h.hold()
		h.giveUp()
		early, discarded := join(1)
		h.Leave(discarded, false, nil)
		h.release()
		late, refused := join(2)
		h.Leave(refused, false, nil)
		early.want(t, `{"id":1,"error":{"code":"busy","message":"the subscription did not begin: try again","retry":true}}`)
		late.want(t, `{"id":2,"error":{"code":"busy","message":"the subscription did not begin: try again","retry":true}}`)
		if handed != 2 || joined != 2 {
			t.Errorf("%d were handed over, %d joined", handed, joined)
		}
		h.Topic = spawn(t, topic.Options{}).Topic
		h.Adopt(refused)
		early.want(t)
	})
}

func TestJoinedIsCalledOnceForEachSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{})
		answers := map[string]int{}
		join := func(name string) (*inbox, *topic.Member) {
			s := &inbox{}
			m := &topic.Member{Subscriber: s, Joined: func() { answers[name]++ }}
			h.Join(m)
			return s, m
		}
		a, early := join("early")
		h.hold()
		if answers["early"] != 1 {
			t.Fatalf("answers are %v", answers)
		}
		h.giveUp()
		b, late := join("late")
		h.release()
		if answers["late"] != 0 {
			t.Fatal("the topic has answered for the one that replaces it")
		}
		h.Topic = spawn(t, topic.Options{}).Topic
		h.Adopt(early)
		h.Adopt(late)
		h.publish("after")
		synctest.Wait()
		if answers["early"] != 1 || answers["late"] != 1 {
			t.Errorf("answers are %v, want one of each", answers)
		}
		a.want(t, "the early one", "hold", "after")
		b.want(t, "the late one", "after")
		h.Leave(early, false, nil)
		h.publish("more")
		a.want(t, "the one that has left", "hold", "after")
		b.want(t, "the one that has stayed", "after", "more")
	})
}

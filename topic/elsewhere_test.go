package topic_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// TestInstancesAreBounded: a stranger who makes instances up does not fill the memory, and they are forgotten.
func TestInstancesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn2(t, topic.Options{
			Presence: topic.Presence{Enabled: true, Grace: time.Second, Max: 10},
			OnShare:  func(*topic.Topic, topic.Shared) {},
		})
		for i := range 3000 {
			user := topic.Shared{All: true, In: []wire.Present{{User: fmt.Sprint("user ", i)}}}
			if err := h.Hear(t.Context(), fmt.Sprint("node ", i), user); err != nil {
				t.Fatal(err)
			}
		}
		there := func() uint64 {
			here, err := h.Present(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return here.Users
		}
		if n := there(); n != 1024 {
			t.Errorf("%d users are there, want 1024", n)
		}
		time.Sleep(15 * time.Second)
		if n := there(); n != 0 {
			t.Errorf("%d users are there, of instances that say nothing", n)
		}
	})
}

// TestWhoComesBackAtOnceIsHereForOthers, too, although nobody here watches who comes and goes.
func TestWhoComesBackAtOnceIsHereForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := topic.Options{
			Presence:   topic.Presence{Enabled: true, Grace: time.Second, Max: 10},
			OnPresence: func(x *topic.Topic, due time.Time) { time.AfterFunc(max(0, time.Until(due)), x.TellPresence) },
			OnShare:    func(*topic.Topic, topic.Shared) {},
		}
		elsewhere := spawn2(t, options)
		options.OnShare = func(_ *topic.Topic, s topic.Shared) { go elsewhere.Hear(t.Context(), "node", s) }
		h := spawn2(t, options)
		enter := func(user string) *topic.Member {
			m := &topic.Member{Subscriber: new(inbox), User: user}
			h.Join(m)
			return m
		}
		enter("ann")
		bob := enter("bob")
		time.Sleep(10*time.Second + 500*time.Millisecond)
		h.Leave(bob, false, nil)
		enter("bob")
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			here, err := elsewhere.Present(t.Context())
			if err != nil || here.Users != 2 {
				t.Fatalf("%+v, %v are there for another instance, want 2", here, err)
			}
		}
	})
}

// TestCrowdsElsewhereAreTold as they grow, although no names change.
func TestCrowdsElsewhereAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := spawn2(t, topic.Options{
			Presence:   topic.Presence{Enabled: true, Grace: time.Second, Max: 3},
			OnPresence: func(x *topic.Topic, due time.Time) { time.AfterFunc(max(0, time.Until(due)), x.TellPresence) },
			OnShare:    func(*topic.Topic, topic.Shared) {},
		})
		w := &watcher{t: t}
		h.Join((&topic.Member{Subscriber: w, User: "ann"}).Asking(&topic.Ask{ID: 1, Watch: true}))
		for _, crowd := range []int{10, 20, 5, 0} {
			if err := h.Hear(t.Context(), "node", topic.Shared{Crowd: crowd, All: crowd == 0}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if w.n != uint64(1+crowd) || (w.users != nil) != (crowd == 0) {
				t.Errorf("the watcher knows %d, %v; want %d", w.n, w.users, 1+crowd)
			}
		}
		if err := h.Hear(t.Context(), "node", topic.Shared{Crowd: 10}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if err := h.Hear(t.Context(), "other", topic.Shared{Crowd: 10}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(14 * time.Second) // the first is silent for long
		synctest.Wait()
		if w.n != 11 {
			t.Errorf("the watcher knows %d, want 11", w.n)
		}
	})
}

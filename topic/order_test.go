package topic_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/fanqie/tank-websocket-go-server/topic"
)

func TestAllSubscribersSeeOneOrderThatKeepsEachPublishers(t *testing.T) {
	const publishers, each = 16, 200
	synctest.Test(t, func(t *testing.T) {
		h := spawn(t, topic.Options{QueueBytes: 1000})
		var subscribers []*inbox
		for range 5 {
			s, _ := h.join()
			subscribers = append(subscribers, s)
		}
		var wg sync.WaitGroup
		for p := range publishers {
			wg.Go(func() {
				for n := range each {
					h.publish(fmt.Sprintf("%d %d", p, n))
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		got := subscribers[0].payloads(t)
		var next [publishers]int
		for _, msg := range got {
			var p, n int
			fmt.Sscan(msg, &p, &n)
			if n != next[p] {
				t.Fatalf("message %d of publisher %d came when %d was due", n, p, next[p])
			}
			next[p]++
		}
		if len(got) != publishers*each {
			t.Errorf("got %d messages, want %d", len(got), publishers*each)
		}
		for i, s := range subscribers[1:] {
			if !slices.Equal(s.payloads(t), got) {
				t.Errorf("subscriber %d saw another order than subscriber 0", i+1)
			}
		}
	})
}

// A subscription's run has no gap: whoever comes and goes while others publish sees a piece of the whole, unbroken.
func TestWhoComesAndGoesSeesAnUnbrokenRun(t *testing.T) {
	const messages = 10_000
	h := topic.Spawn("room", topic.Options{QueueBytes: 1000, Verbatim: true})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range messages {
			publish(h, t.Context(), fmt.Sprint(n))
		}
	})
	guests := make([][]*inbox, 4)
	for g := range guests {
		wg.Go(func() {
			for range 300 {
				s := &inbox{}
				m := &topic.Member{Subscriber: s}
				h.Join(m)
				publish(h, t.Context(), "own")
				h.Leave(m, false, nil)
				guests[g] = append(guests[g], s)
			}
		})
	}
	wg.Wait()
	stopped := &sync.WaitGroup{}
	stopped.Add(1)
	h.Join(&topic.Member{Subscriber: signal{stopped}})
	publish(h, t.Context(), "the end")
	stopped.Wait()
	h.Stop()
	for _, visits := range guests {
		for _, s := range visits {
			checkRun(t, s.payloads(t))
		}
	}
}

// checkRun checks that the numbers in msgs count up by one, and that the guest's own message is among the others.
func checkRun(t *testing.T, msgs []string) {
	t.Helper()
	due, own := -1, false
	for _, msg := range msgs {
		if msg == "own" {
			own = true
			continue
		}
		var n int
		fmt.Sscan(msg, &n)
		if due >= 0 && n != due {
			t.Fatalf("message %d came when %d was due", n, due)
		}
		due = n + 1
	}
	if !own {
		t.Fatalf("a guest did not see its own message, only %d others", len(msgs))
	}
}

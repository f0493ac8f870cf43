package topic_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// sleeper is a Subscriber that is idle before each delivery, until it is flushed.
type sleeper struct {
	t         *testing.T
	waiting   atomic.Int64 // messages delivered and not written
	written   atomic.Int64
	encoding  wire.Encoding
	claimed   atomic.Bool
	runs      atomic.Int64
	beforeRun func()
}

func (s *sleeper) Deliver(b *wire.Batch) (taken, idle bool) {
	s.waiting.Add(int64(b.Messages))
	return true, !s.claimed.Swap(true)
}

func (s *sleeper) Flush() {
	if s.beforeRun != nil {
		s.beforeRun()
	}
	if !s.claimed.Load() {
		s.t.Error("run without being idle")
	}
	s.runs.Add(1)
	s.claimed.Store(false)
	s.written.Add(s.waiting.Swap(0))
}

func (s *sleeper) Encoding() wire.Encoding { return s.encoding }

func TestEveryIdleSubscriberIsFlushedOnce(t *testing.T) {
	for _, n := range []int{1, 15, 16, 63, 64, 65, 128, 1000} {
		for _, pool := range []bool{false, true} {
			t.Run(fmt.Sprintf("subscribers=%d/pool=%v", n, pool), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					opts := topic.Options{}
					if pool {
						opts.Pool = topic.NewPool(2)
					}
					h := spawn(t, opts)
					all := make([]*sleeper, n)
					for i := range all {
						all[i] = &sleeper{t: t}
						h.Join(&topic.Member{Subscriber: all[i]})
					}
					for round := range int64(3) {
						h.publish("message")
						synctest.Wait()
						for i, s := range all {
							if s.written.Load() != round+1 || s.runs.Load() != round+1 {
								t.Fatalf("subscriber %d: %d written in %d runs, want %d of both", i, s.written.Load(), s.runs.Load(), round+1)
							}
						}
					}
				})
			})
		}
	}
}

// A panic elsewhere does not leave a subscriber claimed for good, nor what was encoded before it undelivered.
func TestIdleSubscribersAreFlushedAlthoughTheTopicPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		panics := 0
		h := spawn(t, topic.Options{OnPanic: func(*topic.Topic, *actor.PanicError) { panics++ }})
		h.hold()
		s := &sleeper{t: t}
		h.Join(&topic.Member{Subscriber: s})
		h.publish("1")
		h.Leave(h.holder, false, nil)
		h.Join(nil) // which panics, as the last message there is
		close(h.gate)
		synctest.Wait()
		if panics != 1 || s.written.Load() != 1 {
			t.Errorf("%d panics, %d messages written, want 1 and 1", panics, s.written.Load())
		}
	})
}

// What takes long is not done in the pool's goroutines, where other topics wait.
func TestLongWorkIsNotInTheWayOfOtherTopics(t *testing.T) {
	for _, tt := range []struct {
		name     string
		message  string
		members  int
		encoding wire.Encoding
	}{
		{"many writes", "small", 40, wire.V1},
		{"large writes", strings.Repeat("x", 150_000), 2, wire.V1},
		{"compression", "small", 1, wire.V1Deflated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pool := topic.NewPool(1)
				opts := topic.Options{Pool: pool, Deflater: wire.NewDeflater(1, 0)}
				busy, calm := spawn(t, opts), spawn(t, opts)
				gate := make(chan struct{})
				for range tt.members {
					busy.Join(&topic.Member{Subscriber: &sleeper{t: t, encoding: tt.encoding, beforeRun: func() { <-gate }}})
				}
				s := &sleeper{t: t}
				calm.Join(&topic.Member{Subscriber: s})
				synctest.Wait()
				busy.publish(tt.message)
				synctest.Wait()
				calm.publish("message")
				synctest.Wait()
				if s.written.Load() != 1 {
					t.Error("the other topic has to wait")
				}
				close(gate)
			})
		})
	}
}

// A flood of large batches to many does not keep the processor from others until all is written.
func TestOthersGetTheProcessorBetweenLargeWrites(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		const members, size = 64, 100_000
		h := spawn(t, topic.Options{})
		var turns, written atomic.Int64 // turns are those of another goroutine
		between, before := 0, int64(0)
		for range members {
			h.Join(&topic.Member{Subscriber: &sleeper{t: t, beforeRun: func() {
				if now := turns.Load(); now != before {
					before = now
					between++
				}
				written.Add(1)
			}}})
		}
		synctest.Wait()
		h.publish(strings.Repeat("x", size))
		for written.Load() < members {
			turns.Add(1)
			runtime.Gosched()
		}
		if between < members/4 { // half is the rule, but the scheduler may choose the same goroutine again
			t.Errorf("others got the processor %d times between %d writes of %d bytes", between, members, size)
		}
	})
}

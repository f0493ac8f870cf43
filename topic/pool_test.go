package topic_test

import (
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

func TestActorsOfAPoolTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := topic.NewPool(1)
		var order []string
		turns := func(name string, again int) *actor.Ref[int] {
			var ref *actor.Ref[int]
			ref = actor.Spawn(actor.Options{Schedule: pool.Go}, func(mail iter.Seq[int]) {
				for n := range mail {
					order = append(order, fmt.Sprint(name, n))
					if n < again {
						ref.Post(n + 1)
					}
				}
			})
			return ref
		}
		gate := make(chan struct{})
		pool.Go(runner(func() { <-gate })) // so that both are in the queue
		turns("flood", 3).Post(1)
		turns("calm", 0).Post(1)
		close(gate)
		synctest.Wait()
		if got := strings.Join(order, " "); got != "flood1 calm1 flood2 flood3" {
			t.Errorf("order %s", got)
		}
	})
}

// A runner is not stuck behind a long one while a worker has nothing to do.
func TestPoolPicksAnIdleWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := topic.NewPool(2)
		gate := make(chan struct{})
		pool.Go(runner(func() { <-gate }))
		ran := 0
		for range 10 {
			pool.Go(runner(func() { ran++ }))
			synctest.Wait()
		}
		if ran != 10 {
			t.Errorf("%d of 10 ran while one worker was busy", ran)
		}
		close(gate)
	})
}

type runner func()

func (r runner) Run() { r() }

func TestAPoolRunsNoMoreThanItsWorkersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 3
		pool := topic.NewPool(workers)
		var now, most, ran atomic.Int32
		for range 100 {
			pool.Go(runner(func() {
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Second) // which a runner must not do, so that all workers are busy
				now.Add(-1)
				ran.Add(1)
			}))
		}
		time.Sleep(time.Minute)
		if most.Load() != workers || ran.Load() != 100 {
			t.Errorf("%d at once, %d in all, want %d and 100", most.Load(), ran.Load(), workers)
		}
	})
}

func TestAPanicInAPoolCostsNobodyElseAnything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := topic.NewPool(1)
		ran := 0
		for i := range 100 {
			pool.Go(runner(func() {
				if i%2 == 0 {
					panic("in a runner")
				}
				ran++
			}))
		}
		synctest.Wait()
		if ran != 50 {
			t.Errorf("%d of 50 ran", ran)
		}
	})
}

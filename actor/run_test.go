package actor_test

import (
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

func TestClaimIsForOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := spawn(actor.Options{}, nil)
		if !p.Claim() {
			t.Fatal("an idle actor cannot be claimed")
		}
		if p.Claim() {
			t.Fatal("a claimed actor is claimed again")
		}
		p.post("1", "2")
		p.wantHandled(t) // nobody runs it
		p.Run()
		p.wantHandled(t, "1", "2")
		if !p.Claim() {
			t.Fatal("an actor that was run is not idle")
		}
		p.Run() // with no mail
		if got := len(p.batches); got != 2 || len(p.batches[1]) != 0 {
			t.Errorf("batches %q, want one with the mail and an empty one", p.batches)
		}
		p.Claim()
		p.Stop()
		p.Run()
		p.wantEnd(t, nil)
		if p.Claim() {
			t.Fatal("an actor that has ended can be claimed")
		}
	})
}

func TestClaimRefusesAnActorThatIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := spawn(actor.Options{}, nil)
		p.hold()
		if p.Claim() {
			t.Error("a busy actor can be claimed")
		}
		p.release()
		if !p.Claim() {
			t.Error("an actor that is done cannot be claimed")
		}
		p.Run()
	})
}

// Whoever lends a goroutine gets it back, whatever keeps coming.
func TestRunReturnsAlthoughMoreComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ref *actor.Ref[int]
		handled, lent := 0, 0
		ref = actor.Spawn(actor.Options{}, func(mail iter.Seq[int]) {
			for range mail {
				handled++
				if ref.Lent() {
					lent++
				}
				if handled < 100 {
					ref.Post(0)
				}
			}
		})
		ref.Claim()
		ref.Post(0)
		ref.Run()
		synctest.Wait()
		if handled != 100 || lent != 1 {
			t.Errorf("%d messages were handled, %d of them in the lent goroutine; want 100 and what was there, 1", handled, lent)
		}
	})
}

// staller is an actor that cannot handle "wait" in a lent goroutine.
type staller struct {
	*actor.Ref[string]
	todo  []string
	lent  []bool // for each message handled
	done  []string
	gate  chan struct{}
	calls int
}

func newStaller(opts actor.Options) *staller {
	s := &staller{gate: make(chan struct{})}
	s.Ref = actor.Spawn(opts, s.receive)
	return s
}

func (s *staller) receive(mail iter.Seq[string]) {
	s.calls++
	for msg := range mail {
		s.todo = append(s.todo, msg)
	}
	for len(s.todo) > 0 {
		if s.todo[0] == "wait" {
			if s.Lent() {
				s.Detach()
				return
			}
			<-s.gate
		}
		s.done, s.lent = append(s.done, s.todo[0]), append(s.lent, s.Lent())
		s.todo = s.todo[1:]
	}
}

func TestDetachGoesOnInAGoroutineOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStaller(actor.Options{})
		s.Claim()
		s.Post("1")
		s.Post("wait")
		s.Post("2")
		s.Run() // returns although the actor has to wait
		s.Post("3")
		synctest.Wait()
		wantMail(t, "handled before the wait", s.done, "1")
		close(s.gate)
		synctest.Wait()
		wantMail(t, "handled", s.done, "1", "wait", "2", "3")
		for i, lent := range s.lent {
			if lent != (i == 0) {
				t.Errorf("message %d was handled in a lent goroutine: %v", i, lent)
			}
		}
		if !s.Claim() {
			t.Error("it is not idle after that")
		}
		s.Run()
	})
}

func TestDetachInAPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := actor.NewPool(1)
		s, other := newStaller(actor.Options{Pool: pool}), spawn(actor.Options{Pool: pool}, nil)
		s.Post("wait")
		synctest.Wait()
		other.post("1") // does not wait for it
		other.wantHandled(t, "1")
		close(s.gate)
		synctest.Wait()
		wantMail(t, "handled", s.done, "wait")
	})
}

func TestActorsOfAPoolTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := actor.NewPool(1)
		var order []string
		turns := func(name string, again int) *actor.Ref[int] {
			var ref *actor.Ref[int]
			ref = actor.Spawn(actor.Options{Pool: pool}, func(mail iter.Seq[int]) {
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
		wantMail(t, "order", order, "flood1", "calm1", "flood2", "flood3")
	})
}

// A runner is not stuck behind a long one while a worker has nothing to do.
func TestPoolPicksAnIdleWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := actor.NewPool(2)
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
		pool := actor.NewPool(workers)
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
		pool := actor.NewPool(1)
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

func TestTryPutDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := spawn(actor.Options{Limit: 10}, nil)
		p.hold()
		for _, tt := range []struct {
			msg  string
			size int
			want bool
		}{{"large", 100, true}, {"one too many", 1, false}} {
			if sent, err := p.TryPut(tt.msg, tt.size); sent != tt.want || err != nil {
				t.Errorf("%s: %v, %v", tt.msg, sent, err)
			}
		}
		done := make(chan error)
		go func() { done <- p.Put(t.Context(), "waits", 1) }()
		synctest.Wait()
		if sent, _ := p.TryPut("overtakes", 0); sent {
			t.Error("a message overtook one that waits")
		}
		p.release()
		if err := <-done; err != nil {
			t.Error(err)
		}
		p.wantHandled(t, "hold", "large", "waits")
		p.Stop()
		if sent, err := p.TryPut("too late", 1); sent || err != actor.ErrStopped {
			t.Errorf("after Stop: %v, %v", sent, err)
		}
	})
}

// Whoever finds the actor idle, by a claim or by a post, runs it; the race detector sees when two do.
func TestClaimsAndPostsRace(t *testing.T) {
	for _, pool := range []*actor.Pool{nil, actor.NewPool(2)} {
		rounds(func(int) {
			const senders, messages = 4, 50
			c := &checker{t: t, last: make([]int, senders)}
			ref := actor.Spawn(actor.Options{Pool: pool}, c.receive)
			crowd(senders, func(s int) {
				for n := 1; n <= messages; n++ {
					claimed := s%2 == 0 && ref.Claim()
					ref.Post(parcel{s, n})
					if claimed {
						ref.Run()
					}
				}
			})
			ref.Stop()
			<-ref.Done()
			if c.handled != senders*messages {
				t.Errorf("%d of %d messages handled", c.handled, senders*messages)
			}
		})
	}
}

func TestDoneForEverybodyWhoAsks(t *testing.T) {
	ref := actor.Spawn(actor.Options{}, func(iter.Seq[int]) {})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() { <-ref.Done() })
	}
	ref.Stop()
	all.Wait()
	<-ref.Done()
}

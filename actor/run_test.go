package actor_test

import (
	"iter"
	"sync"
	"testing"
	"testing/synctest"

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

// Whoever runs an actor gets its goroutine back, whatever keeps coming.
func TestRunReturnsAlthoughMoreComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ref *actor.Ref[int]
		handled := 0
		ref = actor.Spawn(actor.Options{}, func(mail iter.Seq[int]) {
			for range mail {
				if handled++; handled < 100 {
					ref.Post(0)
				} else {
					<-t.Context().Done()
				}
			}
		})
		ref.Claim()
		ref.Post(0)
		ref.Run() // which would not return if it handled all of them
		synctest.Wait()
		if handled != 100 {
			t.Errorf("%d messages were handled, want 100", handled)
		}
	})
}

// queue is a schedule that leaves running to the test.
type queue []actor.Runner

func (q *queue) add(r actor.Runner) { *q = append(*q, r) }

func (q *queue) run() {
	next := (*q)[0]
	*q = (*q)[1:]
	next.Run()
}

func TestScheduleIsCalledForEachRun(t *testing.T) {
	var q queue
	var handled []string
	var ref *actor.Ref[string]
	ref = actor.Spawn(actor.Options{Schedule: q.add}, func(mail iter.Seq[string]) {
		for msg := range mail {
			if handled = append(handled, msg); msg == "first" {
				ref.Post("meanwhile")
			}
		}
	})
	wantScheduled := func(when string, want int) {
		t.Helper()
		if len(q) != want {
			t.Fatalf("%s: scheduled %d times, want %d", when, len(q), want)
		}
	}
	wantScheduled("before there is mail", 0)
	ref.Post("first")
	ref.Post("second")
	wantScheduled("with mail", 1)
	q.run()
	wantMail(t, "in the first run", handled, "first", "second")
	wantScheduled("with mail that came meanwhile", 1)
	q.run()
	wantMail(t, "in the second run", handled, "first", "second", "meanwhile")
	wantScheduled("without mail", 0)
	ref.Claim()
	ref.Post("claimed")
	wantScheduled("while it is claimed", 0)
	ref.Run()
	ref.Stop()
	wantScheduled("to end", 1)
	q.run()
	select {
	case <-ref.Done():
	default:
		t.Error("it has not ended")
	}
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
	for _, schedule := range []func(actor.Runner){nil, func(r actor.Runner) { go r.Run() }} {
		rounds(func(int) {
			const senders, messages = 4, 50
			c := &checker{t: t, last: make([]int, senders)}
			ref := actor.Spawn(actor.Options{Schedule: schedule}, c.receive)
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

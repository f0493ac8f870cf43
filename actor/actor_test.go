package actor_test

import (
	"errors"
	"iter"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

// probe is an actor that records what happens to it. Its fields are read when everything has settled.
type probe struct {
	*actor.Ref[string]
	batches [][]string // what each call of the receive function saw
	panics  []*actor.PanicError
	stops   []error
	gate    chan struct{} // the message "hold" waits for it
}

// spawn makes a probe. handle is called with each message after it was recorded, and may be nil.
func spawn(opts actor.Options, handle func(p *probe, msg string)) *probe {
	p := &probe{gate: make(chan struct{})}
	opts.OnPanic = func(err *actor.PanicError) { p.panics = append(p.panics, err) }
	opts.OnStop = func(err error) { p.stops = append(p.stops, err) }
	p.Ref = actor.Spawn(opts, func(mail iter.Seq[string]) {
		p.batches = append(p.batches, nil)
		for msg := range mail {
			last := len(p.batches) - 1
			p.batches[last] = append(p.batches[last], msg)
			if msg == "hold" {
				<-p.gate
			}
			if handle != nil {
				handle(p, msg)
			}
		}
	})
	return p
}

// hold keeps the actor in the middle of a message until release is called.
func (p *probe) hold() {
	p.Post("hold")
	synctest.Wait()
}

func (p *probe) release() {
	close(p.gate)
	synctest.Wait()
}

func (p *probe) post(msgs ...string) {
	for _, msg := range msgs {
		p.Post(msg)
	}
}

// handled returns all messages that the actor has seen so far.
func (p *probe) handled() []string {
	synctest.Wait()
	return slices.Concat(p.batches...)
}

func (p *probe) wantHandled(t *testing.T, want ...string) {
	t.Helper()
	wantMail(t, "handled messages", p.handled(), want...)
}

// wantEnd checks that the actor has ended, once, with an error that is target (or nil).
func (p *probe) wantEnd(t *testing.T, target error) {
	t.Helper()
	if !isClosed(p.Done()) {
		t.Fatal("Done is not closed")
	}
	if len(p.stops) != 1 || !errors.Is(p.stops[0], target) {
		t.Fatalf("OnStop was called with %v, want once with %v", p.stops, target)
	}
}

func TestWhatWaitsComesInOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := spawn(actor.Options{}, nil)
		p.hold()
		p.post("a", "b")
		p.Put(t.Context(), "c", 1)
		if got := p.Stats().Depth; got != 3 {
			t.Errorf("Depth is %d while three messages wait", got)
		}
		p.release()
		if len(p.batches) != 2 {
			t.Fatalf("batches %q, want the first message and then all that waited", p.batches)
		}
		wantMail(t, "second batch", p.batches[1], "a", "b", "c")
	})
}

func TestMailMayBeTakenOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		gate := make(chan struct{})
		ref := actor.Spawn(actor.Options{}, func(mail iter.Seq[string]) {
			<-gate
			for msg := range mail {
				got = append(got, msg)
				break
			}
		})
		for _, msg := range []string{"a", "b", "c"} {
			ref.Post(msg)
			synctest.Wait()
		}
		close(gate)
		synctest.Wait()
		wantMail(t, "handled messages", got, "a", "b", "c")
	})
}

func TestNextGivesWhatTheMailWould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		gate := make(chan struct{})
		var ref *actor.Ref[string]
		ref = actor.Spawn(actor.Options{}, func(mail iter.Seq[string]) {
			<-gate
			for msg, ok := ref.Next(); ok; msg, ok = ref.Next() {
				if msg == "panic" {
					culprit("over " + msg)
				}
				if got = append(got, msg); msg == "b" {
					break
				}
			}
			for msg := range mail {
				got = append(got, "ranged "+msg)
				break
			}
			if ref.Left() == 0 {
				got = append(got, "end")
			}
		})
		for _, msg := range []string{"panic", "a", "b", "c", "d", "e", "panic", "f"} {
			ref.Post(msg)
			synctest.Wait() // the first is alone
		}
		close(gate)
		synctest.Wait()
		wantMail(t, "handled messages", got, "a", "b", "ranged c", "d", "e", "f", "end")
		if s := ref.Stats(); s.Received != 8 || s.Restarts != 2 {
			t.Errorf("stats are %+v, want 8 received and 2 restarts", s)
		}
	})
}

func TestNextDoesNotAllocate(t *testing.T) {
	var ref *actor.Ref[int]
	handled := 0
	ref = actor.Spawn(actor.Options{}, func(iter.Seq[int]) {
		for _, ok := ref.Next(); ok; _, ok = ref.Next() {
			handled++
		}
	})
	const runs = 100
	n := testing.AllocsPerRun(runs, func() {
		ref.Claim()
		ref.Post(1)
		ref.Run()
	})
	if n > 0 || handled != runs+1 {
		t.Errorf("%v allocations for each message, and %d handled", n, handled)
	}
}

func TestPutWaitsForTheActorToCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := spawn(actor.Options{Limit: 1}, nil)
		p.hold()
		p.Put(t.Context(), "a", 1)
		put := background(func() error { return p.Put(t.Context(), "b", 1) })
		wantBlocked(t, "Put to a full mailbox", put)
		p.release()
		if err := returned(t, "Put to a mailbox that was emptied", put); err != nil {
			t.Error(err)
		}
		p.wantHandled(t, "hold", "a", "b")
	})
}

func TestStopHandlesWhatIsQueuedAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := spawn(actor.Options{Limit: 1}, nil)
		p.hold()
		p.post("a")
		p.Put(t.Context(), "b", 1)
		waiting := background(func() error { return p.Put(t.Context(), "waiting", 1) })
		wantBlocked(t, "Put to a full mailbox", waiting)
		p.Stop()
		p.Stop()
		if err := returned(t, "Put that waited", waiting); !errors.Is(err, actor.ErrStopped) {
			t.Errorf("Put that waited returned %v, want ErrStopped", err)
		}
		if err := p.Put(t.Context(), "late", 1); !errors.Is(err, actor.ErrStopped) {
			t.Errorf("Put after Stop returned %v, want ErrStopped", err)
		}
		if p.Post("late") {
			t.Error("Post after Stop was accepted")
		}
		if isClosed(p.Done()) || len(p.stops) != 0 {
			t.Error("the actor ended before it handled its mail")
		}
		p.release()
		p.wantHandled(t, "hold", "a", "b")
		p.wantEnd(t, nil)
	})
}

func TestStopEndsAnIdleActor(t *testing.T) {
	for _, mail := range [][]string{nil, {"a"}} {
		synctest.Test(t, func(t *testing.T) {
			p := spawn(actor.Options{}, nil)
			p.post(mail...)
			synctest.Wait()
			p.Stop()
			p.wantEnd(t, nil)
			p.Stop()
			p.wantEnd(t, nil)
			p.wantHandled(t, mail...)
		})
	}
}

func TestAnActorMayStopItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := spawn(actor.Options{}, func(p *probe, msg string) {
			if msg == "stop" {
				p.Stop()
				p.Post("late")
			}
		})
		p.hold()
		p.post("a", "stop", "b")
		p.release()
		p.wantHandled(t, "hold", "a", "stop", "b")
		p.wantEnd(t, nil)
	})
}

func TestAnActorMayPostToItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := spawn(actor.Options{Limit: 1}, func(p *probe, msg string) {
			if len(msg) < 4 {
				p.Post(msg + "a")
			}
		})
		p.Post("a")
		p.wantHandled(t, "a", "aa", "aaa", "aaaa")
	})
}

func TestDoneComesAfterOnStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		ref := actor.Spawn(actor.Options{OnStop: func(error) { <-gate }}, func(mail iter.Seq[int]) {})
		ref.Stop()
		if isClosed(ref.Done()) {
			t.Error("Done is closed while OnStop runs")
		}
		close(gate)
		if !isClosed(ref.Done()) {
			t.Error("Done is not closed after OnStop")
		}
	})
}

func TestStatsTellWhatHappened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		created := time.Now()
		p := spawn(actor.Options{}, nil)
		pass(time.Hour)
		if got := p.Stats(); got != (actor.Stats{CreatedAt: created}) {
			t.Errorf("stats of a new actor are %+v", got)
		}
		p.hold()
		p.post("a", "b")
		if got := p.Stats(); got != (actor.Stats{Depth: 2, Received: 1, CreatedAt: created}) {
			t.Errorf("stats of an actor at work are %+v, want depth 2, received 1", got)
		}
		p.release()
		if got := p.Stats(); got != (actor.Stats{Received: 3, CreatedAt: created}) {
			t.Errorf("stats of an idle actor are %+v, want depth 0, received 3", got)
		}
	})
}

// running returns the stacks of goroutines that actors run on.
func running() (stacks []string) {
	var all strings.Builder
	pprof.Lookup("goroutine").WriteTo(&all, 2)
	for _, g := range strings.Split(all.String(), "\n\n") {
		if strings.Contains(g, "actor.(*Ref[") {
			stacks = append(stacks, g)
		}
	}
	return stacks
}

func TestAnIdleActorHasNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fresh, used := spawn(actor.Options{}, nil), spawn(actor.Options{}, nil)
		used.post("a", "b")
		used.hold()
		if n := len(running()); n != 1 {
			t.Errorf("%d goroutines while one actor works and one is idle, want 1", n)
		}
		used.release()
		if stacks := running(); len(stacks) != 0 {
			t.Errorf("goroutines of idle actors:\n%s", strings.Join(stacks, "\n\n"))
		}
		if fresh.Stats().Received != 0 || used.Stats().Received != 3 {
			t.Errorf("received %d and %d messages, want 0 and 3", fresh.Stats().Received, used.Stats().Received)
		}
	})
}

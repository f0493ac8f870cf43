package actor_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

// ask is a message with an answer: verb says what the clerk does with it.
type ask struct {
	actor.Request[int]
	verb string
	gate <-chan struct{} // of "hold"
}

// spawnClerk makes an actor that answers questions.
func spawnClerk(opts actor.Options) *actor.Ref[ask] {
	var ref *actor.Ref[ask]
	ref = actor.Spawn(opts, func(mail iter.Seq[ask]) {
		for q := range mail {
			switch q.verb {
			case "reply":
				q.Reply(42)
			case "fail":
				q.Fail(io.EOF)
			case "panic":
				culprit("over a question")
			case "reply and panic":
				q.Reply(42)
				culprit("after the answer")
			case "reply twice":
				q.Reply(42)
				q.Reply(43)
				q.Fail(io.EOF)
			case "reply and stop":
				q.Reply(42)
				ref.Stop()
			case "stop":
				ref.Stop()
			case "ignore":
			case "hold":
				<-q.gate
			}
		}
	})
	return ref
}

// call asks in the background; the result is the error, or errWrong when the answer is.
func call(ctx context.Context, ref *actor.Ref[ask], verb string) <-chan error {
	return background(func() error {
		got, err := actor.Call(ctx, ref, func(r actor.Request[int]) ask { return ask{Request: r, verb: verb} })
		if err == nil && got != 42 || err != nil && got != 0 {
			return errWrong
		}
		return err
	})
}

var errWrong = errors.New("wrong answer")

func TestCallReturnsWhatBecameOfTheRequest(t *testing.T) {
	for _, tt := range []struct {
		verb string
		want error
	}{
		{"reply", nil},
		{"fail", io.EOF},
		{"panic", actor.ErrPanicked},
		{"reply and panic", nil},
		{"reply twice", nil},
		{"reply and stop", nil},
		{"stop", actor.ErrStopped},
	} {
		t.Run(tt.verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if err := returned(t, "Call", call(t.Context(), spawnClerk(actor.Options{}), tt.verb)); !errors.Is(err, tt.want) {
					t.Errorf("Call returned %v, want %v", err, tt.want)
				}
			})
		})
	}
}

func TestCallOfAStoppedActorReturnsErrStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref := spawnClerk(actor.Options{})
		ref.Stop()
		if err := returned(t, "Call", call(t.Context(), ref, "reply")); !errors.Is(err, actor.ErrStopped) {
			t.Errorf("Call returned %v, want ErrStopped", err)
		}
	})
}

func TestCallOfAnActorThatIsAboutToStopDoesNotWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref := spawnClerk(actor.Options{})
		gate := make(chan struct{})
		defer close(gate)
		ref.Post(ask{verb: "hold", gate: gate})
		ref.Stop()
		if err := returned(t, "Call", call(t.Context(), ref, "reply")); !errors.Is(err, actor.ErrStopped) {
			t.Errorf("Call returned %v, want ErrStopped", err)
		}
	})
}

func TestCallReturnsWhenTheActorStopsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref := spawnClerk(actor.Options{})
		result := call(t.Context(), ref, "ignore")
		wantBlocked(t, "Call without an answer", result)
		ref.Stop()
		if err := returned(t, "Call", result); !errors.Is(err, actor.ErrStopped) {
			t.Errorf("Call returned %v, want ErrStopped", err)
		}
	})
}

func TestCallReturnsWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref := spawnClerk(actor.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		result := call(ctx, ref, "ignore")
		wantBlocked(t, "Call without an answer", result)
		pass(time.Second)
		if err := returned(t, "Call", result); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Call returned %v, want the context's error", err)
		}
	})
}

func TestAPanicFailsNoOtherRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref := spawnClerk(actor.Options{})
		gate := make(chan struct{})
		ref.Post(ask{verb: "hold", gate: gate})
		synctest.Wait()
		ignored := call(t.Context(), ref, "ignore")
		synctest.Wait()
		panicked := call(t.Context(), ref, "panic")
		synctest.Wait()
		replied := call(t.Context(), ref, "reply")
		synctest.Wait()
		close(gate)
		if err := returned(t, "Call that panics", panicked); !errors.Is(err, actor.ErrPanicked) {
			t.Errorf("Call that panics returned %v, want ErrPanicked", err)
		}
		if err := returned(t, "Call behind it", replied); err != nil {
			t.Errorf("Call behind it returned %v", err)
		}
		wantBlocked(t, "Call before it", ignored)
		ref.Stop()
		<-ignored
	})
}

func TestAnActorThatIsGivenUpAnswersEveryone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		ref := actor.Spawn(actor.Options{Restarts: 1}, func(mail iter.Seq[ask]) {
			<-gate
			for q := range mail {
				culprit(q.verb)
			}
		})
		want := []error{actor.ErrPanicked, actor.ErrPanicked, actor.ErrStopped, actor.ErrStopped}
		var results []<-chan error
		for range want {
			results = append(results, call(t.Context(), ref, "panic"))
			synctest.Wait()
		}
		close(gate)
		for i, result := range results {
			if err := returned(t, "Call", result); !errors.Is(err, want[i]) {
				t.Errorf("Call %d returned %v, want %v", i, err, want[i])
			}
		}
	})
}

func TestARequestOfNobodyMayBeAnswered(t *testing.T) {
	var nobody ask // posted without Call
	nobody.Reply(1)
	nobody.Fail(io.EOF)
}

package actor_test

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

// culprit panics under a name that a stack has to show.
func culprit(value any) { panic(value) }

// fragile is a handler that panics over the message "panic".
func fragile(_ *probe, msg string) {
	if msg == "panic" {
		culprit("over " + msg)
	}
}

func TestAPanicLosesOnlyItsMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := spawn(actor.Options{}, fragile)
		p.hold()
		p.post("a", "panic", "b", "panic", "c")
		p.release()
		p.wantHandled(t, "hold", "a", "panic", "b", "panic", "c")
		if got := p.Stats(); got.Restarts != 2 || got.Received != 6 || got.Depth != 0 {
			t.Errorf("stats are %+v, want 2 restarts and 6 received", got)
		}
		p.post("d")
		p.Stop()
		p.wantHandled(t, "hold", "a", "panic", "b", "panic", "c", "d")
		p.wantEnd(t, nil)
	})
}

func TestAPanicIsReportedWithItsStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := spawn(actor.Options{}, fragile)
		p.post("panic")
		synctest.Wait()
		if len(p.panics) != 1 {
			t.Fatalf("OnPanic was called %d times, want once", len(p.panics))
		}
		err := p.panics[0]
		if err.Value != "over panic" {
			t.Errorf("the reported value is %v", err.Value)
		}
		if !strings.Contains(string(err.Stack), "culprit") {
			t.Errorf("the stack does not name the culprit:\n%s", err.Stack)
		}
	})
}

func TestAPanicBehindTheLastMessageLosesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handled := 0
		ref := actor.Spawn(actor.Options{}, func(mail iter.Seq[string]) {
			for range mail {
				handled++
			}
			culprit("after the batch")
		})
		for want := 1; want < 5; want++ {
			ref.Post("a")
			if synctest.Wait(); handled != want || ref.Stats().Restarts != uint64(want) {
				t.Fatalf("%d messages handled and %d restarts after %d posts", handled, ref.Stats().Restarts, want)
			}
		}
	})
}

func TestHooksAreOptional(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ref := actor.Spawn(actor.Options{Restarts: 1}, func(mail iter.Seq[string]) {
			for range mail {
				culprit("with nobody to tell")
			}
		})
		ref.Post("a")
		ref.Post("b")
		if !isClosed(ref.Done()) {
			t.Error("the actor was not given up")
		}
	})
}

func TestAnActorPastItsBudgetIsGivenUp(t *testing.T) {
	for _, tt := range []struct{ restarts, survives int }{{0, actor.DefaultRestarts}, {1, 1}, {3, 3}} {
		t.Run(fmt.Sprintf("restarts=%d", tt.restarts), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := spawn(actor.Options{Restarts: tt.restarts}, fragile)
				for range tt.survives {
					p.post("panic")
				}
				p.post("a")
				if synctest.Wait(); len(p.stops) != 0 {
					t.Fatalf("given up within its budget: %v", p.stops)
				}
				p.post("panic", "discarded")
				var last *actor.PanicError
				if !isClosed(p.Done()) || len(p.stops) != 1 || !errors.As(p.stops[0], &last) {
					t.Fatalf("OnStop was called with %v, want once with the panic", p.stops)
				}
				if len(p.panics) != tt.survives+1 || p.panics[tt.survives] != last {
					t.Errorf("OnPanic was called %d times, want %d, the last one with what OnStop got", len(p.panics), tt.survives+1)
				}
				if got := p.Stats(); got.Restarts != uint64(tt.survives) || got.Depth != 0 {
					t.Errorf("stats are %+v, want %d restarts and nothing queued", got, tt.survives)
				}
			})
		})
	}
}

func TestAnActorThatIsGivenUpDiscardsAndRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("the last straw")
		p := spawn(actor.Options{Restarts: 1, Limit: 1}, func(p *probe, msg string) {
			fragile(p, msg)
			if msg == "hold" {
				culprit(cause)
			}
		})
		p.post("panic")
		p.hold()
		p.post("discarded")
		p.Put(t.Context(), "discarded too", 1)
		waiting := background(func() error { return p.Put(t.Context(), "refused", 1) })
		wantBlocked(t, "Put to a full mailbox", waiting)
		p.release()

		p.wantEnd(t, cause)
		p.wantHandled(t, "panic", "hold")
		if err := returned(t, "Put that waited", waiting); !errors.Is(err, actor.ErrStopped) {
			t.Errorf("Put that waited returned %v, want ErrStopped", err)
		}
		if p.Post("late") {
			t.Error("Post to an actor that was given up was accepted")
		}
		if err := p.Put(t.Context(), "late", 1); !errors.Is(err, actor.ErrStopped) {
			t.Errorf("Put to an actor that was given up returned %v, want ErrStopped", err)
		}
		if got := p.Stats(); got.Depth != 0 {
			t.Errorf("Depth is %d, want 0", got.Depth)
		}
	})
}

func TestAStoppedActorCanStillBeGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := spawn(actor.Options{Restarts: 1}, fragile)
		p.hold()
		p.post("panic", "panic", "discarded")
		p.Stop()
		p.release()
		p.wantHandled(t, "hold", "panic", "panic")
		var err *actor.PanicError
		if len(p.stops) != 1 || !errors.As(p.stops[0], &err) {
			t.Errorf("OnStop was called with %v, want once with the panic", p.stops)
		}
	})
}

func TestTheBudgetCountsPanicsWithinTheWindow(t *testing.T) {
	const window = actor.RestartWindow
	for _, tt := range []struct {
		name    string
		pauses  []time.Duration // before each panic
		givenUp bool
	}{
		{"as many as allowed", []time.Duration{0, 0}, false},
		{"one too many at once", []time.Duration{0, 0, 0}, true},
		{"one too many at the end of the window", []time.Duration{0, 0, window}, true},
		{"one too many past the window", []time.Duration{0, 0, window + 1}, false},
		{"again and again, slowly", []time.Duration{0, window + 1, window + 1, window + 1, window + 1}, false},
		{"the window slides", []time.Duration{0, window / 2, window/2 + 1, window/2 + 1, window/2 + 1}, false},
		{"the window slides and fills up", []time.Duration{0, window / 2, window/2 + 1, window / 4}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := spawn(actor.Options{Restarts: 2}, fragile)
				for i, pause := range tt.pauses {
					pass(pause)
					p.post("panic")
					last := i == len(tt.pauses)-1
					if got, want := isClosed(p.Done()), last && tt.givenUp; got != want {
						t.Fatalf("after panic %d: given up is %t, want %t", i+1, got, want)
					}
				}
			})
		})
	}
}

func TestANegativeBudgetIsNeverExhausted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := spawn(actor.Options{Restarts: -1}, fragile)
		for range 1000 {
			p.post("panic")
		}
		p.post("a")
		if got := p.handled(); len(got) != 1001 {
			t.Errorf("%d messages handled, want 1001", len(got))
		}
		if got := p.Stats().Restarts; got != 1000 {
			t.Errorf("%d restarts counted, want 1000", got)
		}
	})
}

func TestPanicErrorIsTheErrorThatWasPanickedWith(t *testing.T) {
	cause := fmt.Errorf("reading: %w", io.ErrUnexpectedEOF)
	for _, tt := range []struct {
		value any
		text  string
		wraps error
	}{
		{"text", "panic: text", nil},
		{42, "panic: 42", nil},
		{cause, "panic: reading: unexpected EOF", io.ErrUnexpectedEOF},
	} {
		err := actor.Try(func() error { culprit(tt.value); return nil })
		if err == nil || err.Error() != tt.text {
			t.Errorf("Try of a panic with %v returned %v, want %q", tt.value, err, tt.text)
			continue
		}
		var p *actor.PanicError
		if !errors.As(err, &p) || p.Value != tt.value || !strings.Contains(string(p.Stack), "culprit") {
			t.Errorf("Try of a panic with %v returned %#v, want its value and stack", tt.value, err)
		}
		if got := errors.Is(err, io.ErrUnexpectedEOF); got != (tt.wraps != nil) {
			t.Errorf("errors.Is(%v, io.ErrUnexpectedEOF) is %t", err, got)
		}
		if tt.wraps == nil && errors.Unwrap(err) != nil {
			t.Errorf("%v unwraps to %v, want nil", err, errors.Unwrap(err))
		}
	}
}

func TestTryReturnsWhatItsFunctionReturns(t *testing.T) {
	for _, want := range []error{nil, io.EOF} {
		if got := actor.Try(func() error { return want }); got != want {
			t.Errorf("Try returned %v, want %v", got, want)
		}
	}
}

func TestTryRecoversAPanicWithNil(t *testing.T) {
	if err := actor.Try(func() error { culprit(nil); return nil }); err == nil {
		t.Error("Try returned nil after panic(nil)")
	}
}

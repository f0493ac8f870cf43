package actor_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

func asleep() {}

// drain returns all that is queued, and fails the test when the mailbox is not as open as wanted.
func drain[M any](t *testing.T, b *actor.Mailbox[M], wantOpen bool) []M {
	t.Helper()
	batch, open := b.Receive(nil)
	if open != wantOpen {
		t.Fatalf("Receive reports open=%t, want %t", open, wantOpen)
	}
	return batch
}

func wantMail[M comparable](t *testing.T, what string, got []M, want ...M) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func TestReceiveTakesEverythingOldestFirst(t *testing.T) {
	b := actor.NewMailbox[int](0, asleep)
	for i := range 5 {
		if !b.Post(i) {
			t.Fatalf("Post(%d) was refused by an open mailbox", i)
		}
	}
	if got := b.Len(); got != 5 {
		t.Fatalf("Len is %d after 5 posts", got)
	}
	wantMail(t, "first batch", drain(t, b, true), 0, 1, 2, 3, 4)
	if got := b.Len(); got != 0 {
		t.Fatalf("Len is %d after Receive", got)
	}
	wantMail(t, "batch of an empty mailbox", drain(t, b, true))
}

func TestWakeIsCalledOnlyForAnIdleOwner(t *testing.T) {
	woken := 0
	b := actor.NewMailbox[int](10, func() { woken++ })
	post := func() { b.Post(1) }
	put := func() { b.Put(t.Context(), 1, 1) }
	receive := func() { b.Receive(nil) }
	for _, step := range []struct {
		what string
		do   func()
		want int
	}{
		{"the first post", post, 1},
		{"a post behind another", post, 1},
		{"a batch that is taken", receive, 1},
		{"a post while the owner is at work", post, 1},
		{"a second batch", receive, 1},
		{"an empty batch", receive, 1},
		{"a put to an idle owner", put, 2},
		{"a third batch", receive, 2},
		{"an empty batch again", receive, 2},
		{"closing with an idle owner", b.Close, 3},
		{"closing twice", b.Close, 3},
		{"finding out that it is closed", receive, 3},
		{"a refused post", post, 3},
	} {
		if step.do(); woken != step.want {
			t.Fatalf("woken %d times after %s, want %d", woken, step.what, step.want)
		}
	}
}

func TestCloseDoesNotWakeAnOwnerAtWork(t *testing.T) {
	woken := 0
	b := actor.NewMailbox[int](0, func() { woken++ })
	b.Post(1)
	b.Receive(nil)
	if b.Close(); woken != 1 {
		t.Fatalf("woken %d times, want once for the post", woken)
	}
	wantMail(t, "after closing", drain(t, b, false))
}

func TestReceiveForgetsTheMessagesOfTheOldBatch(t *testing.T) {
	b := actor.NewMailbox[*int](0, asleep)
	b.Post(new(int))
	b.Post(new(int))
	old := drain(t, b, true)
	b.Post(new(int))
	b.Receive(old)
	for i, p := range old {
		if p != nil {
			t.Errorf("message %d of the old batch is still referenced", i)
		}
	}
}

func TestReceiveKeepsOldAndNewMailApart(t *testing.T) {
	b := actor.NewMailbox[int](0, asleep)
	var batch []int
	next := 0
	for round := range 50 {
		for range round % 7 {
			b.Post(next)
			next++
		}
		first := next - round%7
		batch, _ = b.Receive(batch)
		for i, got := range batch {
			if got != first+i {
				t.Fatalf("round %d: batch %v, want it to start with %d and count up", round, batch, first)
			}
		}
		b.Post(-1) // lands in storage that must not be the batch's
		if len(batch) > 0 && batch[0] == -1 {
			t.Fatalf("round %d: a post has overwritten the batch in hand", round)
		}
		batch, _ = b.Receive(batch)
		wantMail(t, "second batch of a round", batch, -1)
	}
}

func TestATrickleDoesNotAllocate(t *testing.T) {
	b := actor.NewMailbox[int](0, asleep)
	var batch []int
	trickle := func() {
		b.Post(1)
		batch, _ = b.Receive(batch)
		b.Receive(batch)
		batch = nil
	}
	trickle()
	if n := testing.AllocsPerRun(100, trickle); n != 0 {
		t.Errorf("%v allocations per message, want none", n)
	}
}

func TestABurstDoesNotStayInMemory(t *testing.T) {
	b := actor.NewMailbox[int](0, asleep)
	var batch []int
	for range 3 { // so that the burst's storage is the queue's, the batch's, and both
		for i := range 10_000 {
			b.Post(i)
		}
		batch, _ = b.Receive(batch)
	}
	b.Receive(batch)
	b.Post(1)
	if got := cap(drain(t, b, true)); got > 8 {
		t.Errorf("an emptied mailbox keeps room for %d messages, want at most 8", got)
	}
}

func TestPutWaitsWhileOverTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := actor.NewMailbox[string](10, asleep)
		b.Put(t.Context(), "a", 4)
		exact := background(func() error { return b.Put(t.Context(), "b", 6) })
		if err := returned(t, "Put up to the limit", exact); err != nil {
			t.Fatalf("Put up to the limit: %v", err)
		}
		more := background(func() error { return b.Put(t.Context(), "c", 1) })
		wantBlocked(t, "Put past the limit", more)
		if got := b.Len(); got != 2 {
			t.Errorf("Len is %d while the third message waits outside, want 2", got)
		}
		wantMail(t, "first batch", drain(t, b, true), "a", "b")
		if err := returned(t, "Put after there was room", more); err != nil {
			t.Errorf("Put after there was room: %v", err)
		}
		wantMail(t, "second batch", drain(t, b, true), "c")
	})
}

func TestPostIsNotLimited(t *testing.T) {
	b := actor.NewMailbox[int](1, asleep)
	b.Put(t.Context(), 1, 1)
	for range 10 {
		b.Post(2)
	}
	if got := b.Len(); got != 11 {
		t.Errorf("Len is %d, want 11", got)
	}
}

func TestPostTakesNoRoomFromPut(t *testing.T) {
	b := actor.NewMailbox[int](1, asleep)
	b.Post(1)
	if err := b.Put(t.Context(), 2, 1); err != nil {
		t.Errorf("Put behind a post: %v", err)
	}
}

func TestPutWithoutLimitNeverWaits(t *testing.T) {
	b := actor.NewMailbox[int](0, asleep)
	for i := range 3 {
		if err := b.Put(t.Context(), i, 1<<30); err != nil {
			t.Fatalf("Put %d: %v", i, err)
		}
	}
}

func TestWaitersAreLetInInOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := actor.NewMailbox[string](10, asleep)
		b.Put(t.Context(), "first", 6)
		var waiting []<-chan error
		// "small" would fit beside "first" and beside "big", but others were there before it.
		for _, m := range []struct {
			msg  string
			size int
		}{{"big", 9}, {"middle", 2}, {"small", 1}} {
			w := background(func() error { return b.Put(t.Context(), m.msg, m.size) })
			wantBlocked(t, "Put of "+m.msg, w)
			waiting = append(waiting, w)
		}
		wantMail(t, "first batch", drain(t, b, true), "first")
		if err := returned(t, "Put of big", waiting[0]); err != nil {
			t.Fatal(err)
		}
		wantBlocked(t, "Put of middle", waiting[1])
		wantBlocked(t, "Put of small", waiting[2])
		wantMail(t, "second batch", drain(t, b, true), "big")
		wantMail(t, "third batch", drain(t, b, true), "middle", "small")
	})
}

func TestOversizedMessageGetsInWhenTheQueueIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := actor.NewMailbox[string](10, asleep)
		if err := b.Put(t.Context(), "huge", 1000); err != nil {
			t.Fatalf("Put into an empty queue: %v", err)
		}
		again := background(func() error { return b.Put(t.Context(), "huge too", 1000) })
		wantBlocked(t, "a second oversized Put", again)
		wantMail(t, "first batch", drain(t, b, true), "huge")
		if err := returned(t, "the second oversized Put", again); err != nil {
			t.Fatal(err)
		}
		wantMail(t, "second batch", drain(t, b, true), "huge too")
	})
}

func TestPutWithAnEndedContextQueuesNothing(t *testing.T) {
	b := actor.NewMailbox[int](0, asleep)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Put(ended, 1, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Put returned %v, want the context's error", err)
	}
	if got := b.Len(); got != 0 {
		t.Errorf("Len is %d, want 0", got)
	}
}

func TestPutThatGivesUpLeavesNoTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := actor.NewMailbox[string](10, asleep)
		b.Put(t.Context(), "first", 10)
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := background(func() error { return b.Put(t.Context(), "before", 5) })
		wantBlocked(t, "Put of before", before)
		gone := background(func() error { return b.Put(impatient, "gone", 10) })
		wantBlocked(t, "Put of gone", gone)
		after := background(func() error { return b.Put(t.Context(), "after", 5) })
		wantBlocked(t, "Put of after", after)

		pass(time.Second)
		if err := returned(t, "Put of gone", gone); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Put returned %v, want the context's error", err)
		}
		wantMail(t, "first batch", drain(t, b, true), "first")
		for _, w := range []<-chan error{before, after} {
			if err := returned(t, "Put around the one that gave up", w); err != nil {
				t.Errorf("Put around the one that gave up: %v", err)
			}
		}
		wantMail(t, "second batch", drain(t, b, true), "before", "after")
	})
}

func TestCloseRefusesEveryoneButKeepsWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := actor.NewMailbox[string](1, asleep)
		b.Put(t.Context(), "kept", 1)
		var waiting []<-chan error
		for range 3 {
			waiting = append(waiting, background(func() error { return b.Put(t.Context(), "refused", 1) }))
		}
		wantBlocked(t, "Put before Close", waiting[0])
		b.Close()
		b.Close()
		for _, w := range waiting {
			if err := returned(t, "Put that waited", w); !errors.Is(err, actor.ErrStopped) {
				t.Errorf("Put that waited returned %v, want ErrStopped", err)
			}
		}
		if err := b.Put(t.Context(), "late", 1); !errors.Is(err, actor.ErrStopped) {
			t.Errorf("Put after Close returned %v, want ErrStopped", err)
		}
		if b.Post("late") {
			t.Error("Post after Close was accepted")
		}
		wantMail(t, "the last batch", drain(t, b, true), "kept")
		wantMail(t, "after the last batch", drain(t, b, false))
		wantMail(t, "for ever after", drain(t, b, false))
	})
}

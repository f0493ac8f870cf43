package actor_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

// rounds repeats f for half a second: enough for rare interleavings, short enough for every run.
func rounds(f func(round int)) {
	for i, end := 0, time.Now().Add(time.Second/2); time.Now().Before(end); i++ {
		f(i)
	}
}

// parcel is the nth message of a sender.
type parcel struct{ sender, n int }

// checker is a receive function that knows what no actor may ever see.
type checker struct {
	t        *testing.T
	inFlight atomic.Int32
	last     []int // per sender; without a lock on purpose, for the race detector to see
	handled  int
}

func (c *checker) receive(mail iter.Seq[parcel]) {
	if n := c.inFlight.Add(1); n != 1 {
		c.t.Errorf("%d goroutines run the handler at once", n)
	}
	defer c.inFlight.Add(-1)
	for p := range mail {
		if p.n <= c.last[p.sender] {
			c.t.Errorf("sender %d: message %d came after message %d", p.sender, p.n, c.last[p.sender])
		}
		c.last[p.sender] = p.n
		c.handled++
	}
}

// crowd runs send(sender) in a goroutine for each sender, and waits for all.
func crowd(senders int, send func(sender int)) {
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() { send(s) })
	}
	wg.Wait()
}

func TestEveryAcceptedMessageIsHandledOnceAndInOrder(t *testing.T) {
	for _, tt := range []struct{ senders, messages, limit int }{
		{1, 50, 0}, {2, 1, 0}, {8, 3, 0}, {8, 10, 4}, {64, 20, 0}, {64, 20, 16},
	} {
		t.Run(fmt.Sprintf("senders=%d,messages=%d,limit=%d", tt.senders, tt.messages, tt.limit), func(t *testing.T) {
			for range 40 {
				c := &checker{t: t, last: make([]int, tt.senders)}
				ref := actor.Spawn(actor.Options{Limit: tt.limit}, c.receive)
				crowd(tt.senders, func(s int) {
					for n := 1; n <= tt.messages; n += 2 {
						ref.Post(parcel{s, n})
						ref.Put(t.Context(), parcel{s, n + 1}, 1)
					}
				})
				ref.Stop()
				<-ref.Done()
				if want := tt.senders * ((tt.messages + 1) / 2 * 2); c.handled != want {
					t.Fatalf("%d messages handled, want %d", c.handled, want)
				}
				if s := ref.Stats(); s.Received != uint64(c.handled) || s.Depth != 0 {
					t.Fatalf("stats are %+v after %d messages", s, c.handled)
				}
			}
		})
	}
}

// A wake-up that is lost shows as a message that nobody handles, here as a test that hangs: every message is sent to
// an actor that is just going idle, and nothing else comes to wake it.
func TestNoWakeUpIsLost(t *testing.T) {
	handled := make(chan int)
	ref := actor.Spawn(actor.Options{}, func(mail iter.Seq[int]) {
		for n := range mail {
			handled <- n
		}
	})
	rounds(func(round int) {
		ref.Post(round)
		select {
		case n := <-handled:
			if n != round {
				t.Fatalf("message %d was handled in place of %d", n, round)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("message %d is not handled", round)
		}
	})
	ref.Stop()
	<-ref.Done()
}

func TestMessagesThatRaceWithStopAreHandledOrRefused(t *testing.T) {
	rounds(func(int) {
		c := &checker{t: t, last: make([]int, 8)}
		var stops atomic.Int32
		ref := actor.Spawn(actor.Options{Limit: 3, OnStop: func(error) { stops.Add(1) }}, c.receive)
		var accepted atomic.Int64
		crowd(8, func(s int) {
			for n := 1; n <= 10; n++ {
				if s == 0 && n == 5 {
					ref.Stop()
				}
				if n%2 == 0 && ref.Post(parcel{s, n}) || n%2 == 1 && ref.Put(t.Context(), parcel{s, n}, 1) == nil {
					accepted.Add(1)
				}
			}
		})
		<-ref.Done()
		if int64(c.handled) != accepted.Load() {
			t.Fatalf("%d messages were accepted and %d handled", accepted.Load(), c.handled)
		}
		if n := stops.Load(); n != 1 {
			t.Fatalf("OnStop was called %d times", n)
		}
	})
}

func TestPutThatRacesWithItsContextSaysTheTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for round := range 3000 {
			b := actor.NewMailbox[int](1, asleep)
			b.Put(t.Context(), 0, 1)
			ctx, cancel := context.WithCancel(t.Context())
			result := background(func() error { return b.Put(ctx, 1, 1) })
			synctest.Wait()
			switch round % 3 {
			case 0:
				cancel()
			case 1:
				go cancel()
			}
			b.Receive(nil)
			cancel()
			checkTruth(t, b, <-result)
		}
	})
}

// checkTruth checks that a message is in the mailbox exactly if the Put of it returned nil.
func checkTruth(t *testing.T, b *actor.Mailbox[int], err error) {
	t.Helper()
	switch batch, _ := b.Receive(nil); {
	case err == nil && len(batch) != 1:
		t.Fatal("Put returned nil, and the message is not in the queue")
	case err != nil && len(batch) != 0:
		t.Fatalf("Put returned %v, and the message is in the queue", err)
	case err != nil && !errors.Is(err, context.Canceled):
		t.Fatalf("Put returned %v, want the context's error", err)
	}
}

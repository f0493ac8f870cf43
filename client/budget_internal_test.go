package client

import (
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Whoever looks after the budget hears once of too much, again after looking, and when memory given back was not enough.
func TestBudgetCallsOncePerLook(t *testing.T) {
	calls := 0
	opts := &Options{Counters: &Counters{}, Budget: NewBudget(1000, func() { calls++ })}
	queue := func(bytes int) *Client {
		c := &Client{opts: opts}
		c.out.outbox.add(wire.NewBatch(make([]byte, bytes), 0), bytes)
		c.hold()
		return c
	}
	want := func(when string, exceeded bool, most int) {
		t.Helper()
		if calls != most {
			t.Fatalf("%s: called %d times, want %d", when, calls, most)
		}
		if got := opts.Budget.Rearm(); got != exceeded {
			t.Fatalf("%s: exceeded is %v", when, got)
		}
	}
	small, large := queue(500), queue(900)
	queue(700)
	want("over the budget", true, 1)
	small.discard()
	want("still over it", true, 2)
	large.discard()
	want("below it", false, 2)
	if !small.IsEmptied() || !large.IsEmptied() {
		t.Error("a client that has discarded all is not emptied")
	}
	queue(1100)
	want("over it again", true, 3)
}

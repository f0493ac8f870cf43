package client

import (
	"testing"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/budget"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Whoever looks after the budget hears once of too much, again after looking, and when memory given back was not enough.
func TestBudgetCallsOncePerLook(t *testing.T) {
	calls := 0
	opts := &Options{Counters: &Counters{}, Budget: budget.New(1000, func() { calls++ })}
	queue := func(bytes int) *Client {
		c := &Client{opts: opts, written: new(tally)}
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

// Whoever looks after the budget hears of a client that has given its memory back when all of it is given back, slots included: many
// messages that are shared take little but slots.
func TestBudgetIsCheckedWhenTheSlotsAreGivenBack(t *testing.T) {
	calls := 0
	opts := &Options{Counters: &Counters{}, OutboxBytes: 1 << 30}
	opts.Budget = budget.New(20_000, func() { calls++ })
	b := wire.NewBatch(make([]byte, 10), 1)
	queue := func(batches int) *Client {
		c := &Client{opts: opts, written: new(tally)}
		c.ref = actor.Spawn(actor.Options{}, c.receive)
		c.out.writing = true // for ever
		for range batches {
			c.out.outbox.add(b, 10)
		}
		c.hold()
		return c
	}
	large := queue(2000)
	queue(1000)
	if calls != 1 || !opts.Budget.Rearm() {
		t.Fatalf("called %d times", calls)
	}
	large.closing.Store(&closing{discards: true, byBudget: true})
	sendClose{}.handle(large)
	told := calls
	large.forget()
	if opts.Budget.Rearm() {
		t.Fatalf("%d bytes are held", opts.Budget.Held())
	}
	if told != 1 {
		t.Error("told that the memory of the evicted client was not enough, before all of it was given back")
	}
}

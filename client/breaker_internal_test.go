package client

import (
	"testing"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Whoever looks after the budget hears of a client that has given its memory back when all of it is given back, slots included: many
// messages that are shared take little but slots.
func TestBudgetIsCheckedWhenTheSlotsAreGivenBack(t *testing.T) {
	calls := 0
	opts := &Options{Counters: &Counters{}, OutboxBytes: 1 << 30}
	opts.Budget = NewBudget(20_000, func() { calls++ })
	b := wire.NewBatch(make([]byte, 10), 1)
	queue := func(batches int) *Client {
		c := &Client{opts: opts}
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
	if calls != 1 || !opts.Budget.Look() {
		t.Fatalf("called %d times", calls)
	}
	large.closing.Store(&closing{discards: true, evicted: true})
	sendClose{}.handle(large)
	told := calls
	large.forget()
	if opts.Budget.Look() {
		t.Fatalf("%d bytes are held", opts.Budget.Held())
	}
	if told != 1 {
		t.Error("told that the memory of the evicted client was not enough, before all of it was given back")
	}
}

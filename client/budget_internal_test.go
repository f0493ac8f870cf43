package client

import (
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// While a client is being evicted for the budget, the end of another one must not have a third evicted.
func TestBudgetWaitsForTheOneThatIsEvicted(t *testing.T) {
	exceeded := 0
	opts := &Options{Counters: &Counters{}, Budget: NewBudget(1000, func() { exceeded++ })}
	queue := func(bytes int) *Client {
		c := &Client{opts: opts}
		c.out.outbox.add(wire.NewBatch(make([]byte, bytes), 0), bytes)
		c.hold()
		return c
	}
	end := func(c *Client, evicted bool) {
		c.closing.Store(&closing{discards: evicted, freesMemory: evicted})
		c.discard()
		c.forget()
		if evicted {
			c.freed()
		}
	}
	small, large := queue(500), queue(900)
	end(small, false)
	if exceeded != 1 {
		t.Fatalf("%d clients are to be evicted, want 1", exceeded)
	}
	end(large, true)
	if held := opts.Budget.Held(); held != 0 || exceeded != 1 {
		t.Fatalf("%d bytes are held, %d clients are to be evicted", held, exceeded)
	}
	if queue(1100); exceeded != 2 {
		t.Fatal("nobody is evicted any more")
	}
}

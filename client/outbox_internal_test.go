package client

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/internal/budget"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// TestOutboxAgainstAModel does to an outbox, and to a list of what waits, whatever comes by chance.
func TestOutboxAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		opts := &Options{Counters: &Counters{}, Budget: budget.New(0, nil)}
		c := &Client{opts: opts, written: new(tally)}
		o := &c.out.outbox
		var begun, waiting []*wire.Batch
		check := func() {
			bytes := 0
			for _, b := range slices.Concat(begun, waiting) {
				bytes += len(b.Frames[wire.V1])
			}
			if o.bytes != bytes || o.waiting != len(waiting) || o.empty() != (len(begun)+len(waiting) == 0) || c.queued.Load() != int64(bytes) {
				t.Fatalf("%d bytes, %d batches wait, empty %v, %d bytes queued; want %d bytes, %d batches behind %d",
					o.bytes, o.waiting, o.empty(), c.queued.Load(), bytes, len(waiting), len(begun))
			}
			if len(waiting) > 0 && o.oldest() != waiting[0] {
				t.Fatal("another batch is the oldest")
			}
			if live := len(begun) + len(waiting); len(o.slots) > 4*live+16 {
				t.Fatalf("%d slots for %d batches", len(o.slots), live)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"add": func(t *rapid.T) {
				b := wire.NewBatch(make([]byte, rapid.IntRange(0, 100).Draw(t, "size")), 0)
				c.queued.Add(int64(len(b.Frames[wire.V1])))
				o.add(b, len(b.Frames[wire.V1]))
				waiting = append(waiting, b)
			},
			"hold": func(*rapid.T) { c.hold() },
			"begin": func(t *rapid.T) {
				if len(waiting) == 0 {
					t.Skip("nothing waits")
				}
				if o.begin() != waiting[0] {
					t.Fatal("another batch has begun")
				}
				begun, waiting = append(begun, waiting[0]), waiting[1:]
			},
			"written": func(*rapid.T) {
				c.wrote()
				begun = nil
			},
			"drop": func(t *rapid.T) {
				if len(waiting) == 0 {
					t.Skip("nothing waits")
				}
				i := rapid.IntRange(0, len(waiting)-1).Draw(t, "which")
				c.dropAt(slices.Index(o.slots, waiting[i]))
				waiting = slices.Delete(slices.Clone(waiting), i, i+1)
			},
			"discard": func(*rapid.T) {
				c.discard()
				waiting = nil
			},
			"reset": func(t *rapid.T) {
				if !o.empty() {
					t.Skip("not empty")
				}
				c.forget()
			},
		})
		o.unbegin()
		c.discard()
		c.forget()
		if held := opts.Budget.Held(); held != 0 || c.queued.Load() != 0 {
			t.Fatalf("%d bytes are held at the end, %d queued", held, c.queued.Load())
		}
	})
}

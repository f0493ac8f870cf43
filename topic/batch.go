package topic

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// maxBatch is the size in bytes past which a batch is handed out, although more messages wait. It bounds what one
// delivery adds to an outbox. Each batch is one write to each subscriber, so large ones cost less; and it stays in the
// processor's cache while it is written to one after the other.
const maxBatch = 128 << 10

// How many more bytes of frame header than an empty message one of 126 bytes has, and one of 64 KiB, RFC 6455 section 5.2.
const (
	extendedLength = 2
	longLength     = 8
)

// A topic collects what is published in a batch and delivers that as a whole. All functions in this file run in its actor.

func (m publish) handle(t *Topic) {
	if t.aborted.Load() {
		return
	}
	if t.batch == nil {
		t.batch = &wire.Batch{Frames: make([]byte, 0, t.room(m.data)), Lost: &t.dropped}
	}
	start := len(t.batch.Frames)
	t.batch.Frames = t.encode(t.batch.Frames, m.data)
	if t.deflating > 0 {
		t.batch.Deflated = t.deflater.Append(t.batch.Deflated, t.batch.Frames[start:])
	}
	t.batch.Messages++
}

// room returns how many bytes to reserve for a batch that begins with a message: all that waits, if that is of one size, but
// not more than the batch before took. A tiny message is not to keep the memory of a large batch.
func (t *Topic) room(data string) int {
	size := len(data) + t.envelope
	if size > math.MaxUint16 {
		size += longLength - extendedLength
	}
	return max(size, min(t.last, size*(t.ref.Left()+1)))
}

func (m sampled) handle(t *Topic) {
	m.publish.handle(t)
	if t.batch != nil && t.batch.SampledAt == 0 { // one in a batch is enough
		t.batch.SampledAt = m.at
	}
}

// deliverBatch delivers the batch to every member.
func (t *Topic) deliverBatch() {
	b := t.batch
	if b == nil {
		return
	}
	b.Fit()
	t.batch, t.last = nil, min(len(b.Frames), maxBatch+maxBatch/4)
	t.published.Add(uint64(b.Messages)) // #nosec G115 -- a count
	t.lastPublished.Store(time.Now().UnixNano())
	t.batches.Observe(int64(b.Messages))
	if n := len(t.members); n > 0 && b.SampledAt != 0 {
		b.SampledFor = t.members[rand.IntN(n)].Subscriber // #nosec G404 -- nobody gains by guessing it
	}
	for i := 0; i < len(t.members); {
		i = t.deliver(b, i)
	}
}

// deliver hands the batch to the members from i on and returns where to continue: past the end, or behind a member
// that panicked, which must not cost the others their messages.
func (t *Topic) deliver(b *wire.Batch, first int) (next int) {
	next = first
	refused := 0
	err := actor.Recovered(func() {
		for _, m := range t.members[first:] {
			taken, idle := m.Subscriber.Deliver(b)
			if !taken {
				refused++
			}
			if idle {
				t.flushLater(m.Subscriber)
			}
			next++
		}
	})
	if err != nil {
		t.onPanic(err)
		t.dropped.Add(uint64(b.Messages)) // #nosec G115 -- a count
		refused++
		next++
	}
	t.delivered.Add(uint64((next - first - refused) * b.Messages)) // #nosec G115 -- not more are refused than there are
	return next
}

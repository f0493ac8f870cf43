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
		t.batch = &wire.Batch{Lost: &t.dropped}
	}
	switch {
	case t.needing[wire.Deflated] > 0:
		t.appendDeflated(m.data)
	case t.needing[wire.Plain] > 0:
		t.appendPlain(m.data)
	}
	t.batch.Messages++
}

// appendPlain encodes a message behind the batch's plain frames, and returns its frame.
func (t *Topic) appendPlain(data string) (frame []byte) {
	frames := &t.batch.Frames[wire.Plain]
	if *frames == nil {
		*frames = make([]byte, 0, t.room(data))
	}
	start := len(*frames)
	*frames = t.encode(*frames, data)
	t.plain += len(*frames) - start
	return (*frames)[start:]
}

// appendDeflated encodes a message behind the batch's deflated frames, and behind the plain ones if a member needs these.
func (t *Topic) appendDeflated(data string) {
	frame := t.appendPlain(data)
	deflated := &t.batch.Frames[wire.Deflated]
	*deflated = t.deflater.Append(*deflated, frame)
	if t.needing[wire.Plain] == 0 {
		t.batch.Frames[wire.Plain] = frame[:0] // the next one goes there
	}
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
	if t.needing[wire.Plain] == 0 {
		b.Frames[wire.Plain] = nil
	}
	b.Fit()
	t.batch, t.plain, t.last = nil, 0, min(t.plain, maxBatch+maxBatch/4)
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

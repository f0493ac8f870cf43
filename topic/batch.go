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

// append encodes a message behind the others, in the encodings of frames. It reports whether somebody needs the message as it is, too.
func (t *Topic) append(data string) (asObject bool) {
	if t.aborted.Load() {
		return false
	}
	if t.batch == nil {
		t.batch = &wire.Batch{Lost: &t.dropped}
	}
	switch {
	case t.needing[wire.Deflated] > 0:
		t.appendDeflated(data)
	case t.needing[wire.Plain] > 0:
		t.appendPlain(data)
	}
	t.batch.Messages++
	return t.needing[wire.Objects] > 0
}

// appendObject adds the message that append has encoded as it is.
func (t *Topic) appendObject(p wire.Publication) {
	p.Topic = t.name
	t.batch.Objects = append(t.batch.Objects, p)
	t.objects += p.Bytes()
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
	t.batch, t.plain, t.objects, t.last = nil, 0, 0, min(t.plain, maxBatch+maxBatch/4)
	t.published.Add(uint64(b.Messages)) // #nosec G115 -- a count
	t.lastPublished.Store(time.Now().UnixNano())
	t.batches.Observe(int64(b.Messages))
	if n := len(t.members); n > 0 && b.SampledAt != 0 {
		b.SampledFor = t.members[rand.IntN(n)].Subscriber // #nosec G404 -- nobody gains by guessing it
	}
	t.deliverTo(b, t.members)
}

// deliverTo delivers a batch to some of the members. One that panics must not cost the others their messages.
func (t *Topic) deliverTo(b *wire.Batch, members []*Member) {
	for len(members) > 0 {
		members = members[t.deliver(b, members):]
	}
}

// deliver hands the batch to members and returns to how many: all, or those up to one that has panicked.
func (t *Topic) deliver(b *wire.Batch, members []*Member) (done int) {
	refused := 0
	err := actor.Recovered(func() {
		for _, m := range members {
			taken, idle := m.Subscriber.Deliver(b)
			if !taken {
				refused++
			}
			if idle {
				t.flushLater(m.Subscriber)
			}
			done++
		}
	})
	if err != nil {
		t.onPanic(err)
		t.dropped.Add(uint64(b.Messages)) // #nosec G115 -- a count
		refused++
		done++
	}
	t.delivered.Add(uint64((done - refused) * b.Messages)) // #nosec G115 -- not more are refused than there are
	return done
}

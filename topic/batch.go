package topic

import (
	"math"
	"math/rand/v2"
	"slices"
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

// append encodes a message behind the others, in the encodings of frames, and gives it its number. It reports whether somebody needs the
// message as it is, too.
func (t *Topic) append(p *wire.Publication, seq uint64) (asObject bool) {
	if t.aborted.Load() {
		return false
	}
	if t.batch == nil {
		t.batch, t.since = t.newBatch(), t.seq
		if t.shared != nil {
			t.batch.Numbers = new(wire.Numbers)
		}
	}
	if t.needsV1 {
		t.encodeV1(p)
	}
	if t.needsV2 {
		t.encodeV2(p, seq)
	}
	t.seq = seq
	t.batch.Messages++
	if t.batch.Numbers != nil {
		*t.batch.Numbers = append(*t.batch.Numbers, seq)
	}
	return t.needing[wire.Objects] > 0
}

// newBatch returns an empty batch of the topic.
func (t *Topic) newBatch() *wire.Batch { return &wire.Batch{Topic: t.name, Lost: &t.dropped} }

// batchSize is how large a batch is, in bytes.
type batchSize struct {
	v1, v2  int // of the frames that were encoded, not deflated
	objects int
}

// isFull reports whether the batch has to be delivered.
func (s batchSize) isFull() bool {
	return s.v1 >= maxBatch || s.v2 >= maxBatch || s.objects >= maxBatch
}

// appendObject adds the message that append has encoded as it is. A key that comes from a broker names its owner, which concerns nobody.
func (t *Topic) appendObject(p wire.Publication) {
	p.Topic = t.name
	p.Key = wire.BareKey(p.Key)
	t.batch.Objects = append(t.batch.Objects, p)
	t.size.objects += p.Bytes()
}

func (t *Topic) encodeV1(p *wire.Publication) {
	frames := t.frames(wire.V1, len(p.Data)+t.envelope, t.size.v1)
	start := len(frames)
	frames = t.encode(frames, p.Data)
	t.size.v1 += len(frames) - start
	t.put(wire.V1, frames, start, t.needing[wire.V1] == 0)
}

func (t *Topic) encodeV2(p *wire.Publication, seq uint64) {
	frames := t.frames(wire.V2, len(p.Data)+len(p.From)+t.envelope, t.size.v2)
	start := len(frames)
	if t.verbatim {
		frames = wire.AppendMessage2(frames, p.Data, p.JSON)
	} else {
		frames = t.envelope2.Append(frames, seq, t.seq, p)
	}
	t.size.v2 += len(frames) - start
	t.put(wire.V2, frames, start, t.needing[wire.V2] == 0 && !t.history.limits.IsOn())
}

// frames returns the batch's frames in an encoding, to which one of so many bytes is to be appended. Those before it have so many
// together.
func (t *Topic) frames(e wire.Encoding, size, before int) []byte {
	frames := t.batch.Frames[e]
	if size > math.MaxUint16 {
		size += longLength - extendedLength
	}
	if cap(frames)-len(frames) < size {
		frames = slices.Grow(frames, t.room(size, before))
	}
	return frames
}

// put stores the batch's frames in an encoding, of which the last begins at start, and appends that one deflated if a member needs
// this. If all members do, the others have only been scratch.
func (t *Topic) put(e wire.Encoding, frames []byte, start int, isScratch bool) {
	if deflated := e.Deflated(); t.needing[deflated] > 0 {
		t.batch.Frames[deflated] = t.deflater.Append(t.batch.Frames[deflated], frames[start:])
		if isScratch {
			frames = frames[:start]
		}
	}
	t.batch.Frames[e] = frames
}

// room returns how many bytes to reserve for a message of that size and those that wait behind it, if they are like those of the batch,
// which have so many together. A batch that is full ends with the message that fills it. What is said of the first message alone is
// taken with care: one large message among small ones is not to reserve the room of as many large ones.
func (t *Topic) room(size, before int) int {
	like := (before + size) / (t.batch.Messages + 1)
	if before == 0 && t.like > 0 {
		like = min(size, t.like)
	}
	return size + min(like*t.ref.Left(), max(0, maxBatch-before))
}

// deliverBatch delivers the batch to every member, but those who have it from another instance.
func (t *Topic) deliverBatch() {
	if b := t.batch; b != nil {
		t.finish(b)
		t.deliverTo(b, t.lacking())
	}
	t.acknowledge()
}

// finish makes the batch ready to be delivered, and keeps it if the topic has a history.
func (t *Topic) finish(b *wire.Batch) {
	if t.needing[wire.V1] == 0 {
		b.Frames[wire.V1] = nil
	}
	if !t.verbatim {
		b.Seq = t.seq
	}
	b.Fit()
	now := time.Now().UnixNano()
	if t.history.limits.IsOn() {
		t.keep(b, now)
	}
	if t.needing[wire.V2] == 0 {
		b.Frames[wire.V2] = nil
	}
	bytes := max(t.size.v1, t.size.v2)
	t.batch, t.size, t.last, t.like = nil, batchSize{}, min(bytes, maxBatch+maxBatch/4), bytes/b.Messages
	t.published.Add(uint64(b.Messages)) // #nosec G115 -- a count
	t.lastPublished.Store(now)
	t.stands.Store(t.seq)
	t.batches.Observe(int64(b.Messages))
	if n := len(t.members); n > 0 && b.SampledAt != 0 {
		b.SampledFor = t.members[rand.IntN(n)].Subscriber // #nosec G404 -- nobody gains by guessing it
	}
}

// deliverTo delivers a batch to some of the members, and counts that.
func (t *Topic) deliverTo(b *wire.Batch, members []*Member) {
	t.delivered.Add(uint64(t.handTo(b, members) * b.Messages)) // #nosec G115 -- counts
}

// handTo hands a batch to some of the members, and returns how many have taken it. One that panics must not cost the others their
// messages.
func (t *Topic) handTo(b *wire.Batch, members []*Member) (taken int) {
	for len(members) > 0 {
		done, refused := t.hand(b, members)
		taken += done - refused
		members = members[done:]
	}
	return taken
}

// hand hands the batch to members and returns to how many: all, or those up to one that has panicked; and how many of these have not
// taken it.
func (t *Topic) hand(b *wire.Batch, members []*Member) (done, refused int) {
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
	return done, refused
}

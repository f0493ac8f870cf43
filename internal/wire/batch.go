package wire

import (
	"bytes"
	"sync/atomic"
)

// Batch is a run of complete server frames, one for each message, encoded once and shared by everyone it is sent to.
// It is read-only from the moment it is handed to the first of them.
//
// Invariant: Deflated is nil or holds exactly the messages of Frames.
type Batch struct {
	Frames   []byte
	Deflated []byte         // the same messages for peers that negotiated compression; nil: they get Frames
	Messages int            // how many messages the frames are
	Lost     *atomic.Uint64 // its topic's count of messages for a subscriber that were never written; nil: it has no topic

	// Of a message that is a sample of how long the way to a socket is: when it was published, in Unix nanoseconds, and whose
	// socket counts. A batch made of this one is no sample.
	SampledAt  int64
	SampledFor any

	whole   *Batch       // the batch whose memory this part of it shares; nil: it has memory of its own
	holders atomic.Int32 // of the memory: how many outboxes count the batch, or a part of it
}

// batchOverhead is what a batch takes beside its frames, in bytes.
const batchOverhead = 128

// For returns the frames for a peer that did, or did not, negotiate compression.
func (b *Batch) For(deflate bool) []byte {
	if deflate && b.Deflated != nil {
		return b.Deflated
	}
	return b.Frames
}

// Hold notes one more holder, and returns how many bytes of memory are held because of that: all that the batch keeps from
// being freed, at its capacity, for the first who holds it or a part of it. Any goroutine may call it.
func (b *Batch) Hold() int {
	if b.whole != nil {
		return batchOverhead + b.whole.Hold()
	}
	if b.holders.Add(1) == 1 {
		return b.memory()
	}
	return 0
}

// Release notes one holder less, and returns how many bytes are not held any more because of that. Any goroutine may call it.
func (b *Batch) Release() int {
	if b.whole != nil {
		return batchOverhead + b.whole.Release()
	}
	if b.holders.Add(-1) == 0 {
		return b.memory()
	}
	return 0
}

func (b *Batch) memory() int { return cap(b.Frames) + cap(b.Deflated) + batchOverhead }

// Fit moves the frames to memory of their size, if what they have is more than twice of that. It is for whoever has made the
// batch, before it is handed to anyone. It is not inlined: a topic calls it in a goroutine that has just begun, and a larger
// frame there makes the stack grow, which takes longer than all else that a topic does for one message.
//
//go:noinline
func (b *Batch) Fit() {
	b.Frames, b.Deflated = fit(b.Frames), fit(b.Deflated)
}

// wasted is the least memory in bytes that is worth a copy.
const wasted = 256

func fit(frames []byte) []byte {
	if cap(frames) > 2*len(frames) && cap(frames)-len(frames) > wasted {
		return bytes.Clone(frames)
	}
	return frames
}

// Without returns the batch without its first messages, for a peer that did, or did not, negotiate compression. It removes as
// many messages as make the batch at least excess bytes shorter, which may be all of them. It shares the
// memory of the whole batch, unless that is more than twice of what it needs.
func (b *Batch) Without(deflate bool, excess int) *Batch {
	rest := b.part(deflate)
	for target := len(rest.Frames) - excess; rest.Messages > 0 && len(rest.Frames) > target; {
		rest.skip()
	}
	if rest.whole.memory() > 2*(len(rest.Frames)+batchOverhead) {
		rest.keepOwn()
	}
	return rest
}

// Last returns the last message of the batch, for a peer that did, or did not, negotiate compression, in memory of its own.
func (b *Batch) Last(deflate bool) *Batch {
	last := b.part(deflate)
	for last.Messages > 1 {
		last.skip()
	}
	last.keepOwn()
	return last
}

// part returns all of the batch, for a peer that did, or did not, negotiate compression, as a part of it.
func (b *Batch) part(deflate bool) *Batch {
	p := &Batch{Frames: b.For(deflate), Messages: b.Messages, Lost: b.Lost, whole: b.whole}
	if p.whole == nil {
		p.whole = b
	}
	return p
}

// skip takes the first message away.
func (b *Batch) skip() {
	b.Frames = b.Frames[frameLen(b.Frames):]
	b.Messages--
}

// keepOwn moves what is left to memory of its own.
func (b *Batch) keepOwn() { b.Frames, b.whole = bytes.Clone(b.Frames), nil }

// frameLen returns the length of the server frame that b begins with.
func frameLen(b []byte) int {
	return HeaderLen(b[1]) + int(PayloadLen(b)) // #nosec G115 -- the length of a frame in memory
}

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
	Deflated []byte         // the same messages for those who negotiated compression; nil: they get Frames
	Messages int            // how many messages the frames are
	Lost     *atomic.Uint64 // its topic's count of messages never written to somebody they were for; nil: it has no topic

	// Of a message that is a sample of how long the way to a socket is: when it was published, in Unix nanoseconds, and whose
	// socket counts. A batch made of this one is no sample.
	SampledAt  int64
	SampledFor any

	holders atomic.Int32 // who count it among what they hold
}

// For returns the frames for somebody who did, or did not, negotiate compression.
func (b *Batch) For(deflate bool) []byte {
	if deflate && b.Deflated != nil {
		return b.Deflated
	}
	return b.Frames
}

// Hold notes one more holder, and reports whether it is the first. Any goroutine may call it.
func (b *Batch) Hold() bool { return b.holders.Add(1) == 1 }

// Release notes one holder less, and reports whether it was the last. Any goroutine may call it.
func (b *Batch) Release() bool { return b.holders.Add(-1) == 0 }

// Size returns how many bytes it takes in memory.
func (b *Batch) Size() int { return len(b.Frames) + len(b.Deflated) }

// Without returns the batch less its first messages, for somebody who did, or did not, negotiate compression: as many as
// make it at least excess bytes shorter, which may be all of them. It shares the memory of the whole batch, unless that is
// more than twice of what it needs.
func (b *Batch) Without(deflate bool, excess int) *Batch {
	rest := &Batch{Frames: b.For(deflate), Messages: b.Messages, Lost: b.Lost}
	for target := len(rest.Frames) - excess; rest.Messages > 0 && len(rest.Frames) > target; {
		rest.skip()
	}
	if b.Size() > 2*rest.Size() {
		rest.Frames = bytes.Clone(rest.Frames)
	}
	return rest
}

// Last returns the last message of the batch, for somebody who did, or did not, negotiate compression, in memory of its own.
func (b *Batch) Last(deflate bool) *Batch {
	last := b.Without(deflate, 0)
	for last.Messages > 1 {
		last.skip()
	}
	last.Frames = bytes.Clone(last.Frames)
	return last
}

// skip takes the first message away.
func (b *Batch) skip() {
	b.Frames = b.Frames[frameLen(b.Frames):]
	b.Messages--
}

// frameLen returns the length of the server frame that b begins with.
func frameLen(b []byte) int {
	return HeaderLen(b[1]) + int(PayloadLen(b)) // #nosec G115 -- the length of a frame in memory
}

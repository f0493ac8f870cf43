package topic

import (
	"bytes"
	"slices"
	"time"
	"unsafe"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// The messages that a topic keeps. All functions in this file run in the topic's actor, but History.IsOn, which any goroutine may call.

// History says how much of what was published a topic keeps. The zero History keeps nothing. Otherwise zero is no bound.
type History struct {
	Messages int           // the most messages
	Bytes    int           // the most memory
	Age      time.Duration // the least time that a message is kept, if the others allow it; an eighth more is the most
}

// IsOn reports whether anything is kept.
func (h History) IsOn() bool { return h != History{} }

// ring is what a topic keeps: the tank.v2 frames of its last messages, in blocks. Small batches are copied into a block, so that a
// message that was published alone takes little more memory than its frame; a large batch is a block by itself, mostly without a
// copy. What a block has is never changed, only added to, so its memory is handed out as it is. Owned by the topic.
type ring struct {
	limits   History
	newBatch func() *wire.Batch // makes an empty batch of the topic
	blocks   []*block           // oldest first; none is empty
	memory   int                // of the blocks, in bytes
}

// block is frames that were encoded one behind the other.
type block struct {
	whole    *wire.Batch // stands for the memory of the frames
	frames   []byte
	first    uint64 // number of the first message
	messages int
	began    int64       // when the first message was published, Unix nanoseconds
	ended    int64       // when the last one was
	all      *wire.Batch // the block as a part of whole; nil: not needed since the last message was added
}

const (
	// blockBytes is how many bytes of frames a block collects.
	blockBytes = 16 << 10
	// leastBlock is the capacity in bytes that a block begins with.
	leastBlock = 256
	// smallBlock is how many bytes of frames a block may have, whatever the limit in messages.
	smallBlock = 2 << 10
	// blockOverhead is what a block takes beside its frames, in bytes: itself, its place, and the two batches that stand for it.
	blockOverhead = int(unsafe.Sizeof(block{})+unsafe.Sizeof(&block{})) + 2*wire.BatchOverhead
	// blockParts is how many blocks there are at least when a limit is reached, because a block is given up as a whole.
	blockParts = 8
)

func (b *block) last() uint64 { return b.first + uint64(b.messages) - 1 } // #nosec G115 -- a count

// memory returns what the block counts, in bytes.
func (b *block) memory() int { return blockOverhead + cap(b.frames) }

// setFrames gives the block other memory.
func (r *ring) setFrames(b *block, frames []byte) {
	b.frames, b.whole, b.all = frames, r.newBatch(), nil
	b.whole.Frames[wire.V2] = frames[:0]
}

// add keeps messages, of which the first has that number, and drops what is over the limits then.
func (r *ring) add(frames []byte, first uint64, messages int, now int64) {
	if surplus := messages - r.limits.Messages; r.limits.Messages > 0 && surplus > 0 {
		frames, first, messages = frames[wire.FramesLen(frames, surplus):], first+uint64(surplus), r.limits.Messages
		if len(frames) >= blockBytes/2 {
			frames = bytes.Clone(frames) // which no longer needs the memory of the others
		}
		r.clear() // or there would be a gap
	}
	tail := r.tail(len(frames), first, messages, now)
	switch {
	case tail != nil:
		r.memory -= tail.memory()
		r.grow(tail, len(frames))
		tail.frames = append(tail.frames, frames...)
		tail.all = nil
	default:
		tail = &block{first: first, began: now}
		if len(frames) >= blockBytes/2 {
			if isMuch(cap(frames)-len(frames), frames) {
				frames = bytes.Clone(frames)
			}
			r.setFrames(tail, slices.Clip(frames))
		} else {
			r.setFrames(tail, append(make([]byte, 0, max(leastBlock, len(frames))), frames...))
		}
		r.blocks = append(r.blocks, tail)
	}
	tail.messages += messages
	tail.ended = now
	r.memory += tail.memory()
	r.evict(tail.last(), now)
}

// tail returns the last block, if it has room for so many bytes of messages, of which the first has that number, or nil. One that has none
// is cut to its size.
func (r *ring) tail(size int, first uint64, messages int, now int64) *block {
	if len(r.blocks) == 0 {
		return nil
	}
	b, l := r.blocks[len(r.blocks)-1], r.limits
	if b.last()+1 == first && len(b.frames)+size <= blockBytes &&
		(l.Messages == 0 || b.messages+messages <= l.Messages/blockParts || len(b.frames)+size <= smallBlock) &&
		(l.Bytes == 0 || len(b.frames)+size <= l.Bytes/blockParts) &&
		(l.Age == 0 || now-b.began <= int64(l.Age/blockParts)) {
		return b
	}
	if spare := cap(b.frames) - len(b.frames); isMuch(spare, b.frames) {
		r.memory -= spare
		r.setFrames(b, slices.Clip(bytes.Clone(b.frames)))
	}
	return nil
}

// isMuch reports whether so many spare bytes are worth a copy of the frames.
func isMuch(spare int, frames []byte) bool { return spare > len(frames)/blockParts }

// grow makes room for so many more bytes.
func (r *ring) grow(b *block, more int) {
	if need := len(b.frames) + more; need > cap(b.frames) {
		r.setFrames(b, append(make([]byte, 0, min(blockBytes, max(need, 2*cap(b.frames)))), b.frames...))
	}
}

// evict drops the blocks that are over the limits, at a time, when the topic's last message has that number.
func (r *ring) evict(last uint64, now int64) {
	r.drop(func(oldest *block) bool {
		l := r.limits
		return l.Bytes > 0 && r.memory > l.Bytes || l.Age > 0 && now-oldest.ended > int64(l.Age) || oldest.last() < r.least(last)
	})
}

// shrink drops the oldest blocks, until no more than so many bytes are left.
func (r *ring) shrink(bytes int) { r.drop(func(*block) bool { return r.memory > bytes }) }

// drop drops blocks, the oldest first, as long as that is due.
func (r *ring) drop(isDue func(oldest *block) bool) {
	for len(r.blocks) > 0 && isDue(r.blocks[0]) {
		r.memory -= r.blocks[0].memory()
		r.blocks[0] = nil
		r.blocks = r.blocks[1:]
	}
	if len(r.blocks) == 0 {
		r.blocks = nil
	}
}

// least returns the number of the oldest message that the limit in messages allows, when the last one has that number.
func (r *ring) least(last uint64) uint64 {
	if most := uint64(r.limits.Messages); most > 0 && last > most { // #nosec G115 -- not negative
		return last - most + 1
	}
	return 1
}

// clear drops everything.
func (r *ring) clear() { r.blocks, r.memory = nil, 0 }

// low returns the number of the oldest message that is kept, when the last one has that number: last+1 when nothing is kept.
func (r *ring) low(last uint64) uint64 {
	if len(r.blocks) == 0 {
		return last + 1
	}
	return max(r.blocks[0].first, r.least(last))
}

// lowWithin is low when messages of so many bytes at most are wanted: the oldest number from which the rest fits.
func (r *ring) lowWithin(last uint64, most int) uint64 {
	low := last + 1
	for _, b := range slices.Backward(r.blocks) {
		if len(b.frames) <= most {
			most -= len(b.frames)
			low = b.first
			continue
		}
		for frames, n := b.frames, b.first; ; n++ {
			if len(frames) <= most {
				low = n
				break
			}
			frames = frames[wire.FramesLen(frames, 1):]
		}
		break
	}
	return max(low, r.low(last))
}

// behind returns the messages behind a number, or the first most of them. The one behind it must be kept, if there is one.
func (r *ring) behind(since uint64, most int) (parts []*wire.Batch) {
	i, _ := slices.BinarySearchFunc(r.blocks, since+1, func(b *block, n uint64) int {
		if b.last() < n {
			return -1
		}
		return 1
	})
	for ; i < len(r.blocks) && most > 0; i++ {
		part := r.blocks[i].part(since+1, most)
		parts = append(parts, part)
		most -= part.Messages
	}
	return parts
}

// part returns the messages of the block from a number on, or the first most of them.
func (b *block) part(from uint64, most int) *wire.Batch {
	if from <= b.first && most >= b.messages {
		if b.all == nil {
			b.all = b.whole.Part(wire.V2, slices.Clip(b.frames), b.messages)
			b.all.Seq = b.last()
		}
		return b.all
	}
	skipped := int(max(from, b.first) - b.first) // #nosec G115 -- not more than there are
	messages := min(most, b.messages-skipped)
	frames := b.frames[wire.FramesLen(b.frames, skipped):]
	part := b.whole.Part(wire.V2, slices.Clip(frames[:wire.FramesLen(frames, messages)]), messages)
	part.Seq = b.first + uint64(skipped+messages) - 1 // #nosec G115 -- not negative
	return part
}

// messages returns how many messages are kept.
func (r *ring) messages() int64 {
	if len(r.blocks) == 0 {
		return 0
	}
	last := r.blocks[len(r.blocks)-1].last()
	return int64(last + 1 - r.low(last)) // #nosec G115 -- a count
}

// since returns when the oldest block was begun, Unix nanoseconds; 0 when there is none.
func (r *ring) since() int64 {
	if len(r.blocks) == 0 {
		return 0
	}
	return r.blocks[0].began
}

// due returns when the oldest block is to be dropped for its age, or the zero time.
func (r *ring) due() time.Time {
	if r.limits.Age == 0 || len(r.blocks) == 0 {
		return time.Time{}
	}
	return time.Unix(0, r.blocks[0].ended).Add(r.limits.Age)
}

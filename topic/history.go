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
	count    int                // of the messages in them, of which the oldest may be more than the limit
	base     *uint64            // nothing was published between that number and the first block, or, without one, until now; nil: not known
}

// block is frames that were encoded one behind the other.
type block struct {
	whole    *wire.Batch // stands for the memory of the frames
	frames   []byte
	before   uint64 // number of the message before the first
	messages int
	numbers  *wire.Numbers // of the messages; nil: each is one more than that before it
	began    int64         // when the first message was published, Unix nanoseconds
	ended    int64         // when the last one was
	all      *wire.Batch   // the block as a part of whole; nil: not needed since the last message was added
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

// number returns the number of a message, the first of them 0; and for -1, that of the one before.
func (b *block) number(message int) uint64 {
	switch {
	case message < 0:
		return b.before
	case b.numbers != nil:
		return (*b.numbers)[message]
	}
	return b.before + 1 + uint64(message) // #nosec G115 -- not negative
}

func (b *block) last() uint64 { return b.number(b.messages - 1) }

// memory returns what the block counts, in bytes.
func (b *block) memory() int {
	n := blockOverhead + cap(b.frames)
	if b.numbers != nil {
		n += numbersBytes * cap(*b.numbers)
	}
	return n
}

// numbersBytes is what the number of a message takes, in bytes, where a broker has numbered it.
const numbersBytes = int(unsafe.Sizeof(uint64(0)))

// setFrames gives the block other memory.
func (r *ring) setFrames(b *block, frames []byte) {
	b.frames, b.whole, b.all = frames, r.newBatch(), nil
	b.whole.Frames[wire.V2] = frames[:0]
}

// run is messages that were published one behind the other.
type run struct {
	frames   []byte
	before   uint64        // number of the message before the first
	numbers  *wire.Numbers // see wire.Batch
	messages int
	began    int64 // when the first one was published, Unix nanoseconds
	at       int64 // when the last one was
}

// without returns the run without its first messages.
func (r run) without(messages int) run {
	r.frames = r.frames[wire.FramesLen(r.frames, messages):]
	if r.numbers != nil {
		r.before = (*r.numbers)[messages-1]
		r.numbers = r.numbers.Slice(messages, r.messages)
	} else {
		r.before += uint64(messages) // #nosec G115 -- a count
	}
	r.messages -= messages
	return r
}

// add keeps messages, and drops what is over the limits then.
func (r *ring) add(run run, now int64) {
	if surplus := run.messages - r.limits.Messages; r.limits.Messages > 0 && surplus > 0 {
		run = run.without(surplus)
		if len(run.frames) >= blockBytes/2 {
			run.frames = bytes.Clone(run.frames) // which no longer needs the memory of the others
		}
		r.clear() // or there would be a gap
	}
	tail := r.tail(run)
	if tail != nil {
		r.memory -= tail.memory()
		r.grow(tail, len(run.frames))
		tail.frames = append(tail.frames, run.frames...)
		if run.numbers != nil {
			*tail.numbers = append(*tail.numbers, *run.numbers...)
		}
		tail.messages += run.messages
		tail.ended, tail.all = run.at, nil
	} else {
		tail = r.newBlock(run)
		r.blocks = append(r.blocks, tail)
	}
	r.count += run.messages
	r.memory += tail.memory()
	r.evict(now)
}

// newBlock makes a block of its own of messages.
func (r *ring) newBlock(run run) *block {
	b := &block{before: run.before, messages: run.messages, began: run.began, ended: run.at}
	frames := run.frames
	switch {
	case len(frames) < blockBytes/2:
		r.setFrames(b, append(make([]byte, 0, max(leastBlock, len(frames))), frames...))
	case isMuch(cap(frames)-len(frames), frames):
		r.setFrames(b, slices.Clip(bytes.Clone(frames)))
	default:
		r.setFrames(b, slices.Clip(frames))
	}
	if run.numbers != nil {
		own := slices.Clone(*run.numbers)
		b.numbers = &own
	}
	return b
}

// addBefore keeps messages that were published before all others, the oldest run first, and drops what is over the limits then. base is a
// number behind which nothing is missing then; nil: it is not known.
func (r *ring) addBefore(runs []run, base *uint64, now int64) {
	older := make([]*block, 0, len(runs)+len(r.blocks))
	for _, run := range runs {
		b := r.newBlock(run)
		older = append(older, b)
		r.count += b.messages
		r.memory += b.memory()
	}
	r.blocks, r.base = append(older, r.blocks...), base
	r.evict(now)
}

// tail returns the last block, if it has room for messages, or nil. One that has none is cut to its size.
func (r *ring) tail(run run) *block {
	if len(r.blocks) == 0 {
		return nil
	}
	b := r.blocks[len(r.blocks)-1]
	if b.last() == run.before && (b.numbers == nil) == (run.numbers == nil) &&
		r.limits.isBlock(len(b.frames)+len(run.frames), b.messages+run.messages, run.at-b.began) {
		return b
	}
	if spare := cap(b.frames) - len(b.frames); isMuch(spare, b.frames) {
		r.memory -= spare
		r.setFrames(b, slices.Clip(bytes.Clone(b.frames)))
	}
	return nil
}

// isBlock reports whether so many bytes of frames, of so many messages, published within so many nanoseconds, may be in one block.
func (h History) isBlock(bytes, messages int, span int64) bool {
	return bytes <= blockBytes &&
		(h.Messages == 0 || messages <= h.Messages/blockParts || bytes <= smallBlock) &&
		(h.Bytes == 0 || bytes <= h.Bytes/blockParts) &&
		(h.Age == 0 || span <= int64(h.Age/blockParts))
}

// isMuch reports whether so many spare bytes are worth a copy of the frames.
func isMuch(spare int, frames []byte) bool { return spare > len(frames)/blockParts }

// grow makes room for so many more bytes.
func (r *ring) grow(b *block, more int) {
	if need := len(b.frames) + more; need > cap(b.frames) {
		r.setFrames(b, append(make([]byte, 0, min(blockBytes, max(need, 2*cap(b.frames)))), b.frames...))
	}
}

// evict drops the blocks that are over the limits, at a time.
func (r *ring) evict(now int64) {
	r.drop(func(oldest *block) bool {
		l := r.limits
		return l.Bytes > 0 && r.memory > l.Bytes || l.Age > 0 && now-oldest.ended > int64(l.Age) ||
			l.Messages > 0 && r.count-oldest.messages >= l.Messages
	})
}

// shrink drops the oldest blocks, until no more than so many bytes are left.
func (r *ring) shrink(bytes int) { r.drop(func(*block) bool { return r.memory > bytes }) }

// drop drops blocks, the oldest first, as long as that is due.
func (r *ring) drop(isDue func(oldest *block) bool) {
	for len(r.blocks) > 0 && isDue(r.blocks[0]) {
		r.memory -= r.blocks[0].memory()
		r.count -= r.blocks[0].messages
		r.base = nil
		if r.blocks[0].numbers != nil { // what is behind may begin with a higher number that no message has
			last := r.blocks[0].last()
			r.base = &last
		}
		r.blocks[0] = nil
		r.blocks = r.blocks[1:]
	}
	if len(r.blocks) == 0 {
		r.blocks = nil
	}
}

// clear drops everything.
func (r *ring) clear() { r.blocks, r.memory, r.count, r.base = nil, 0, 0, nil }

// surplus is how many of the oldest messages are not kept any more: they are over the limit, and share a block with others.
func (r *ring) surplus() int {
	if most := r.limits.Messages; most > 0 {
		return max(0, r.count-most)
	}
	return 0
}

// messages returns how many messages are kept.
func (r *ring) messages() int { return r.count - r.surplus() }

// edge returns the number of the message before the oldest that is kept, when the topic's last one has that number: last when nothing is
// kept.
func (r *ring) edge(last uint64) uint64 {
	surplus := r.surplus()
	switch {
	case r.base != nil && surplus == 0:
		return *r.base
	case len(r.blocks) == 0:
		return last
	}
	return r.blocks[0].number(surplus - 1)
}

// edgeWithin is edge when messages of so many bytes at most are wanted: the least number behind which the rest fits.
func (r *ring) edgeWithin(last uint64, most int) uint64 {
	for _, b := range slices.Backward(r.blocks) {
		if len(b.frames) <= most {
			most -= len(b.frames)
			continue
		}
		frames, skipped := b.frames, 0
		for ; len(frames) > most; skipped++ {
			frames = frames[wire.FramesLen(frames, 1):]
		}
		return max(b.number(skipped-1), r.edge(last))
	}
	return r.edge(last)
}

// edgeOf is edge when the last so many messages are wanted.
func (r *ring) edgeOf(last, messages uint64) uint64 {
	for _, b := range slices.Backward(r.blocks) {
		if n := uint64(b.messages); n >= messages { // #nosec G115 -- a count
			return max(b.number(int(n-messages)-1), r.edge(last)) // #nosec G115 -- there are not more
		}
		messages -= uint64(b.messages) // #nosec G115 -- a count
	}
	return r.edge(last)
}

// find returns which block has the first message behind a number; if none has, how many there are.
func (r *ring) find(since uint64) int {
	i, _ := slices.BinarySearchFunc(r.blocks, since, func(b *block, n uint64) int {
		if b.last() <= n {
			return -1
		}
		return 1
	})
	return i
}

// behind returns the messages behind a number, or the first most of them.
func (r *ring) behind(since uint64, most int) (parts []*wire.Batch) {
	for i := r.find(since); i < len(r.blocks) && most > 0; i++ {
		part := r.blocks[i].part(since, most)
		parts = append(parts, part)
		most -= part.Messages
	}
	return parts
}

// part returns the messages of the block behind a number, or the first most of them.
func (b *block) part(since uint64, most int) *wire.Batch {
	if since <= b.before && most >= b.messages {
		if b.all == nil {
			b.all = b.slice(0, b.messages)
		}
		return b.all
	}
	skipped := b.upTo(since)
	return b.slice(skipped, min(most, b.messages-skipped))
}

// upTo returns how many messages have that number, or one below.
func (b *block) upTo(number uint64) int {
	switch {
	case number <= b.before:
		return 0
	case b.numbers == nil:
		return int(number - b.before) // #nosec G115 -- not more than there are
	}
	n, _ := slices.BinarySearch(*b.numbers, number+1)
	return n
}

// slice returns so many messages of the block, behind the first so many.
func (b *block) slice(skipped, messages int) *wire.Batch {
	frames := b.frames[wire.FramesLen(b.frames, skipped):]
	part := b.whole.Part(wire.V2, slices.Clip(frames[:wire.FramesLen(frames, messages)]), messages)
	part.Seq = b.number(skipped + messages - 1)
	if b.numbers != nil {
		part.Numbers = b.numbers.Slice(skipped, skipped+messages)
	}
	return part
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

package wire

import (
	"bytes"
	"slices"
	"sync/atomic"
	"unsafe"
)

// Encoding is a form in which peers get messages.
type Encoding uint8

// The encodings.
const (
	V1         Encoding = iota // for plain sockets
	V1Deflated                 // for those that negotiated permessage-deflate, RFC 7692
	V2                         // for sockets that negotiated tank.v2
	V2Deflated                 // for those that negotiated both

	FrameEncodings = iota // how many encodings are frames
)

// IsV2 reports whether the peer speaks tank.v2.
func (e Encoding) IsV2() bool { return e == V2 || e == V2Deflated }

// deflatedBit is what the encodings of one protocol differ in.
const deflatedBit = V1Deflated

// Inflated returns the encoding of the same protocol that is not deflated. Every peer of the protocol understands it.
func (e Encoding) Inflated() Encoding { return e &^ deflatedBit }

// Deflated returns the encoding of the same protocol that is deflated.
func (e Encoding) Deflated() Encoding { return e | deflatedBit }

// The encoding of subscribers inside the process: the messages as they are.
const (
	Objects   Encoding = FrameEncodings
	Encodings          = FrameEncodings + 1 // how many there are
)

// Batch is a run of messages, encoded once and shared by everyone they are sent to.
// It is read-only from the moment it is handed to the first of them.
type Batch struct {
	Frames   [FrameEncodings][]byte // a complete server frame for each message, in the encodings that somebody needs
	Objects  []Publication          // the messages as they are, if somebody needs that
	Messages int                    // how many messages there are
	Topic    string                 // its topic, or the one that the answers are about; empty: none
	Seq      uint64                 // number of the topic's last message, with these
	Numbers  *Numbers               // of the messages; nil, as mostly: each is one more than that before it, up to Seq
	Lost     *atomic.Uint64         // its topic's count of messages for a subscriber that were never written; nil: it has no topic

	// Of a message that is a sample of how long the way to a socket is: when it was published, in Unix nanoseconds, and whose
	// socket counts. A batch made of this one is no sample.
	SampledAt  int64
	SampledFor any

	Answers bool // they are answers and notices, which no outbox policy drops
	Unasked bool // they are notices that come again and again: a peer that is too slow for them is closed

	whole   *Batch       // the batch whose memory this part of it shares; nil: it has memory of its own
	holders atomic.Int32 // of the memory: how many outboxes count the batch, or a part of it
}

// Numbers are those of messages that a broker has numbered: they grow, but not by one.
type Numbers []uint64

// Slice returns the numbers from one on up to another, in the same memory.
func (n *Numbers) Slice(from, to int) *Numbers {
	part := (*n)[from:to:to]
	return &part
}

func (n *Numbers) memory() int {
	if n == nil {
		return 0
	}
	return int(unsafe.Sizeof(*n)) + cap(*n)*int(unsafe.Sizeof(uint64(0)))
}

// BatchOverhead is what a batch takes beside its frames, in bytes.
const BatchOverhead = int(unsafe.Sizeof(Batch{}))

// NewBatch returns a batch of messages for plain sockets.
func NewBatch(frames []byte, messages int) *Batch {
	return &Batch{Frames: [FrameEncodings][]byte{V1: frames}, Messages: messages}
}

// NewAnswers returns a batch of answers or notices for a peer with an encoding, which no outbox policy drops.
func NewAnswers(e Encoding, frames []byte, messages int) *Batch {
	b := &Batch{Messages: messages, Answers: true}
	b.Frames[e.Inflated()] = frames
	return b
}

// About says which topic answers are about. It returns b.
func (b *Batch) About(topic string) *Batch {
	b.Topic = topic
	return b
}

// Number returns the number of a message, of which there are b.Messages, the first of them 0.
func (b *Batch) Number(message int) uint64 {
	if b.Numbers != nil {
		return (*b.Numbers)[message]
	}
	return b.Seq - uint64(b.Messages-1-message) // #nosec G115 -- there are not more
}

// For returns the frames for a peer with an encoding: in this one, or else those that are not deflated.
func (b *Batch) For(e Encoding) []byte {
	if b.Frames[e] != nil {
		return b.Frames[e]
	}
	return b.Frames[e.Inflated()]
}

// Hold notes one more holder, and returns how many bytes of memory are held because of that: all that the batch keeps from
// being freed, at its capacity, for the first who holds it or a part of it. Any goroutine may call it.
func (b *Batch) Hold() int {
	if b.whole != nil {
		return BatchOverhead + b.Numbers.memory() + b.whole.Hold()
	}
	if b.holders.Add(1) == 1 {
		return b.memory()
	}
	return 0
}

// Release notes one holder less, and returns how many bytes are not held any more because of that. Any goroutine may call it.
func (b *Batch) Release() int {
	if b.whole != nil {
		return BatchOverhead + b.Numbers.memory() + b.whole.Release()
	}
	if b.holders.Add(-1) == 0 {
		return b.memory()
	}
	return 0
}

func (b *Batch) memory() int {
	n := BatchOverhead
	for _, frames := range b.Frames {
		n += cap(frames)
	}
	for i := range b.Objects {
		n += b.Objects[i].Bytes()
	}
	return n + b.Numbers.memory()
}

// Fit moves the frames to memory of their size, if what they have is more than twice of that. It is for whoever has made the
// batch, before it is handed to anyone. It is not inlined: a topic calls it in a goroutine that has just begun, and a larger
// frame there makes the stack grow, which takes longer than all else that a topic does for one message.
//
//go:noinline
func (b *Batch) Fit() {
	for e, frames := range b.Frames {
		b.Frames[e] = fit(frames)
	}
}

// wasted is the least memory in bytes that is worth a copy.
const wasted = 256

func fit(frames []byte) []byte {
	if cap(frames) > 2*len(frames) && cap(frames)-len(frames) > wasted {
		return bytes.Clone(frames)
	}
	return frames
}

// Without returns the batch without its first messages, for a peer with an encoding. It removes as many messages as make the
// batch at least excess bytes shorter, which may be all of them. It shares the memory of the whole batch, unless that is more
// than twice of what it needs.
func (b *Batch) Without(e Encoding, excess int) *Batch {
	rest := b.Part(e, b.For(e), b.Messages)
	for target := len(rest.Frames[e]) - excess; rest.Messages > 0 && len(rest.Frames[e]) > target; {
		rest.skip(e)
	}
	if rest.whole.memory() > 2*(len(rest.Frames[e])+BatchOverhead) {
		rest.keepOwn(e)
	}
	return rest
}

// Last returns the last message of the batch, for a peer with an encoding, in memory of its own.
func (b *Batch) Last(e Encoding) *Batch {
	last := b.Part(e, b.For(e), b.Messages)
	for last.Messages > 1 {
		last.skip(e)
	}
	last.keepOwn(e)
	return last
}

// Part returns a batch of frames that lie in the memory of b, or in that of the batch of which b is a part. Seq and Numbers are those of b.
func (b *Batch) Part(e Encoding, frames []byte, messages int) *Batch {
	p := &Batch{Messages: messages, Topic: b.Topic, Seq: b.Seq, Numbers: b.Numbers, Lost: b.Lost, whole: b.whole}
	if p.whole == nil {
		p.whole = b
	}
	p.Frames[e] = frames
	return p
}

// skip takes the first message away.
func (b *Batch) skip(e Encoding) {
	b.Frames[e] = b.Frames[e][frameLen(b.Frames[e]):]
	b.Messages--
	if b.Numbers != nil {
		b.Numbers = b.Numbers.Slice(1, len(*b.Numbers))
	}
}

// keepOwn moves what is left to memory of its own.
func (b *Batch) keepOwn(e Encoding) {
	b.Frames[e], b.whole = bytes.Clone(b.Frames[e]), nil
	if b.Numbers != nil {
		own := slices.Clone(*b.Numbers)
		b.Numbers = &own
	}
}

// FramesLen returns the length of the first n server frames of b.
func FramesLen(b []byte, n int) (length int) {
	for range n {
		length += frameLen(b[length:])
	}
	return length
}

// frameLen returns the length of the server frame that b begins with.
func frameLen(b []byte) int {
	return HeaderLen(b[1]) + int(PayloadLen(b)) // #nosec G115 -- the length of a frame in memory
}

package client

import (
	"bytes"
	"net"
	"sync"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// What the actor writes itself. All functions in this file run in the actor.

const (
	// maxGather is the most bytes that are given to the socket at a time when it blocks: what it has to take within the
	// heartbeat's timeout while a ping waits behind, for the peer to count as alive; see Client.progressed.
	maxGather = 64 << 10

	// defaultWriteBuffer is how many bytes are joined into one write where the socket cannot gather: TLS, whose records
	// have this size at most, and pipes.
	defaultWriteBuffer = 16 << 10

	// maxJoin is the most bytes of several batches that are copied to be written at once: a system call takes longer than to copy
	// so many, and each one that the peer gets wakes it up.
	maxJoin = 16 << 10

	// maxControl is the most bytes of control frames that wait: some 30 pongs of the largest kind.
	maxControl = 4 << 10
)

// output is what the actor has to write. Owned by the actor.
type output struct {
	rest       []byte // of what was begun: nothing may come before it, for it may begin inside a frame
	copied     int    // bytes that rest takes beside the batches that were begun
	control    []byte // control frames, which go before data: a peer that is busy still wants its pong
	outbox     outbox // data
	writing    bool   // the writer edge is at work: no other goroutine may write
	pings      bool   // a ping is among the control frames
	losing     bool   // messages were dropped since the outbox was empty
	closeFrame closeState
}

// closeState is how far the close frame has come.
type closeState int8

const (
	closeNone  closeState = iota
	closeDue              // it goes behind all that is queued
	closeBegun            // it is among the control frames
	closeDone             // it is written, or will not be: nothing may follow
)

// joins are buffers in which batches are joined for one write that does not block.
var joins = sync.Pool{New: func() any { return new([maxJoin]byte) }}

// urgent gathers a control frame. RFC 6455 section 5.5 lets it overtake data.
func (o *output) urgent(frame []byte) { o.control = append(o.control, frame...) }

func (o *output) empty() bool {
	return len(o.rest) == 0 && len(o.control) == 0 && o.outbox.empty()
}

// forget gives up what is written, and the room for it.
func (c *Client) forget() {
	o := &c.out
	c.countCopied(0)
	o.rest, o.control, o.losing = nil, nil, false
	c.resetOutbox()
}

// writeQueued writes everything gathered, as far as the socket takes it without blocking; the writer edge does the rest. A
// failed write ends the connection.
//
// Each turn of the loop writes what was loaded, takes a step of the closing handshake, or is the last.
func (c *Client) writeQueued() {
	for !c.gone && !c.out.writing {
		if c.out.empty() && !c.loadLosses() {
			c.forget()
			if c.out.closeFrame != closeDue && c.out.closeFrame != closeBegun {
				return
			}
			c.writeCloseFrame()
			continue
		}
		c.load()
		if took, err := c.tryLoaded(); err != nil {
			c.writeFailed(err)
		} else if !took {
			c.out.writing = true
			go c.write(c.piece())
		}
	}
	c.hold()
}

// load takes up what comes next, if nothing is: the control frames, or one batch.
func (c *Client) load() {
	switch o := &c.out; {
	case len(o.rest) > 0:
	case len(o.control) > 0:
		if o.pings { // it has its turn now
			o.pings = false
			c.pinging.Store(false)
			c.pingedAt.Store(time.Now().UnixNano())
		}
		o.rest, o.control = o.control, nil
	default:
		if o.rest = c.lossesBefore(o.outbox.first()); o.rest == nil {
			o.rest = o.outbox.begin().For(c.encoding)
		}
	}
}

// loadLosses takes up what the peer is still to be told when nothing else waits. It reports whether there is something.
func (c *Client) loadLosses() bool {
	if c.closing.Load() == nil {
		c.out.rest = c.allLosses()
	}
	return len(c.out.rest) > 0
}

// tryLoaded writes what was loaded, and batches that can be joined with it, without blocking. It reports whether the socket took all
// of it.
func (c *Client) tryLoaded() (bool, error) {
	switch {
	case c.try == nil:
		return false, nil
	case c.canJoin():
		return c.tryJoined()
	}
	return c.tryWrite()
}

// canJoin reports whether another batch can be written together with what was loaded. With a policy that drops messages, none can:
// what is being written is not dropped any more, although newer messages may have come.
func (c *Client) canJoin() bool {
	o := &c.out.outbox
	return o.waiting > 0 && c.opts.Policy == CloseSlow && len(c.out.rest)+c.size(o.oldest()) <= maxJoin
}

// tryJoined is tryWrite of what was loaded and as many batches behind it as can be joined.
func (c *Client) tryJoined() (bool, error) {
	buf := joins.Get().(*[maxJoin]byte)
	defer joins.Put(buf)
	o := &c.out
	o.rest = append(buf[:0], o.rest...)
	for c.canJoin() {
		o.rest = append(o.rest, o.outbox.begin().For(c.encoding)...)
	}
	took, err := c.tryWrite()
	o.rest = bytes.Clone(o.rest)
	c.countCopied(cap(o.rest))
	if !took && err == nil {
		c.wroteAllBut(len(o.rest))
	}
	return took, err
}

// countCopied makes so many bytes of a copy count against the budget.
func (c *Client) countCopied(n int) {
	if n != c.out.copied {
		c.opts.Budget.Add(n - c.out.copied)
		c.out.copied = n
	}
}

// tryWrite writes what was loaded without blocking, and reports whether the socket took all of it.
func (c *Client) tryWrite() (bool, error) {
	n, err := c.try.TryWrite(c.out.rest)
	c.written.bytes.Add(uint64(n))
	c.out.rest = c.out.rest[n:]
	if err != nil || len(c.out.rest) > 0 {
		return false, err
	}
	c.wrote()
	return true, nil
}

// piece takes what was loaded, or what is good for one write of it, and as many batches behind it as go with it.
func (c *Client) piece() net.Buffers {
	o, most := &c.out, maxGather
	if !c.conn.gathers() {
		most = c.conn.writeBuffer
	}
	if whole := max(most, defaultWriteBuffer); len(o.rest) > whole {
		first := o.rest[:whole]
		o.rest = o.rest[whole:]
		return net.Buffers{first}
	}
	pieces, size := net.Buffers{o.rest}, len(o.rest)
	o.rest = nil
	for o.outbox.waiting > 0 {
		if size += c.size(o.outbox.oldest()); size > most {
			break
		}
		if notices := c.lossesBefore(o.outbox.first()); notices != nil {
			pieces = append(pieces, notices)
		}
		pieces = append(pieces, o.outbox.begin().For(c.encoding))
	}
	return pieces
}

// noteWritten counts a batch that is written.
func (c *Client) noteWritten(b *wire.Batch) {
	c.queued.Add(-int64(c.size(b)))
	c.written.messages.Add(uint64(b.Messages))
	if b.SampledAt != 0 && b.SampledFor == any(c) {
		c.opts.WriteLatency.Observe(max(0, time.Now().UnixNano()-b.SampledAt)) // the clock may have been set back
	}
}

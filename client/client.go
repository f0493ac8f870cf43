package client

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/budget"
	"github.com/fanqie/tank-websocket-go-server/internal/metrics"
	"github.com/fanqie/tank-websocket-go-server/internal/poller"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Options are shared by all clients of an instance. They must not change once a client uses them.
type Options struct {
	OutboxBytes    int                  // most bytes accepted and not yet written; see Deliver
	Policy         Policy               // what happens past it
	Budget         *budget.Budget       // for the outboxes of all clients together
	MessageBytes   int                  // most bytes in a received message; at most math.MaxInt/2
	MessageTimeout time.Duration        // from the first byte of a received message to its last; zero: no limit
	Messages       Rate                 // at which messages are received; past it, the client is read from more slowly
	Pings          Rate                 // at which pings are received; past it, the client is closed
	WriteTimeout   time.Duration        // for which a blocked write may make no progress; zero: no limit
	CloseTimeout   time.Duration        // from the decision to close to the hard close
	ReturnWithin   func() time.Duration // over which clients of tank.v2 that are to come back spread; nil: nobody is told
	Poller         *poller.Poller       // waits for idle clients; nil: each does in a goroutine of its own
	Counters       *Counters
	WriteLatency   *metrics.Histogram // nanoseconds that sampled messages took, from publisher to socket; nil: nobody asks
}

// Counters are summed over all clients that share Options. Any goroutine may read them.
type Counters struct {
	In        Tally         // data messages received, and their bytes, headers and compression aside
	Out       Tally         // data messages written to sockets, and all bytes written, headers included
	Dropped   atomic.Uint64 // data messages that were meant for a client and never written to its socket
	Lost      atomic.Uint64 // of those, the ones that a notice to the client names
	Evicted   atomic.Uint64 // clients closed because too much was queued, see SlowFault
	Throttled atomic.Uint64 // data messages that were received later because of Options.Messages
	Waits     atomic.Uint64 // times that a writer edge waited for a full socket
}

// Owner hears what becomes of a client.
type Owner interface {
	// Received is called in the reader's goroutine for each data message; data is valid only during the call.
	// Text is valid UTF-8. It may block: meanwhile nothing is read from this client, and other clients do not wait.
	Received(data []byte, binary bool)
	// Paused is called in the reader's goroutine when all messages that have come were received, and before the reader waits for the rate,
	// answers a ping or begins to close: what the owner has put off comes before that. It must not block.
	Paused()
	// Failed is called for each fault, before Gone, from any goroutine. It must not block.
	Failed(kind Fault, err error)
	// CloseBegun is called once, when the client begins to close, from any goroutine. It must not block.
	CloseBegun()
	// Gone is called once, when the socket is closed. It must not block.
	Gone(code int, reason string)
	// ReaderDone is called once, at the end of the reader's goroutine: before Gone or after it, when Received kept it
	// busy. It may block.
	ReaderDone()
}

// Fault says which part of a connection failed.
type Fault int

// The faults.
const (
	ReadFault      Fault = iota // reading from the socket
	ProtocolFault               // the peer broke RFC 6455, or sent text that is not UTF-8
	TooBigFault                 // the peer sent a message over the limit
	WriteFault                  // writing to the socket
	HeartbeatFault              // the peer showed no sign of life
	SlowFault                   // too much was queued, here or for all together, and the client is closed
	LossFault                   // the outbox was full, and messages are dropped
	TimeoutFault                // the peer took too long to send one message, or sent one that takes too long to inflate
	PingFault                   // the peer sent too many pings
)

// Client is the handle of a client actor. It is safe for concurrent use.
//
// A topic with many subscribers goes from one to the next faster than memory does, so what a delivery touches comes first.
type Client struct {
	// Immutable.
	opts    *Options
	ref     *actor.Ref[message]
	try     tryWriter // for writes that do not block; nil when the connection has none
	written *tally    // counts what is written

	// For any goroutine.
	queued  atomic.Int64            // bytes of the frames accepted and not yet written
	closing atomic.Pointer[closing] // why the connection ends; nil while it is open, and the first reason stands

	encoding wire.Encoding // of what the peer gets; immutable

	// Owned by the actor.
	gone       bool // the socket is closed
	readerDone bool // the reader has seen the last of the peer
	peerClosed bool // the last of the peer was its close frame
	out        output

	// Immutable.
	conn  *Conn
	owner Owner

	// For any goroutine.
	alive      atomic.Bool                // something was read, or a message returned by the owner, since the last ping
	taking     atomic.Bool                // a socket that was full has taken something since the last ping
	holding    atomic.Uint32              // what the reader does with a message: notHolding, or another; then it cannot see pongs
	heldUp     atomic.Bool                // the owner was busy with a message for longer than busyAfter since the last ping
	pinging    atomic.Bool                // a ping waits for its turn
	emptied    atomic.Bool                // what waited was discarded, and nothing will wait any more
	unanswered atomic.Int32               // pings that were sent, less pongs
	lastSeen   atomic.Int64               // when something was received, Unix nanoseconds
	pingedAt   atomic.Int64               // when the ping was written that has no answer yet, Unix nanoseconds; 0: every ping has one
	rtt        atomic.Int64               // nanoseconds from the last ping that was answered to its answer; 0: none was answered
	dropped    atomic.Uint64              // messages that were meant for this client and never written to its socket
	hardClose  atomic.Pointer[time.Timer] // stands behind the closing handshake

	// Owned by whoever calls Ping and Reap.
	arrived arrivals // at the last ping

	// Owned by the reader.
	messages, pings meter
	late            bool  // the message at hand had to wait in the middle, because of the rate
	behind          int32 // microseconds for which the reader held messages since it last caught up: pings of that time may come at once
}

// New makes a client of an upgraded connection. Nothing is read before Read is called, which the caller has to do, in a
// goroutine for itself; or Cut, if the client is not wanted after all.
func New(conn *Conn, opts *Options, owner Owner) *Client {
	c := &Client{opts: opts, try: conn.try, encoding: conn.encoding(), written: opts.Counters.Out.part(writtenTogether), conn: conn, owner: owner}
	c.seen() // having just connected
	conn.reader.client, conn.received = c, opts.Counters.In.part(1)
	c.ref = actor.Spawn(actor.Options{OnPanic: c.panicked}, c.receive)
	return c
}

// Send delivers a batch and, if the client is idle, flushes it.
func (c *Client) Send(b *wire.Batch) bool {
	taken, idle := c.Deliver(b)
	if idle {
		c.Flush()
	}
	return taken
}

// Deliver takes a batch of frames for the socket. It never blocks. When idle is true, no goroutine is writing for this
// client, and the caller has to make sure that Flush is called.
//
// taken is false when the client is closing, or because its outbox is full and the policy is CloseSlow: then it is closed
// with 1013. A batch over the limit all by itself is taken when the outbox is empty.
func (c *Client) Deliver(b *wire.Batch) (taken, idle bool) {
	full, taken := c.admit(b)
	if taken && !full && c.ref.Claim() { // making room takes long, and who delivers has others to deliver to
		return c.accept(b), true
	}
	return taken && c.post(b), false
}

// Enqueue is Deliver for actors that must not write to sockets: the client's own goroutine writes the batch. It never blocks.
func (c *Client) Enqueue(b *wire.Batch) (taken bool) {
	_, taken = c.admit(b)
	return taken && c.post(b)
}

// admit counts a batch as queued, unless it cannot be taken. full says that room has to be made for it.
func (c *Client) admit(b *wire.Batch) (full, taken bool) {
	size := int64(c.size(b))
	total := c.queued.Add(size)
	full = total > int64(c.opts.OutboxBytes) && total != size
	switch {
	case c.Closing():
	case full && c.opts.Policy == CloseSlow && (!b.Answers || b.Unasked): // of other answers there are not more than the peer has asked for
		c.evict(errSlow, false)
	default:
		return full, true
	}
	c.drop(b)
	return full, false
}

// post leaves an admitted batch to the client's own goroutine.
func (c *Client) post(b *wire.Batch) (taken bool) {
	taken = c.ref.Post(frames{b})
	if !taken {
		c.drop(b)
	}
	return taken
}

// Flush writes what was delivered to an idle client, in the caller's goroutine as far as the socket takes it at once. It
// never blocks.
func (c *Client) Flush() { c.ref.Run() }

// drop gives up a batch that counts as queued.
func (c *Client) drop(b *wire.Batch) { c.lose(b, b.Messages, c.size(b)) }

// lose counts messages of a batch as lost. They have so many bytes, and count as queued.
func (c *Client) lose(b *wire.Batch, messages, size int) {
	c.queued.Add(-int64(size))
	c.dropped.Add(uint64(messages))
	c.opts.Counters.Dropped.Add(uint64(messages))
	if b.Lost != nil {
		b.Lost.Add(uint64(messages))
	}
}

// size returns how many bytes of a batch go to this client.
func (c *Client) size(b *wire.Batch) int { return len(b.For(c.encoding)) }

// Encoding returns the encoding of what the peer gets. It never changes.
func (c *Client) Encoding() wire.Encoding { return c.encoding }

// Owner returns the owner that New was given.
func (c *Client) Owner() Owner { return c.owner }

// LastSeen returns when something was received from the peer, the opening handshake included.
func (c *Client) LastSeen() time.Time { return time.Unix(0, c.lastSeen.Load()) }

// RTT returns how long the peer took to answer the last ping that it answered, from when that was given to the socket; zero
// before the first answer. Answers that came while the owner was busy with a message are not looked at.
func (c *Client) RTT() time.Duration { return time.Duration(c.rtt.Load()) }

// RemoteAddr returns the peer's address as the connection reports it, or "" when it reports none.
func (c *Client) RemoteAddr() string {
	if addr := c.conn.raw.RemoteAddr(); addr != nil {
		return addr.String()
	}
	return ""
}

// AwaitRoom waits until at most so many bytes are queued, or the client is closing. It is for the owner, in the reader's goroutine.
func (c *Client) AwaitRoom(most int) {
	for nap := time.Millisecond; c.Queued() > int64(most) && !c.Closing(); nap = min(2*nap, closingCheck) {
		time.Sleep(nap)
	}
}

// Queued returns how many bytes are accepted and not yet written.
func (c *Client) Queued() int64 { return c.queued.Load() }

// Lag returns how many messages of a topic are accepted and not yet written; 0 when the client has ended. It waits for the actor, which
// never waits.
func (c *Client) Lag(topic string) int {
	n, _ := actor.Call(context.Background(), c.ref, func(r actor.Request[int]) message { return lag{r, topic} })
	return n
}

// Dropped returns how many messages were meant for the client and never written to its socket.
func (c *Client) Dropped() uint64 { return c.dropped.Load() }

// Package topic is internal to package tank, whose Manager and Topic are for applications. It holds the topic actor, the one
// place that knows who subscribes to a topic, and that encodes each of its messages once for all of them.
//
// Everything published to a topic goes through its mailbox, so all subscribers see the same messages in the same
// order. The actor takes all that waits in the mailbox, encodes it back to back into one buffer of bounded size and
// hands that one buffer to every subscriber.
//
// Package tank promises compatibility; this package, whose types take those of an internal one, does not.
package topic

import (
	"cmp"
	"context"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/budget"
	"github.com/fanqie/tank-websocket-go-server/internal/metrics"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Subscriber is what a topic sees of a client.
type Subscriber interface {
	// Deliver takes a batch, which is shared and must not be changed, and reports whether it was taken. When idle is
	// true, the caller has to make sure that Flush is called. Messages not taken, or lost later, are counted in the
	// batch's Lost. It must not block.
	Deliver(*wire.Batch) (taken, idle bool)
	// Flush writes what was delivered. It must not block, and must not panic.
	Flush()
	// Encoding returns the encoding of what the subscriber gets. The answer never changes.
	Encoding() wire.Encoding
}

// Member is one subscription. A Member belongs to one topic, and when that has ended, to the one that adopts it.
type Member struct {
	// Immutable.
	Subscriber Subscriber
	User       string // who is present with it; empty: nobody
	Info       string // what others are told of the user, valid JSON; empty: {}

	Joined func() // is called once, in the turn in which the subscription begins, or when it will not; must not block; may be nil

	ask   atomic.Pointer[Ask] // is answered then; nil: there is none, or it is
	begun atomic.Bool         // the subscription has begun, or will not any more

	// Set by Leave, which is called once.
	done     func() // is called when it has left, see Leave; may be nil
	vanished bool   // its user may come back

	// Owned by the topic once it has the member.
	place   int32 // index+1 in members, 0 while not a member
	watches int32 // index+1 among those who are told who is present, 0 for others
	held    int32 // index+1 among those who wait until the subscription at the broker is in force, 0 for others
}

// Asking gives the member something to ask, which is answered in the turn in which the subscription begins, or when it will not; nil:
// nothing. It returns m, which no topic must have yet.
func (m *Member) Asking(a *Ask) *Member {
	m.ask.Store(a)
	return m
}

// begin returns what is to be done when the subscription begins; nothing for all callers but the first. Any goroutine may call it.
func (m *Member) begin() (ask *Ask, joined func()) {
	if m.begun.CompareAndSwap(false, true) {
		return m.ask.Swap(nil), m.Joined
	}
	return nil, nil
}

// Options of a topic. The zero value works.
type Options struct {
	// QueueBytes bounds the data that waits in the mailbox. Zero: no bound.
	QueueBytes int
	// Deflater compresses for the subscribers that negotiated compression. Nil: no subscriber did.
	Deflater *wire.Deflater
	// Pool runs the topic, unless it has to compress, which takes long. Nil: it has a goroutine of its own while there is
	// something to do.
	Pool *Pool
	// Verbatim sends messages outside of a topic: to plain sockets as they are, text, or binary when not valid UTF-8. They have no
	// numbers.
	Verbatim bool
	// Joining says that the topic stands behind a broker: members that speak tank.v2, and everybody's Joined, wait for InForce.
	Joining bool
	// OnLoad is called in the topic's goroutine of a topic with a history, whose messages the broker keeps and numbers, to have something
	// loaded from there, see Loaded. It must not block. Nil: the topic numbers its messages itself.
	OnLoad func(*Topic, Load)
	// History says what is kept of the messages.
	History History
	// Budget counts the memory of what is kept. Nil: nobody asks.
	Budget *budget.Budget
	// Counters count what topics answer. Nil: nobody asks.
	Counters *Counters
	// OnKept is called in the topic's goroutine when messages are kept, and none were before, or the reverse; and after each Sweep,
	// Abandon and Reset, and each Retire that did not end the topic. kept says whether messages are kept, and due when to call Sweep
	// next, the zero time for never. It must not block. May be nil.
	OnKept func(t *Topic, kept bool, due time.Time)
	// Presence says whether the topic knows who is in it.
	Presence Presence
	// OnPresence is called in the topic's goroutine to have TellPresence called, when that is due. It must not block. May be nil.
	OnPresence func(t *Topic, due time.Time)
	// OnShare is called in the topic's goroutine with what other instances are to be told of who is in the topic. It must not block. Nil:
	// there are no others.
	OnShare func(*Topic, Shared)
	// BatchMessages counts batches by how many messages each has. Nil: they are not counted.
	BatchMessages *metrics.Histogram
	// OnPanic and OnStop are those of actor.Options.
	OnPanic func(*Topic, *actor.PanicError)
	OnStop  func(*Topic, error)
}

// Topic is the handle of a topic actor. It is safe for concurrent use.
type Topic struct {
	// Immutable.
	name       string
	verbatim   bool
	encode     func(dst []byte, data string) []byte
	envelope2  wire.Envelope2
	envelope   int // bytes of a message beside its data, escaping aside, in the encoding where that is most
	deflater   *wire.Deflater
	pool       *Pool
	batches    *metrics.Histogram // nil: batches are not counted
	budget     *budget.Budget     // of what is kept
	counters   *Counters
	onPanic    func(*actor.PanicError)
	onKept     func(t *Topic, kept bool, due time.Time) // nil: nobody asks
	onPresence func(t *Topic, due time.Time)            // nil: nobody is reminded
	onShare    func(*Topic, Shared)                     // nil: there is nobody to tell
	ref        *actor.Ref[Message]
	live       chan struct{} // see Live; nil without a broker

	// Owned by the actor.
	members  []*Member
	needing  [wire.Encodings]int // members by encoding
	needsV1  bool                // somebody needs frames of plain sockets
	needsV2  bool                // somebody needs frames of tank.v2, such as the history
	batch    *wire.Batch         // encoded, not yet delivered; nil when there is none
	size     batchSize           // of the batch
	last     int                 // bytes of the last delivered batch, at most 1.25 maxBatch: what writing it takes
	like     int                 // bytes of a message of it, on average; 0: there was none
	idle     *group              // subscribers that have to be flushed; nil: none
	seq      uint64              // number of the last message; 0 before the first
	since    uint64              // number of the message before the batch
	shared   *shared             // where numbers come from a broker; nil: the topic numbers its messages itself
	history  ring
	keys     keys
	receipts []receipt // of what is in the batch, or was repeated, in order
	joining  bool      // the subscription at the broker is not yet in force
	held     []*Member // who wait for that
	doubt    uint64    // last number at which publications may be missing, see gap; 0: none
	told     bool      // the owner knows that something is kept, see Options.OnKept
	presence *presence // nil: the topic does not know who is in it

	// For any goroutine.
	aborted   atomic.Bool
	closeLive sync.Once
	dropped   atomic.Uint64 // which subscribers add to, too

	// Written by the actor alone, read by anyone.
	epoch         atomic.Pointer[string] // names the numbering; nil: nobody knows it yet
	stands        atomic.Uint64          // seq when a batch was delivered last
	kept          atomic.Int64           // memory of what is kept, in bytes
	keptMessages  atomic.Int64           // messages that are kept
	oldest        atomic.Int64           // when the first of them was published, or somewhat earlier; Unix nanoseconds, 0 without
	lasting       atomic.Bool            // see Lasts
	compresses    atomic.Bool
	published     atomic.Uint64
	delivered     atomic.Uint64
	speakV2       atomic.Int64 // members who speak tank.v2
	there         atomic.Int64 // users who are present
	lastPublished atomic.Int64 // Unix nanoseconds, 0 before the first message
}

// Stats of a topic, read without stopping it.
type Stats struct {
	Published       uint64        // messages taken
	Delivered       uint64        // messages put into subscribers' outboxes
	Dropped         uint64        // messages that an outbox did not take, or lost before they were written
	Depth           int           // messages waiting
	SpeakV2         int           // members who speak tank.v2
	Users           int           // who are present; 0 when the topic does not know
	Position        wire.Position // where it stood when messages were delivered last; without an epoch while nobody knows that
	Kept            int           // messages that are kept
	KeptBytes       int64         // memory of what is kept
	OldestKeptAt    time.Time     // when the first of them was published, or somewhat earlier; zero without
	Restarts        uint64        // panics survived
	CreatedAt       time.Time     // when it was spawned
	LastPublishedAt time.Time     // zero before the first message
}

// Message is what a topic actor understands.
type Message interface{ handle(*Topic) }

type (
	join  struct{ *Member }
	adopt struct{ *Member }
	leave struct{ *Member }
	list  struct{ actor.Request[[]Subscriber] }
)

// Spawn makes a topic without subscribers.
func Spawn(name string, opts Options) *Topic {
	t := &Topic{
		name:     name,
		verbatim: opts.Verbatim,
		encode:   wire.AppendMessage,
		deflater: opts.Deflater,
		pool:     opts.Pool,
		batches:  opts.BatchMessages,
		onKept:   opts.OnKept,
	}
	if opts.Presence.Enabled {
		t.presence = &presence{Presence: opts.Presence, users: make(map[string]*user)}
		t.onPresence, t.onShare = opts.OnPresence, opts.OnShare
		t.presence.shares = opts.OnShare != nil
	}
	if opts.Joining {
		t.joining, t.live = true, make(chan struct{})
	}
	if opts.OnLoad != nil && opts.History.IsOn() {
		t.shared = &shared{onLoad: opts.OnLoad}
	}
	if !opts.Verbatim {
		t.encode = wire.NewEnvelope(name).Append
		t.envelope2 = wire.NewEnvelope2(name)
	}
	t.envelope = len(t.encode(nil, "")) + extendedLength
	t.history = ring{limits: opts.History, newBatch: t.newBatch}
	t.needsV2 = opts.History.IsOn()
	t.budget = opts.Budget
	if t.budget == nil {
		t.budget = budget.New(0, nil)
	}
	t.counters = cmp.Or(opts.Counters, new(Counters))
	t.onPanic = func(err *actor.PanicError) {
		if opts.OnPanic != nil {
			opts.OnPanic(t, err)
		}
	}
	of := actor.Options{
		Limit:   opts.QueueBytes,
		OnPanic: t.onPanic,
		OnStop: func(err error) {
			t.shared.end()
			t.forget()
			t.noteThere(0)
			t.goLive()
			if opts.OnStop != nil {
				opts.OnStop(t, err)
			}
		},
	}
	if t.pool != nil {
		of.Schedule = t.schedule
	}
	t.ref = actor.Spawn(of, t.receive)
	return t
}

// schedule has the topic run: by the pool, where others wait for their turn, or in a goroutine of its own when it takes long. Any
// goroutine may call it.
func (t *Topic) schedule(r actor.Runner) {
	if t.compresses.Load() {
		go r.Run()
	} else {
		t.pool.Go(r)
	}
}

// Name returns the topic's name.
func (t *Topic) Name() string { return t.name }

// Join adds a member, who gets every message published from now on. One that speaks tank.v2 and asks for nothing is told where the
// topic stands. It never blocks.
func (t *Topic) Join(m *Member) { t.ref.Post(join{m}) }

// Adopt is Join for a member of a topic of the same name that has ended. What that one has not answered, this one does.
func (t *Topic) Adopt(m *Member) { t.ref.Post(adopt{m}) }

// Leave removes a member, who gets every message published before and none after. vanished says that its user may come back, and is
// present for a while. Then done is called in the topic's goroutine, or at once in the caller's when the topic has been stopped before. It
// must not block, and may be nil. A topic that is given up calls it too, although messages are lost then. A subscription that has not
// begun is answered before. Leave never blocks.
func (t *Topic) Leave(m *Member, vanished bool, done func()) {
	m.vanished, m.done = vanished, done
	if l := (leave{m}); !t.ref.Post(l) {
		l.Discard()
	}
}

// Members returns the subscribers of all members that were there when everything taken before had been delivered. It waits for
// that. It returns actor.ErrStopped after Stop, or the context's error. Only edges may call it.
func (t *Topic) Members(ctx context.Context) ([]Subscriber, error) {
	return actor.Call(ctx, t.ref, func(r actor.Request[[]Subscriber]) Message { return list{r} })
}

// TryPut is Put without waiting: it reports false, and the message was not taken, when the mailbox is full.
func (t *Topic) TryPut(m Message) (taken bool, err error) { return t.ref.TryPut(m, size(m)) }

// Put puts a message into the topic's mailbox, blocking while that is full. It returns nil when the topic has taken the message,
// actor.ErrStopped after Stop, or the context's error. Only edges may call it.
func (t *Topic) Put(ctx context.Context, m Message) error { return t.ref.Put(ctx, m, size(m)) }

// Stop refuses further messages, delivers those already taken, and ends the topic. It never blocks.
func (t *Topic) Stop() { t.ref.Stop() }

// Abort is Stop without delivering what was taken and is not encoded yet. It never blocks.
func (t *Topic) Abort() {
	t.aborted.Store(true)
	t.ref.Stop()
}

// Stats returns the topic's statistics.
func (t *Topic) Stats() Stats {
	a := t.ref.Stats()
	s := Stats{
		Published: t.published.Load(),
		Delivered: t.delivered.Load(),
		Dropped:   t.dropped.Load(),
		Depth:     a.Depth,
		SpeakV2:   int(t.speakV2.Load()),
		Users:     int(t.there.Load()),
		Position:  wire.Position{Seq: t.stands.Load()},
		Kept:      int(t.keptMessages.Load()),
		KeptBytes: t.kept.Load(),
		Restarts:  a.Restarts,
		CreatedAt: a.CreatedAt,
	}
	if epoch := t.epoch.Load(); epoch != nil {
		s.Position.Epoch = *epoch
	}
	s.OldestKeptAt, s.LastPublishedAt = timeOf(&t.oldest), timeOf(&t.lastPublished)
	return s
}

// timeOf returns the time of Unix nanoseconds, or the zero time for 0.
func timeOf(ns *atomic.Int64) time.Time {
	if n := ns.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// receive is the actor: all functions below run in its goroutine, but leave.Discard when the topic has been stopped.
func (t *Topic) receive(iter.Seq[Message]) {
	defer t.handOut() // also when this panics: nobody else will
	for msg, ok := t.ref.Next(); ok; msg, ok = t.ref.Next() {
		msg.handle(t)
		if t.size.isFull() {
			break // others want their turn
		}
	}
}

// handOut ends a turn: everything that was taken is delivered, and whoever has to write it does.
func (t *Topic) handOut() {
	t.deliverBatch()
	t.flushIdle()
}

func (m list) handle(t *Topic) {
	t.deliverBatch() // the answer says that it has been
	all := make([]Subscriber, len(t.members))
	for i, member := range t.members {
		all[i] = member.Subscriber
	}
	m.Reply(all)
}

func (m join) handle(t *Topic) {
	t.deliverBatch() // what was published before is not for the newcomer
	if t.joining {
		t.hold(m.Member)
		if m.Subscriber.Encoding().IsV2() && !t.verbatim { // where nothing is counted, and notices come all the same
			return
		}
	}
	if from, lacks := t.lacksFor(m.ask.Load()); lacks && !t.joining {
		t.hold(m.Member)
		t.want(from)
		return
	}
	isNew := m.place == 0
	if isNew {
		t.members = append(t.members, m.Member)
		m.place = int32(len(t.members)) // #nosec G115 -- 2^31 do not fit into memory
		t.need(m.Member, 1)
		t.presence.enter(m.Member)
	}
	if !t.joining {
		t.begin(m.Member, isNew)
	}
	t.notePresent()
}

// begin answers what a member has asked, and tells whoever waits for that.
func (t *Topic) begin(m *Member, isNew bool) {
	asked, joined := m.begin()
	switch {
	case asked != nil:
		t.answer(m, asked)
	case isNew:
		t.tellPosition(m)
	}
	if joined != nil {
		joined()
	}
}

func (m adopt) handle(t *Topic) {
	m.place, m.watches, m.held = 0, 0, 0
	join(m).handle(t)
}

func (m leave) handle(t *Topic) {
	defer m.Discard()
	defer t.noteLasting()
	t.deliverBatch() // what was published before still is for the leaver
	if m.held > 0 {
		t.release(m.Member)
	}
	t.shared.leave(m.Member)
	if m.place == 0 {
		return
	}
	last := len(t.members) - 1
	moved := t.members[last]
	t.members[m.place-1], moved.place = moved, m.place
	t.members[last] = nil
	t.members = t.members[:last]
	m.place = 0
	t.need(m.Member, -1)
	t.presence.exit(m.Member, m.vanished)
	t.notePresent()
}

// Discard is all that is left to do of a leave when the topic is given up. The subscription may not even have begun.
func (m leave) Discard() {
	asked, joined := m.begin()
	if asked != nil {
		ask{m.Member, asked}.Discard()
	}
	if joined != nil {
		joined()
	}
	if m.done != nil {
		m.done()
	}
}

// need counts a member's encoding. It is called between batches only, so that each batch has all of its messages in the same
// encodings.
func (t *Topic) need(m *Member, by int) {
	encoding := m.Subscriber.Encoding()
	if t.deflater == nil && encoding != wire.Objects {
		encoding = encoding.Inflated()
	}
	n := &t.needing
	n[encoding] += by
	v2 := n[wire.V2] + n[wire.V2Deflated]
	t.speakV2.Store(int64(v2))
	t.needsV1 = n[wire.V1]+n[wire.V1Deflated] > 0
	t.needsV2 = v2 > 0 || t.history.limits.IsOn()
	if compresses := n[wire.V1Deflated]+n[wire.V2Deflated] > 0; compresses != t.compresses.Load() {
		t.compresses.Store(compresses)
	}
}

package topic

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// A topic whose messages a broker keeps. Their numbers and the epoch are the broker's, and mean the same on all instances. What lies before
// the messages that the topic has itself is loaded from there when somebody asks for it. All functions in this file run in the topic's
// actor, but the exported ones.

// shared is what such a topic has beside others. Owned by the topic.
type shared struct {
	onLoad    func(*Topic, Load) // immutable
	began     bool               // the broker has said where the topic stands
	from      uint64             // what came behind that number need not be asked for: the topic has it, as far as it keeps so much
	least     uint64             // what came behind a lower number need not be asked for: something is missing, or more than is kept
	oldest    bool               // the topic has the oldest message that there is, as far as it keeps so much
	load      Load               // that is under way; the zero Load: none
	attempts  uint64             // of loading anything
	tries     int                // of loading the same
	needed    []uint64           // from where on those who wait need something; empty while something is loaded
	ahead     ahead
	gathering bool     // more may need something
	asks      []ask    // that wait for it, of members
	reads     []read   // that wait for it
	receipts  []settle // of what has not come yet
	past      []string // the last epochs before this one
}

// Load is what a topic wants to have from the broker: what was published behind one number, up to another.
type Load struct {
	Limits  History // no more is needed, and of more, the last
	Epoch   string
	From    uint64
	UpTo    uint64
	ahead   bool   // it is to see what is behind the topic's last message
	attempt uint64 // tells it from others of the topic
}

// Loaded is what the broker has answered.
type Loaded struct {
	Load
	Messages []Arrival // what is kept behind From, with nothing missing in between, up to UpTo at least
	Whole    bool      // and nothing is missing before
	End      uint64    // no higher number was given to anything, as of then
	Err      error     // it is not known what is there
}

type (
	began  struct{ at wire.Position } // the broker has said where the topic stands
	loaded struct {
		load  Load
		runs  []run
		whole bool
		end   uint64
		err   error
	}
	settle struct { // answered when what has a number is delivered, or will not be
		receipt
		at wire.Position
	}
)

// IsShared reports whether a broker keeps the topic's messages.
func (t *Topic) IsShared() bool { return t.shared != nil }

// Began says where the topic stands: at first, and whenever messages before that may be missing. It never blocks.
func (t *Topic) Began(at wire.Position) { t.ref.Post(began{at}) }

// Loaded gives the topic what it wanted to have. It never blocks, but takes a while: it encodes the messages. It has to be called once for
// each Load.
func (t *Topic) Loaded(l Loaded) {
	m := loaded{load: l.Load, whole: l.Whole, end: l.End, err: l.Err}
	if l.Err == nil {
		m.runs = t.encodeRuns(l)
		m.whole = m.whole && l.surplus() == 0
	}
	t.ref.Post(m)
}

// AwaitDelivered waits until the topic has delivered the message with that position, or never will. It returns actor.ErrStopped after Stop,
// or the context's error. Only edges may call it.
func (t *Topic) AwaitDelivered(ctx context.Context, at wire.Position) error {
	_, err := actor.Call(ctx, t.ref, func(r actor.Request[wire.Position]) Message {
		return settle{receipt{publishAsked{Request: r}, at.Seq, false}, at}
	})
	return err
}

// Acknowledge answers a publication by a client that has an id, when the topic has delivered it, or never will. It never blocks.
func (t *Topic) Acknowledge(at wire.Position, duplicate bool, to Subscriber, id uint64) {
	m := settle{receipt{publishAsked{to: to, id: id}, at.Seq, duplicate}, at}
	if !t.ref.Post(m) {
		m.Discard()
	}
}

// Discard answers the client when the topic is given up: the broker has the publication all the same. The caller who waits hears of the
// topic's end anyway.
func (m settle) Discard() {
	if m.to == nil {
		return
	}
	deliver(m.to, wire.NewAnswers(m.to.Encoding(), wire.AppendPublished(nil, m.id, m.seq, m.duplicate), 1))
}

func (m settle) handle(t *Topic) {
	if s := t.shared; s != nil && s.began && s.awaits(m.at, t) {
		s.receipts = append(s.receipts, m)
		return
	}
	t.receipts = append(t.receipts, m.receipt)
}

// maxPast is how many epochs before its own a topic knows.
const maxPast = 8

// awaits reports whether what has a position is still to come: also in an epoch that the broker has begun, and not told of yet.
func (s *shared) awaits(at wire.Position, t *Topic) bool {
	if t.epochIs(at.Epoch) {
		return at.Seq > t.seq
	}
	return at.Epoch != "" && !slices.Contains(s.past, at.Epoch)
}

// nextEpoch begins an epoch. What was published in another one does not come any more.
func (s *shared) nextEpoch(t *Topic, epoch string) {
	if before := t.epoch.Load(); before != nil {
		s.past = append(s.past[max(0, len(s.past)-maxPast+1):], *before)
	}
	t.epoch.Store(&epoch)
	s.receipts = slices.DeleteFunc(s.receipts, func(m settle) bool {
		over := m.at.Epoch != epoch
		if over {
			t.receipts = append(t.receipts, m.receipt)
		}
		return over
	})
}

// due returns the receipts of what has come, up to a position. The nil shared has none.
func (s *shared) due(t *Topic) (due []receipt) {
	if s == nil || len(s.receipts) == 0 {
		return nil
	}
	s.receipts = slices.DeleteFunc(s.receipts, func(m settle) bool {
		came := m.seq <= t.seq && t.epochIs(m.at.Epoch)
		if came {
			due = append(due, m.receipt)
		}
		return came
	})
	return due
}

func (t *Topic) epochIs(epoch string) bool {
	e := t.epoch.Load()
	return e != nil && *e == epoch
}

// handle begins the numbering that the broker has, or goes on in it behind what is missing.
func (m began) handle(t *Topic) {
	s := t.shared
	if s == nil {
		return
	}
	t.deliverBatch()
	first, same := !s.began, t.epochIs(m.at.Epoch)
	s.began = true
	if same {
		m.at.Seq = max(m.at.Seq, t.seq)
	} else {
		s.nextEpoch(t, m.at.Epoch)
	}
	t.goOnAt(m.at.Seq)
	switch {
	case first:
	case same:
		t.tellV2(wire.NewAnswers(wire.V2, wire.AppendGap(nil, t.name, t.seq+1), 1).About(t.name))
	default:
		t.tellPositions()
	}
	t.acknowledge()
	t.goOn()
}

// goOnAt forgets what is kept, and goes on behind a number.
func (t *Topic) goOnAt(seq uint64) {
	t.seq = seq
	t.stands.Store(seq)
	t.shared.from, t.shared.least, t.shared.oldest = seq, 0, seq == 0
	t.shared.load = Load{} // which does not fit any more
	t.forget()
	t.tellKept()
}

// resetAt is for what was published to forget what was published before.
func (t *Topic) resetAt(seq uint64) {
	t.deliverBatch()
	t.goOnAt(seq)
	t.shared.least, t.shared.oldest = seq, true // the broker has no more either
	t.tellPositions()
	t.goOn()
}

// lacks reports whether somebody asks for what the topic does not have, and the broker may, and if so from which number on.
func (t *Topic) lacks(since wire.Position, last uint64) (from uint64, lacks bool) {
	s := t.shared
	if s == nil || !s.began {
		return 0, false
	}
	kept, most := uint64(t.history.messages()), uint64(t.history.limits.Messages) // #nosec G115 -- counts
	if !since.IsZero() && t.epochIs(since.Epoch) {
		if since.Seq > t.seq {
			return since.Seq, !s.ahead.knows(t.seq, since.Seq)
		}
		return since.Seq, since.Seq >= s.least && since.Seq < s.from && since.Seq < t.history.edge(t.seq) && t.history.surplus() == 0
	}
	return 0, last > kept && !s.oldest && (most == 0 || kept < most)
}

// lacksFor is lacks for what a subscription asks for.
func (t *Topic) lacksFor(a *Ask) (from uint64, lacks bool) {
	if a == nil {
		return 0, false
	}
	return t.lacks(a.Since, a.Last)
}

// want has what came behind a number loaded. While something is, it is looked again after that.
func (t *Topic) want(from uint64) {
	s := t.shared
	if s.load.attempt == 0 && !s.ahead.awaits(t.seq, from) {
		s.needed = append(s.needed, from)
		if !s.gathering {
			t.startLoad()
		}
	}
}

// startLoad has loaded what all who wait need.
func (t *Topic) startLoad() {
	s := t.shared
	from := slices.Min(s.needed)
	s.needed = nil
	s.tries++
	s.attempts++
	s.load = Load{t.history.limits, *t.epoch.Load(), from, t.history.edge(t.seq), from > t.seq, s.attempts}
	if s.load.ahead {
		s.load.Limits, s.load.From, s.load.UpTo = History{}, t.seq, t.seq
	}
	s.onLoad(t, s.load)
}

// maxTries is how often the same is loaded, if the topic has meanwhile dropped what came behind it.
const maxTries = 3

func (m loaded) handle(t *Topic) {
	s := t.shared
	if s == nil || m.load.attempt != s.load.attempt {
		return // it has been told since that it stands elsewhere
	}
	t.deliverBatch()
	s.load = Load{}
	edge, reach := t.history.edge(t.seq), m.load.UpTo
	if n := len(m.runs); n > 0 {
		reach = max(reach, m.runs[n-1].last())
	}
	switch {
	case m.err != nil:
		t.deferAll(m.err)
	case m.load.ahead:
		s.ahead = aheadOf(m)
	case edge <= reach:
		m.add(t, edge)
	case s.tries >= maxTries: // what was loaded ends before what the topic has begins, again and again
		s.least, s.oldest = edge, true
	}
	t.goOn()
}

// add keeps what was loaded, in front of what the topic has behind a number. Each load leaves less that need be asked for.
func (m loaded) add(t *Topic, edge uint64) {
	s, from := t.shared, m.load.From
	var base *uint64
	if m.whole {
		base = &from
	}
	t.history.addBefore(upTo(m.runs, edge), base, time.Now().UnixNano())
	t.account()
	t.tellKept()
	switch edge = t.history.edge(t.seq); {
	case !m.whole: // but behind a higher number, it may be
		s.from, s.least, s.oldest = edge, from+1, true
	case edge > from: // the rest is more than is kept
		s.from, s.least, s.oldest = from, edge, true
	default:
		s.from, s.oldest = from, from == 0
	}
}

// goOn lets all go on who have waited for what was loaded. Some may have to wait again.
func (t *Topic) goOn() {
	s := t.shared
	if t.joining {
		return
	}
	held, asks, reads := t.held, s.asks, s.reads
	t.held, s.asks, s.reads = nil, nil, nil
	s.gathering = true
	for _, m := range held {
		m.held = 0
		join{m}.handle(t)
	}
	for _, a := range asks {
		a.handle(t)
	}
	for _, r := range reads {
		r.handle(t)
	}
	s.gathering = false
	switch {
	case len(s.needed) > 0:
		t.startLoad()
	case s.load.attempt == 0:
		s.tries = 0
	}
}

// deferAll is for something that could not be loaded, and is tried again. Clients do not wait for that; whoever reads is told.
func (t *Topic) deferAll(err error) {
	s := t.shared
	s.tries = 0
	for _, m := range t.held {
		m.ask.Load().Defer()
	}
	for _, a := range s.asks {
		a.Ask.Defer()
	}
	for _, r := range s.reads {
		r.Fail(err)
	}
	s.reads = nil
}

// waits reports whether a member has asked for something that is still to be loaded. A client may not let that pile up.
func (s *shared) waits(m *Member) bool {
	return s != nil && slices.ContainsFunc(s.asks, func(a ask) bool { return a.Member == m })
}

// leave drops what a member that leaves has asked.
func (s *shared) leave(m *Member) {
	if s == nil || len(s.asks) == 0 {
		return
	}
	s.asks = slices.DeleteFunc(s.asks, func(a ask) bool {
		if a.Member == m {
			a.Discard()
		}
		return a.Member == m
	})
}

// dropped notes that the topic has given up what it kept up to a number, although it is permitted to keep more.
func (s *shared) dropped(edge uint64) {
	if s != nil {
		s.from, s.oldest = edge, false
	}
}

// end answers all who wait when the topic has ended.
func (s *shared) end() {
	if s == nil {
		return
	}
	for _, a := range s.asks {
		a.Discard()
	}
	for _, m := range s.receipts {
		m.Discard()
	}
	s.asks, s.reads, s.receipts = nil, nil, nil
}

// goOnAhead lets those go on who have waited for what has come.
func (t *Topic) goOnAhead() {
	if s := t.shared; s != nil && s.ahead.waits && s.load.attempt == 0 {
		s.ahead.waits = false
		t.deliverBatch()
		t.goOn()
	}
}

// take publishes what has come, unless it has come before.
func (t *Topic) take(p *Arrival) {
	switch {
	case p.Seq <= t.seq:
	case p.Reset:
		t.resetAt(p.Seq)
	default:
		if asObject := t.append(&p.Publication, p.Seq); asObject {
			t.appendObject(p.Publication)
		}
	}
}

// surplus returns how many messages there are more than the topic keeps. Those behind UpTo do not count: they have not come yet.
func (l *Loaded) surplus() int {
	if l.Limits.Messages == 0 {
		return 0
	}
	n, _ := slices.BinarySearchFunc(l.Messages, l.UpTo+1, func(a Arrival, seq uint64) int { return cmp.Compare(a.Seq, seq) })
	return max(0, n-l.Limits.Messages)
}

// encodeRuns makes what the topic keeps of messages. It runs in an edge.
func (t *Topic) encodeRuns(l Loaded) []run {
	var runs []run
	messages, limits := l.Messages, l.Limits
	before := l.From
	if len(messages) > 0 && !l.Whole {
		before = messages[0].Seq - 1
	}
	if surplus := l.surplus(); surplus > 0 {
		before, messages = messages[surplus-1].Seq, messages[surplus:]
	}
	var r run
	for i := range messages {
		m := &messages[i]
		at := m.At.UnixNano()
		if m.At.IsZero() {
			at = time.Now().UnixNano()
		}
		if full := len(r.frames)+len(m.Data) > blockBytes/2 || limits.Messages > 0 && r.messages >= limits.Messages/blockParts && len(r.frames) >= smallBlock ||
			limits.Bytes > 0 && len(r.frames)+len(m.Data) > limits.Bytes/blockParts || limits.Age > 0 && at-r.began > int64(limits.Age/blockParts); r.messages > 0 && full {
			runs = append(runs, r)
			r = run{}
		}
		if r.messages == 0 {
			r.before, r.began, r.numbers = before, at, new(wire.Numbers)
		}
		prev := before
		if i == 0 && len(messages) == len(l.Messages) {
			prev = l.From // nobody who has what came before that number takes this for a gap
		}
		r.frames = t.envelope2.Append(r.frames, m.Seq, prev, &m.Publication)
		*r.numbers = append(*r.numbers, m.Seq)
		r.messages++
		r.at, before = at, m.Seq
	}
	if r.messages > 0 {
		runs = append(runs, r)
	}
	return runs
}

// last returns the number of the last message that a broker has numbered.
func (r run) last() uint64 { return (*r.numbers)[r.messages-1] }

// upTo returns what of the runs has numbers up to an edge.
func upTo(runs []run, edge uint64) []run {
	for i, r := range runs {
		n, _ := slices.BinarySearch(*r.numbers, edge+1)
		if n == r.messages {
			continue
		}
		if n == 0 {
			return runs[:i]
		}
		r.frames, r.numbers, r.messages = r.frames[:wire.FramesLen(r.frames, n)], r.numbers.Slice(0, n), n
		return append(runs[:i:i], r)
	}
	return runs
}

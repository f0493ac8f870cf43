package topic

import (
	"cmp"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// What a topic whose messages a broker keeps has loaded from there. All functions in this file run in the topic's actor, but Loaded,
// surplus and encodeRuns, which run in an edge.

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

// loaded is what an edge has made of the answer.
type loaded struct {
	load  Load
	runs  []run
	whole bool
	end   uint64
	err   error
}

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
	held, asks, reads, directs := t.held, s.asks, s.reads, s.directs
	t.held, s.asks, s.reads, s.directs = nil, nil, nil, nil
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
	for _, d := range directs {
		d.handle(t)
	}
	s.gathering = false
	switch {
	case len(s.needed) > 0:
		t.startLoad()
	case s.load.attempt == 0:
		s.tries = 0
	}
}

// deferAll is for something that could not be loaded, and is tried again. Clients do not wait for that; whoever reads, or sends to one of
// them, is told.
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
	for _, d := range s.directs {
		d.Fail(err)
	}
	s.reads, s.directs = nil, nil
}

// waits reports whether a member has asked for something that is still to be loaded. A client may not let that pile up.
func (s *shared) waits(m *Member) bool {
	return s != nil && slices.ContainsFunc(s.asks, func(a ask) bool { return a.Member == m })
}

// leave forgets a member that leaves, and drops what it has asked.
func (s *shared) leave(m *Member) {
	if s == nil {
		return
	}
	delete(s.leaders, m)
	s.asks = slices.DeleteFunc(s.asks, func(a ask) bool {
		if a.Member == m {
			a.Discard()
		}
		return a.Member == m
	})
	s.directs = slices.DeleteFunc(s.directs, func(d direct) bool {
		if d.member == m {
			d.Reply(false)
		}
		return d.member == m
	})
}

// dropped notes that the topic has given up what it kept up to a number, although it is permitted to keep more.
func (s *shared) dropped(edge uint64) {
	if s != nil {
		s.from, s.oldest = edge, false
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
	messages, before := l.Messages, l.From
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
		if r.messages > 0 && !l.Limits.isBlock(len(r.frames)+len(m.Data)+t.envelope, r.messages+1, at-r.began) {
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

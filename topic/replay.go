package topic

import (
	"context"
	"math"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// What a subscriber of tank.v2 asks for when it subscribes, and what it is answered: the reply, then messages that the topic has kept,
// then live ones. All functions in this file run in the topic's actor, but History, which runs in an edge, Discard, refuse and deliver.

// Ask is a command to subscribe of tank.v2.
type Ask struct {
	ID     uint64           // of the command; 0: it wants no reply
	Since  wire.Position    // what came behind it is replayed; the zero Position: nothing
	Last   uint64           // up to so many messages are replayed, if Since does not say which; 0: none
	Most   int              // bytes that are replayed at most
	Watch  bool             // tell who is in the topic, now and when that changes
	Missed func(why string) // is called, in the topic's goroutine, when messages behind Since are missing; must not block; may be nil
	Handed func()           // is called, in the topic's goroutine, when the subscriber has been given everything; must not block; may be nil

	// Room is called, in the topic's goroutine, before an Ask is answered whose client does not wait, see Defer: of how many bytes there may be
	// instead of Most. release is called behind them. It must not block. Nil: Most is right.
	Room func() (bytes int, release func())

	deferred bool
}

type (
	ask struct { // of a member that there is already
		*Member
		*Ask
	}
	read struct { // see Topic.History
		actor.Request[Page]
		since wire.Position
		most  int
	}
)

// Page is messages that a topic has kept.
type Page struct {
	Parts  []*wire.Batch // in the encoding V2
	From   wire.Position // in front of the first message
	Missed string        // why messages between what was asked for and From are missing; empty: none are
}

// Ask answers a member that is subscribed already, and replays what it asks for. It never blocks.
func (t *Topic) Ask(m *Member, a *Ask) {
	if msg := (ask{m, a}); !t.ref.Post(msg) {
		msg.Discard()
	}
}

// History returns messages that the topic has kept: those behind a position, or for the zero Position all, but most at most. It returns
// actor.ErrStopped after Stop, or the context's error. Only edges may call it.
func (t *Topic) History(ctx context.Context, since wire.Position, most int) (Page, error) {
	return actor.Call(ctx, t.ref, func(r actor.Request[Page]) Message { return read{r, since, most} })
}

func (m ask) handle(t *Topic) {
	t.deliverBatch()
	if m.held > 0 || t.shared.waits(m.Member) { // and may have asked already
		refuse(m.Subscriber, m.ID)
		m.Ask.Done()
		return
	}
	if from, lacks := t.lacksFor(m.Ask); lacks {
		t.shared.asks = append(t.shared.asks, m)
		t.want(from)
		return
	}
	t.answer(m.Member, m.Ask)
	t.notePresent()
}

// Discard answers when the topic is given up.
func (m ask) Discard() {
	refuse(m.Subscriber, m.ID)
	m.Ask.Done()
}

// refuse answers a command to a topic that is given up. Any goroutine may call it.
func refuse(to Subscriber, id uint64) {
	r := wire.Refusal{ID: id, Code: wire.RefusedBusy, Message: "the subscription did not begin: try again"}
	deliver(to, r.Batch(to.Encoding()))
}

// deliver gives a subscriber an answer, and has it written. Any goroutine may call it.
func deliver(to Subscriber, b *wire.Batch) {
	if _, idle := to.Deliver(b); idle {
		go to.Flush()
	}
}

// Done says that the subscriber has been given everything that it gets. The nil Ask has nobody to tell.
func (a *Ask) Done() {
	if a != nil && a.Handed != nil {
		a.Handed()
	}
}

// Defer is for a subscription that waits for the broker. Its client does not: it goes on with its next command. Several such subscriptions
// may begin at once, so how much may be replayed is asked when that is known. Only who owns the Ask may call it, before it is given to a
// topic or when the topic has it. The nil Ask has nothing to defer.
func (a *Ask) Defer() {
	if a != nil && !a.deferred {
		a.deferred = true
		a.Done()
	}
}

// replyBytes is how many bytes a reply mostly has at most.
const replyBytes = 128

// answer gives a member the reply, and replays what it asks for. Everything that was taken before has to be delivered.
func (t *Topic) answer(m *Member, a *Ask) {
	defer a.Done()
	if a.deferred && a.Room != nil {
		var release func()
		a.Most, release = a.Room()
		defer release()
	}
	to := m.Subscriber
	reply, parts := t.reply(a)
	t.lead(m, reply.At.Seq)
	t.counters.countReply(reply)
	if reply.Missed != "" && a.Missed != nil {
		a.Missed(reply.Missed)
	}
	if a.Watch && t.presence != nil && m.place > 0 {
		reply.Here = t.presence.watch(m)
	}
	if a.ID != 0 {
		frame := wire.AppendSubscribed(make([]byte, 0, replyBytes), a.ID, reply)
		t.tell(to, wire.NewAnswers(to.Encoding(), frame, 1).About(t.name))
	}
	for _, b := range parts {
		if t.tell(to, b) {
			t.delivered.Add(uint64(b.Messages))         // #nosec G115 -- a count
			t.counters.Replayed.Add(uint64(b.Messages)) // #nosec G115 -- a count
		}
	}
}

// reply says what a subscription is answered, and finds what is replayed.
func (t *Topic) reply(a *Ask) (reply wire.Subscribed, parts []*wire.Batch) {
	reply = wire.Subscribed{At: t.position(), From: t.seq}
	if a.Since.IsZero() && a.Last == 0 {
		return reply, nil
	}
	t.dropOld(time.Now())
	edge := t.history.edgeWithin(t.seq, a.Most)
	if !a.Since.IsZero() {
		reply.Replay = wire.BehindSince
		if reply.Missed = t.missed(reply.At.Epoch, a.Since, edge); reply.Missed == "" {
			reply.From = a.Since.Seq
			reply.At.Seq = max(reply.At.Seq, reply.From)
		}
	}
	if a.Last > 0 && (reply.Replay == wire.NoReplay || reply.Missed != "") {
		reply.Replay = max(reply.Replay, wire.LastOnes)
		reply.From = max(edge, t.history.edgeOf(t.seq, a.Last))
	}
	return reply, t.history.behind(reply.From, math.MaxInt)
}

// missed returns why messages behind a position are missing, or "" when all behind the number edge are kept and that is enough.
func (t *Topic) missed(epoch string, since wire.Position, edge uint64) string {
	switch {
	case since.Epoch != epoch:
		return wire.MissedEpoch
	case since.Seq > t.seq && t.shared != nil && t.shared.ahead.isPlace(t.seq, since.Seq):
		return ""
	case since.Seq > t.seq:
		return wire.MissedAhead
	case since.Seq < t.doubt:
		return wire.MissedUnknown
	case since.Seq >= edge:
		return ""
	case !t.history.limits.IsOn():
		return wire.MissedOff
	}
	return wire.MissedEvicted
}

func (m read) handle(t *Topic) {
	t.deliverBatch() // what was taken before is part of it
	t.dropOld(time.Now())
	if from, lacks := t.lacks(m.since, math.MaxUint64); lacks {
		t.shared.reads = append(t.shared.reads, m)
		t.want(from)
		return
	}
	edge := t.history.edge(t.seq)
	page := Page{From: t.position()}
	page.From.Seq = edge
	since := m.since
	if since.IsZero() {
		since.Epoch = page.From.Epoch
	}
	switch page.Missed = t.missed(page.From.Epoch, since, edge); page.Missed {
	case "":
		page.From.Seq = since.Seq
	case wire.MissedUnknown: // there is a gap in between, or behind what is kept
		page.From.Seq = max(edge, since.Seq)
	}
	page.Parts = t.history.behind(page.From.Seq, m.most)
	m.Reply(page)
}

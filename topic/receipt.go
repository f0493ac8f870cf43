package topic

import (
	"context"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Publications whose publisher wants to know their number. All functions in this file run in the topic's actor, but NewAsked and
// Topic.Publish, which run in edges, and Discard.

// publishAsked is a publication that is answered: the caller who waits, or else a client that may have an id for it.
type publishAsked struct {
	actor.Request[wire.Position]
	p     *wire.Publication
	owner string // of its key
	to    Subscriber
	id    uint64
}

// receipt is an answer that is due when the batch is delivered.
type receipt struct {
	publishAsked
	seq       uint64
	duplicate bool // it was published before with this key, and is not published again
}

// NewAsked makes a message of a publication that a client has sent with an id, or 0. The answer to that comes behind the publication.
// The owner is whose keys do not count for others.
func NewAsked(p *wire.Publication, owner string, to Subscriber, id uint64) Message {
	return publishAsked{p: p, owner: owner, to: to, id: id}
}

// Publish is Put of a publication, and returns its position: that of an earlier one, if the owner has published one with its key. It
// blocks until the topic has delivered it.
func (t *Topic) Publish(ctx context.Context, p *wire.Publication, owner string) (wire.Position, error) {
	return actor.CallPut(ctx, t.ref, p.Bytes(), func(r actor.Request[wire.Position]) Message {
		return publishAsked{Request: r, p: p, owner: owner}
	})
}

func (m publishAsked) handle(t *Topic) {
	if t.aborted.Load() {
		m.Fail(actor.ErrStopped)
		return
	}
	if seq, known := t.noteKey(ownedKey{m.owner, m.p.Key}); known {
		t.receipts = append(t.receipts, receipt{m, seq, true})
		return
	}
	publishWhole{m.p}.handle(t)
	t.receipts = append(t.receipts, receipt{m, t.seq, false})
}

// Discard answers the client when the topic is given up. The caller who waits hears of it anyway.
func (m publishAsked) Discard() {
	if m.to != nil && m.id != 0 {
		refuse(m.to, m.id)
	}
}

// acknowledge gives the answers that are due, those for one client that come one behind the other in one piece.
func (t *Topic) acknowledge() {
	due := append(t.receipts, t.shared.due(t)...)
	t.receipts = nil
	for len(due) > 0 {
		r := due[0]
		if r.to == nil {
			at := t.position()
			at.Seq = r.seq
			r.Reply(at)
			due = due[1:]
			continue
		}
		var frames []byte
		n, answers := 0, 0
		for ; n < len(due) && due[n].to == r.to; n++ {
			if next := due[n]; next.id != 0 {
				frames = wire.AppendPublished(frames, next.id, next.seq, next.duplicate)
				answers++
			}
		}
		if answers > 0 {
			t.tell(r.to, wire.NewAnswers(r.to.Encoding(), frames, answers).About(t.name))
		}
		due = due[n:]
	}
}

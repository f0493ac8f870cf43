package topic

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// What is published. All functions in this file run in the topic's actor, but size, NewPublish and Topic.Send, which run in edges.

type (
	publishText  struct{ data string }         // text of the server's own, which most publications are
	publishWhole struct{ p *wire.Publication } // any other publication
	direct       struct {                      // for one member alone; answered with whether the member has taken it
		actor.Request[bool]
		member *Member
		p      *wire.Publication
	}
	sampled struct { // a publication whose way to a socket is timed
		Message
		at int64 // Unix nanoseconds
	}
)

// messageOverhead is what a queued message counts beside its data, in bytes, so that a flood of empty messages is
// bounded too.
const messageOverhead = 64

// size returns what a message counts in the mailbox.
func size(m Message) int {
	switch m := m.(type) {
	case publishText:
		return len(m.data) + messageOverhead
	case publishWhole:
		return m.p.Bytes()
	case publishAsked:
		return m.p.Bytes()
	case arrived:
		n := 0
		for i := range m.publications {
			n += m.publications[i].Bytes()
		}
		return n
	case heard:
		n := messageOverhead
		for _, p := range m.In {
			n += len(p.User) + len(p.Info) + messageOverhead
		}
		for _, name := range m.Out {
			n += len(name) + messageOverhead
		}
		return n
	case sampled:
		return size(m.Message)
	}
	return messageOverhead
}

// sampleEvery is how many messages there are for each one whose way to a socket is timed. To look at the clock costs something.
const sampleEvery = 16

// NewPublish makes a message of a publication, whose data must be valid UTF-8 unless the topic is verbatim. Whether it is a sample
// is left to chance, so that nothing can fall into step with it.
func NewPublish(p *wire.Publication) Message {
	var m Message
	if p.JSON || p.From != "" {
		kept := *p
		m = publishWhole{&kept}
	} else {
		m = publishText{p.Data}
	}
	if rand.Uint32N(sampleEvery) == 0 { // #nosec G404 -- nobody gains by guessing it
		return sampled{m, time.Now().UnixNano()}
	}
	return m
}

// Send gives a publication to one member alone, behind what was published before, blocking while the mailbox is full and until the
// member has it. It reports false when the member has left, or did not take it. It returns actor.ErrStopped after Stop, why what the
// member waits for could not be loaded, or the context's error, after which the publication may still be sent. Only edges may call it.
func (t *Topic) Send(ctx context.Context, m *Member, p *wire.Publication) (taken bool, err error) {
	return actor.CallPut(ctx, t.ref, p.Bytes(), func(r actor.Request[bool]) Message { return direct{r, m, p} })
}

func (m publishText) handle(t *Topic) {
	p := wire.Publication{Data: m.data}
	if asObject := t.append(&p, t.seq+1); asObject {
		t.appendObject(p)
	}
}

func (m publishWhole) handle(t *Topic) {
	if asObject := t.append(m.p, t.seq+1); asObject {
		t.appendObject(*m.p)
	}
}

func (m sampled) handle(t *Topic) {
	m.Message.handle(t)
	if t.batch != nil && t.batch.SampledAt == 0 { // one in a batch is enough
		t.batch.SampledAt = m.at
	}
}

func (m direct) handle(t *Topic) {
	t.deliverBatch()
	switch {
	case t.shared != nil && m.member.place == 0 && m.member.held > 0: // its subscription begins when something is loaded
		t.shared.directs = append(t.shared.directs, m)
		return
	case m.member.place == 0 || t.aborted.Load():
		m.Reply(false)
		return
	}
	b := t.newBatch()
	b.Messages, b.Seq = 1, t.seq
	encoding := m.member.Subscriber.Encoding()
	inflated := encoding.Inflated()
	if inflated == wire.V2 {
		b.Frames[wire.V2] = t.envelope2.Append(nil, 0, 0, m.p)
	} else {
		b.Frames[wire.V1] = t.encode(nil, m.p.Data)
	}
	if encoding != inflated && t.deflater != nil {
		b.Frames[encoding] = t.deflater.Append(nil, b.Frames[inflated])
	}
	before := t.delivered.Load()
	t.deliverTo(b, t.members[m.member.place-1:m.member.place])
	m.Reply(t.delivered.Load() > before)
}

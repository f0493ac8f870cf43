package topic

import (
	"context"
	"crypto/rand"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// The numbers of a topic's messages. All functions in this file run in the topic's actor, but Topic.Position and Topic.Reset, which run in
// edges, and Topic.PostReset, which any goroutine may call.

type (
	position struct { // answered with where the topic stands
		actor.Request[wire.Position]
	}
	reset struct { // answered when nothing is kept any more
		actor.Request[struct{}]
	}
)

// Position returns where the topic stands, behind what was taken before. It returns actor.ErrStopped after Stop, or the context's error.
// Only edges may call it.
func (t *Topic) Position(ctx context.Context) (wire.Position, error) {
	return actor.Call(ctx, t.ref, func(r actor.Request[wire.Position]) Message { return position{r} })
}

// Reset begins a new numbering, behind what was taken before, and drops what is kept. It returns actor.ErrStopped after Stop, or the
// context's error. Only edges may call it.
func (t *Topic) Reset(ctx context.Context) error {
	_, err := actor.Call(ctx, t.ref, func(r actor.Request[struct{}]) Message { return reset{r} })
	return err
}

// PostReset is Reset without waiting. It never blocks.
func (t *Topic) PostReset() { t.ref.Post(reset{}) }

// epochLen is how many characters of 5 random bits an epoch has: 80 bits, so that no two are equal.
const epochLen = 16

// position returns where the topic stands. From then on its epoch is known to somebody, who may come back with it.
func (t *Topic) position() wire.Position {
	epoch := t.epoch.Load()
	if epoch == nil {
		named := rand.Text()[:epochLen]
		epoch = &named
		t.epoch.Store(epoch)
	}
	t.noteLasting()
	return wire.Position{Epoch: *epoch, Seq: t.seq}
}

// noteLasting notes whether it makes a difference that the topic goes on without subscribers: somebody knows its epoch, which no later topic
// has, and something was published, or will be kept when it is; or a key is known; or somebody is here, who has vanished.
func (t *Topic) noteLasting() {
	lasting := t.shared == nil && t.epoch.Load() != nil && (t.seq > 0 || t.history.limits.IsOn()) || len(t.keys.order) > 0 || t.presence != nil && t.presence.here > 0
	if lasting != t.lasting.Load() {
		t.lasting.Store(lasting)
	}
}

func (m position) handle(t *Topic) {
	t.deliverBatch()
	m.Reply(t.position())
}

// handle begins a new numbering. What was kept is given up, and so are the keys.
func (m reset) handle(t *Topic) {
	t.deliverBatch()
	t.epoch.Store(nil)
	t.seq, t.doubt = 0, 0
	t.stands.Store(0)
	t.forget()
	t.tellKept()
	t.tellPositions()
	m.Reply(struct{}{})
}

// tellPositions tells all members where the numbering begins for them.
func (t *Topic) tellPositions() {
	for _, member := range t.members {
		t.tellPosition(member)
	}
}

// tellPosition tells a member where the numbering begins for it, if it speaks tank.v2.
func (t *Topic) tellPosition(m *Member) {
	if e := m.Subscriber.Encoding(); e.IsV2() && !t.verbatim {
		t.tell(m.Subscriber, wire.NewAnswers(e, wire.AppendReset(nil, t.name, t.position()), 1).About(t.name))
	}
}

// tell gives one subscriber a batch for it alone, and reports whether the subscriber has taken it.
func (t *Topic) tell(to Subscriber, b *wire.Batch) (taken bool) {
	taken, idle := to.Deliver(b)
	if idle {
		t.flushLater(to)
	}
	return taken
}

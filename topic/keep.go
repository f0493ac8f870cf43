package topic

import (
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// What a topic keeps, and when it ends although nobody has told it to. All functions in this file run in the topic's actor, but the
// methods whose names are exported.

type (
	sweep   struct{}              // drop what is too old
	abandon struct{ bytes int64 } // drop what is oldest
	retire  struct{}              // end, unless messages are kept
)

// Sweep drops what is too old to be kept. It never blocks.
func (t *Topic) Sweep() { t.ref.Post(sweep{}) }

// Abandon drops so much of what is kept, the oldest first, and calls OnKept. It never blocks.
func (t *Topic) Abandon(bytes int64) { t.ref.Post(abandon{bytes}) }

// Retire ends the topic, unless it keeps messages, or some wait in its mailbox: then it calls OnKept. It never blocks.
func (t *Topic) Retire() { t.ref.Post(retire{}) }

// Kept returns how much memory the topic takes for what it keeps, in bytes: 0 when that is nothing. Any goroutine may call it.
func (t *Topic) Kept() int64 { return t.kept.Load() }

// Lasts reports whether the topic had a reason to go on without subscribers, when it last lost one or was asked for its position: one
// who has left may come back and ask what was missed. Any goroutine may call it.
func (t *Topic) Lasts() bool { return t.lasting.Load() }

// keep adds a batch, whose messages are the last that were numbered, to the history.
func (t *Topic) keep(b *wire.Batch, now int64) {
	first, last := t.shared.times(now)
	t.history.add(run{b.Frames[wire.V2], t.since, b.Numbers, b.Messages, first, last}, now)
	t.account()
	if keeps := len(t.history.blocks) > 0; keeps != t.told { // a message over the limit in bytes may have left nothing
		t.tellKept()
	}
}

// dropOld drops what is too old.
func (t *Topic) dropOld(now time.Time) {
	t.history.evict(now.UnixNano())
	t.keys.expire(t.history.edge(t.seq), now.UnixNano())
	t.account()
}

// keeperBytes is what a topic counts beside what it keeps: without that, it would end with its last subscriber.
const keeperBytes = 1 << 10

// account counts the memory of what is kept.
func (t *Topic) account() {
	memory := t.history.memory + t.keys.memory
	if memory > 0 {
		memory += keeperBytes
	}
	t.keptMessages.Store(int64(t.history.messages()))
	t.oldest.Store(t.history.since())
	if more := memory - int(t.kept.Load()); more != 0 {
		t.kept.Store(int64(memory))
		t.budget.Add(more)
		t.budget.Check()
	}
}

// forget drops everything that is kept.
func (t *Topic) forget() {
	t.history.clear()
	t.keys.clear()
	t.account()
}

func (sweep) handle(t *Topic) {
	t.deliverBatch()
	t.dropOld(time.Now())
	t.tellKept()
}

func (m abandon) handle(t *Topic) {
	t.deliverBatch()
	if left := t.Kept() - m.bytes - keeperBytes; left > 0 {
		t.history.shrink(int(left) - t.keys.memory)
		t.keys.shrink(int(left) - t.history.memory)
		t.account()
	} else {
		t.forget()
	}
	t.shared.dropped(t.history.edge(t.seq))
	t.tellKept()
}

func (retire) handle(t *Topic) {
	t.deliverBatch()
	t.dropOld(time.Now())
	if len(t.history.blocks) > 0 || !t.ref.StopIfIdle() {
		t.tellKept()
	}
}

// tellKept tells the owner what is kept.
func (t *Topic) tellKept() {
	t.noteLasting()
	t.told = len(t.history.blocks) > 0
	if t.onKept != nil {
		t.onKept(t, t.told, t.history.due())
	}
}

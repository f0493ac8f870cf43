package brokertest

import (
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// tooHigh is the first offset that a broker may not have.
const tooHigh = 1 << 53

// sent is a publication that was accepted.
type sent struct {
	name    string
	p       broker.Publication
	receipt broker.Receipt
}

// checkReceipt is for each publication that was accepted.
func (m *member) checkReceipt(name string, r broker.Receipt) {
	switch kept := m.env.kept(name); {
	case !kept && r != broker.Receipt{}:
		m.env.faults.add(fmt.Sprintf("expected the zero Receipt of what is not kept; Publish of %s returned %+v", m.name, r))
	case kept && (r.Offset == 0 || r.Offset >= tooHigh || r.Epoch == ""):
		m.env.faults.add(fmt.Sprintf("expected an epoch and an offset of what is kept, below 2^53; Publish of %s returned %+v", m.name, r))
	}
}

// checkOffsets is check for a name that is kept.
func (r *receiver) checkOffsets() {
	r.env.Helper()
	fail := func(t told, expected string, args ...any) {
		r.env.Errorf("brokertest: expected %s; %s was told %s with epoch %q, offset %d, previous %d",
			fmt.Sprintf(expected, args...), r.label, t.method, t.epoch, max(t.offset, t.message.Offset), t.message.Prev)
	}
	var last uint64
	began, epoch := false, ""
	for _, t := range r.told.all() {
		m := t.message
		switch {
		case t.method == "Lost":
			began = false
		case t.method == "Began":
			switch {
			case t.epoch == "":
				fail(t, "an epoch that has a name")
			case began:
				fail(t, "Began once at the beginning, and once after Lost")
			case t.epoch == epoch && t.offset < last:
				fail(t, "no offset below %d, which was delivered in this epoch", last)
			case t.epoch == epoch && !r.env.forgets:
				fail(t, "Lost only for what is not kept any more")
			}
			last, began, epoch = t.offset, true, t.epoch
		case !began:
			fail(t, "Began before the first Deliver, and after Lost")
			return
		case m.Offset <= last || m.Offset >= tooHigh:
			fail(t, "an offset above %d, and below 2^53", last)
			return
		case m.Prev != last:
			fail(t, "Lost, or Prev %d, the offset before it", last)
			return
		case !m.At.IsZero() && !recent(m.At):
			fail(t, "the time of publication, or none, and not %v", m.At)
			return
		default:
			last = m.Offset
		}
	}
}

// recent reports whether something was published a short while ago, by a clock that need not be that of this machine.
func recent(at time.Time) bool { return time.Since(at).Abs() < time.Hour }

// place is where a publication of a name is.
type place struct {
	name, epoch string
	offset      uint64
}

// checkNumbers checks that each place has one publication, on all nodes and in all Receipts.
func (e *env) checkNumbers() {
	e.Helper()
	at := make(map[place]broker.Publication)
	for _, s := range e.sent.all() {
		if e.kept(s.name) && !e.agrees(at, place{s.name, s.receipt.Epoch, s.receipt.Offset}, s.p, "a Receipt") {
			return
		}
	}
	for _, m := range e.nodes {
		for _, r := range m.receivers {
			epoch := ""
			for _, t := range r.told.all() {
				switch {
				case !r.keep:
				case t.method == "Began":
					epoch = t.epoch
				case t.method == "Deliver" && !e.agrees(at, place{r.name, epoch, t.message.Offset}, t.message.Publication, r.label):
					return
				}
			}
		}
	}
}

// agrees has a publication in its place, unless there is another one.
func (e *env) agrees(at map[place]broker.Publication, where place, p broker.Publication, by string) bool {
	e.Helper()
	if other, known := at[where]; known && other != p {
		e.Errorf("brokertest: expected one publication in epoch %q at offset %d of name %s, on all nodes and in all Receipts; there is %s, and by %s %s",
			where.epoch, where.offset, short(where.name), printed(other), by, printed(p))
		return false
	}
	at[where] = p
	return true
}

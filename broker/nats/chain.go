package natsbroker

import (
	"errors"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

const (
	// maxHeld and maxHeldBytes are how much of a feed is held back while something is fetched for it. More is fetched, too.
	maxHeld      = 1024
	maxHeldBytes = 1 << 20
)

// Causes that Receivers of what is kept are told.
var (
	errNewStream = errors.New("natsbroker: the stream is another one, or an older copy, and what it kept is lost")
	errGone      = errors.New("natsbroker: messages are missing, and the stream does not have them any more")
)

// keep is what a feed has whose publications are kept. All belongs to the dispatcher.
//
// Each message of the stream says which one was the last of its subject before it. So a feed knows whether it has them all. If it does not,
// or cannot know, it holds back what comes, until that is fetched, or a check has shown that nothing is missing.
type keep struct {
	epoch  string
	offset uint64 // that the Receiver was told last
	// All messages up to the sequence known have been delivered, or are before what the Receiver was told at the beginning. last is that of
	// the last one among them; 0: there is none. Invariant: last <= known.
	last, known uint64
	time        int64 // when known was stored, as far as is known

	doubt bool   // something may be missing between known and what comes next
	wait  uint64 // number of the check without which nothing is delivered: the stream may be another one; 0: none
	tail  uint64 // the same, with the last message of the feed
	// filling says that an edge fetches what is missing, or is about to. more says that it has to be done once more, expect what has to be
	// known after that, and tries how often it was not.
	filling bool
	more    bool
	expect  uint64
	tries   int

	held      []message
	heldBytes int
}

// message is one of the stream, on its way from NATS.
type message struct {
	data []byte
	seq  uint64
	pred uint64 // sequence of the last message of the subject before it; 0: there is none
	time int64  // when it was stored
}

// behind says that the feed cannot deliver what comes.
func (f *feed) behind() bool {
	return !f.begun.Load() || f.keep.wait != 0 || f.keep.tail != 0 || f.keep.filling
}

// arrive takes a message from NATS.
func (d *dispatcher) arrive(f *feed, m message) {
	if m.seq == 0 {
		return // it is not from the stream
	}
	if f.behind() || !d.judge(f, m, false) {
		d.hold(f, m)
	}
}

// judge delivers a message or drops it, and returns true, or finds that the feed has to wait. checked says that a check has just shown that
// the stream is the same.
func (d *dispatcher) judge(f *feed, m message, checked bool) bool {
	k := f.keep
	switch {
	case m.seq <= k.known:
		if m.time > k.time && !checked { // it is later than what it comes before
			d.suspect(f)
			return false
		}
		return true // it is known
	case m.pred > k.known:
		k.expect = max(k.expect, m.pred)
		d.fill(f)
		return false
	case m.pred < k.last: // what was delivered is gone from the stream, and perhaps more
		if k.doubt {
			d.fill(f)
			return false
		}
		if !checked && !d.expired(k, m) {
			d.suspect(f)
			return false
		}
	}
	d.take(f, stored{seq: m.seq, time: time.Unix(0, m.time), data: m.data}, time.Time{})
	return true
}

// expired says that the last message is old enough to be gone.
func (d *dispatcher) expired(k *keep, m message) bool { return m.time-k.time >= int64(d.age) }

// suspect waits for a check: the stream may be another one.
func (d *dispatcher) suspect(f *feed) {
	f.keep.wait = d.keeper.ask(check{doubt: true})
	d.waiting[f] = struct{}{}
}

// hold keeps a message back. Of too many, none is kept, and all are fetched.
func (d *dispatcher) hold(f *feed, m message) {
	k := f.keep
	if k.more || f.over() {
		return
	}
	if len(k.held) >= maxHeld || k.heldBytes+len(m.data) > maxHeldBytes || d.held+len(m.data) > d.maxHeld {
		d.forget(f)
		k.more = true
		return
	}
	k.held = append(k.held, m)
	k.heldBytes += len(m.data)
	d.held += len(m.data)
}

func (d *dispatcher) forget(f *feed) {
	d.held -= f.keep.heldBytes
	f.keep.held, f.keep.heldBytes = nil, 0
}

// release judges what was held back, if the feed need not wait any more.
func (d *dispatcher) release(f *feed, checked bool) {
	k := f.keep
	if f.behind() {
		return
	}
	if k.more {
		k.more = false
		d.fill(f)
		return
	}
	held := k.held
	d.forget(f)
	for i, m := range held {
		if !d.judge(f, m, checked) {
			for _, m := range held[i:] {
				d.hold(f, m)
			}
			return
		}
	}
}

// take delivers the publications of a message. It has to be the next one.
func (d *dispatcher) take(f *feed, m stored, at time.Time) {
	k := f.keep
	list, err := m.publications()
	k.last, k.known, k.tries = m.seq, m.seq, 0
	if !m.unread {
		k.time = m.time.UnixNano()
		d.keeper.sawMessage(k.epoch, m.seq, k.time)
	}
	if err != nil {
		f.restart(fmt.Errorf("%w; it was published to %q", err, f.source), behind(m.seq))
		return
	}
	for i, p := range list {
		offset := offsetOf(m.seq, i)
		d.add(f, broker.Message{Publication: p, Offset: offset, Prev: k.offset, At: at})
		k.offset = offset
	}
}

// restart tells of a loss, and where the feed goes on.
func (f *feed) restart(cause error, offset uint64) {
	f.lose(cause)
	f.begin(f.keep.epoch, offset)
}

// begin says where the feed stands. Nothing may wait to be delivered.
func (f *feed) begin(epoch string, offset uint64) {
	f.keep.epoch, f.keep.offset = epoch, offset
	f.tell(func() { f.to.Began(epoch, offset) })
	f.begun.Store(true)
}

// dropped takes note that messages of a feed were dropped.
func (d *dispatcher) dropped(f *feed) {
	f.keep.doubt = true
	if f.behind() {
		f.keep.more = true
		d.forget(f)
		return
	}
	d.fill(f)
}

// cut takes note of the end of a network connection. What comes now may be from another stream.
func (d *dispatcher) cut(feeds []*feed) {
	number := d.keeper.ask(check{all: true, whole: true, doubt: true})
	for _, f := range feeds {
		f.keep.doubt = true
		f.keep.tail = number
	}
}

// checked deals with what a check has found.
func (d *dispatcher) checked(r *result) {
	if d.epoch != r.epoch && d.epoch != "" {
		from := r.begins
		if d.epochs[r.epoch] || r.made.Before(d.made) { // it is not new, like that of a server that was away: all of it may have come before
			from = r.last
		}
		for _, f := range d.kept() {
			if f.begun.Load() && f.keep.epoch != r.epoch {
				d.renew(f, r.epoch, from)
			}
		}
	}
	d.epoch, d.made = r.epoch, r.made
	d.epochs[r.epoch] = true
	for _, f := range r.feeds {
		d.compare(f, r)
	}
	for f := range d.waiting {
		if k := f.keep; k.wait <= r.number {
			k.wait = 0
			delete(d.waiting, f)
			d.release(f, true)
		}
	}
	for _, done := range r.done {
		close(done)
	}
}

// renew begins a feed anew, behind a sequence of another epoch. What there is already, the comparison that follows finds.
func (d *dispatcher) renew(f *feed, epoch string, from uint64) {
	k := f.keep
	f.lose(errNewStream)
	more := k.more || len(k.held) > 0 // which may be from either stream
	d.forget(f)
	*k = keep{wait: k.wait, tail: k.tail, filling: k.filling, more: more, known: from}
	f.begin(epoch, behind(from))
}

// compare compares a feed with its last message in the stream.
func (d *dispatcher) compare(f *feed, r *result) {
	k, tail := f.keep, r.tails[f.source]
	if !f.begun.Load() {
		d.beginAt(f, r, tail)
	} else if k.epoch != r.epoch {
		return // it began in a later stream
	}
	if k.tail > r.number {
		return
	}
	k.tail = 0
	if k.filling {
		k.expect = max(k.expect, tail.seq)
		return
	}
	switch {
	case tail.seq > k.known:
		k.expect = max(k.expect, tail.seq)
		d.fill(f)
		return
	case tail.seq == 0 && (r.behind > k.known || r.behind > 0 && k.doubt): // that says nothing
		d.fill(f)
		return
	case k.doubt && tail.seq < max(k.last, 1) && !k.proves(r.limits, 0):
		k.last, k.known = 0, max(k.known, r.last)
		f.restart(errGone, behind(k.known))
	}
	k.doubt = false
	if r.last > k.known {
		k.known, k.time = r.last, max(k.time, r.time)
	}
	d.release(f, true)
}

// beginAt says where a new feed stands: at its last message, or, if there is none, at the end of the stream.
func (d *dispatcher) beginAt(f *feed, r *result, tail stored) {
	k := f.keep
	k.last, k.known, k.time = tail.seq, max(tail.seq, r.last), r.time
	offset := behind(r.last)
	if tail.seq > 0 {
		offset = offsetOf(tail.seq, tail.last)
		k.time = max(k.time, tail.time.UnixNano())
	}
	f.begin(r.epoch, offset)
}

// proves says that nothing of a feed behind known is gone from the stream, of which that has so many messages there, but not the last one.
// Limits drop the oldest messages first: those of the stream, or of a name that has as many as it may have. Only a look at the last message
// shows that somebody has removed what was published to one name.
func (k *keep) proves(l limits, count int) bool {
	switch {
	case l.first > k.known+1: // something behind known was dropped, of whatever name
		return false
	case !l.holes:
		return true
	case l.most > 0 && count >= l.most:
		return false
	}
	return k.last == 0 || k.last < k.known && l.first > k.last
}

package natsbroker

import (
	"errors"
	"time"
)

// maxFills is how many edges fetch at a time. The others wait.
const maxFills = 4

// maxTries is how often a feed is filled that does not get what it expects.
const maxTries = 10

// filled is what an edge has fetched for a feed.
type filled struct {
	feed  *feed
	epoch string
	begun uint64 // the sequence it begins at, or above
	page
	limits // afterwards
	err    error
}

// fill has an edge fetch what is behind the last message that is known. The feed waits for that.
func (d *dispatcher) fill(f *feed) {
	if f.keep.filling {
		f.keep.more = true
		return
	}
	f.keep.filling = true
	d.fills = append(d.fills, f)
	d.nextFill()
}

func (d *dispatcher) nextFill() {
	for d.running < maxFills && len(d.fills) > 0 {
		f := d.fills[0]
		d.fills = d.fills[1:]
		k := f.keep
		if f.over() {
			k.filling = false
			d.forget(f)
			continue
		}
		begin := k.last
		if begin == 0 {
			begin = k.known + 1
		}
		pause := time.Duration(k.tries) * lag
		r := &filled{feed: f, epoch: k.epoch, begun: begin}
		d.running++
		d.b.spawn(func() {
			if k := d.keeper; pause == 0 || k.b.pause(pause) {
				r.err = k.fetch(r)
			}
			d.b.queue.putDo(func() { d.filled(r) })
		})
	}
}

// fetch gets a page.
func (k *keeper) fetch(r *filled) error {
	s := k.awaitSession()
	if s == nil {
		return errInterrupted
	}
	ctx, cancel := k.request(k.b.life, s)
	defer cancel()
	var err error
	if r.page, err = k.page(ctx, s, r.feed.source, r.begun); err != nil {
		return unanswered(ctx, err)
	}
	// Afterwards: messages from another stream would be found out now, and what is still there was there before.
	info, err := k.info(ctx, s)
	if err != nil {
		return err
	}
	if epochOf(info) != r.epoch {
		return errNewStream
	}
	r.limits = limitsOf(info)
	return nil
}

// filled delivers what was fetched.
func (d *dispatcher) filled(r *filled) {
	d.running--
	f, k := r.feed, r.feed.keep
	k.filling = false
	switch {
	case f.over():
		d.forget(f)
	case k.epoch != r.epoch:
		k.more = true
		d.release(f, false)
	case r.err != nil:
		k.tail = d.keeper.ask(check{feeds: map[*feed]struct{}{f: {}}})
		if k.doubt = true; errors.Is(r.err, errStream) {
			d.b.events.put(event{eventStream, r.err})
		}
	default:
		d.spliced(f, r)
	}
	d.nextFill()
}

// spliced delivers a page, which is whole if it begins with the last message that is known, or nothing was dropped since.
func (d *dispatcher) spliced(f *feed, r *filled) {
	k, list := f.keep, r.list
	whole := k.last != 0 && r.whole
	for len(list) > 0 && list[0].seq <= k.known {
		list = list[1:]
	}
	if !whole && (r.cut || isReset(list) || !k.proves(r.limits, len(list)+int(r.pending))) { // #nosec G115 -- a count
		if k.last = 0; len(list) > 0 {
			k.known = list[0].seq - 1
			f.restart(errGone, before(list[0].seq))
		} else {
			k.known = max(k.known, k.expect) // it is gone
			f.restart(errGone, max(k.offset, behind(k.known)))
		}
	}
	for _, m := range list {
		d.take(f, m, m.time)
	}
	switch {
	case r.pending > 0 && len(r.list) > 0:
		d.fill(f)
		return
	case k.expect > k.known: // a replica that is behind, perhaps
		if k.tries++; k.tries < maxTries {
			d.fill(f)
			return
		}
		k.known = k.expect
		f.restart(errGone, behind(k.known))
	}
	k.expect = 0
	if k.tail == 0 && !k.more {
		k.doubt = false
	}
	d.release(f, false)
}

// isReset says that the first message is a Reset, before which everything was removed.
func isReset(list []stored) bool {
	if len(list) == 0 {
		return false
	}
	p, err := decodePack(list[0].data)
	return err == nil && p[0].Reset
}

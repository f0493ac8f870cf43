package natsbroker

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// check is a look at the stream: whether it is still the one it was, and, for some feeds or all, what the last message of each is. One runs
// at a time, in a goroutine of its own.
type check struct {
	all   bool               // for all feeds, with
	whole bool               // their last message, also if that is older than the last check
	feeds map[*feed]struct{} // for these
	doubt bool               // and whether the last message that came is still that of its number
	done  []chan<- struct{}  // closed when the dispatcher has dealt with the result
}

// result is what a check has found.
type result struct {
	number uint64 // it began after that many had been asked for
	epoch  string
	made   time.Time // when the stream was
	begins uint64    // the epoch does behind that sequence
	limits           // as of the end of the check
	last   uint64    // sequence of the last message of the stream, as of its beginning
	time   int64     // when that was stored
	feeds  []*feed
	behind uint64 // tails are of messages behind this sequence
	tails  map[string]stored
	done   []chan<- struct{}
}

// ask has a check done that begins from now on. It returns its number.
func (k *keeper) ask(c check) uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.want(c)
	k.number++
	return k.number
}

// want is called with mu held.
func (k *keeper) want(c check) {
	k.wanted.all = k.wanted.all || c.all
	k.wanted.whole = k.wanted.whole || c.whole
	k.wanted.doubt = k.wanted.doubt || c.doubt
	if k.wanted.feeds == nil {
		k.wanted.feeds = c.feeds
	} else {
		maps.Copy(k.wanted.feeds, c.feeds)
	}
	k.wanted.done = append(k.wanted.done, c.done...)
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

// checks is the goroutine that looks.
func (k *keeper) checks() {
	clock := time.NewTicker(k.slow)
	defer clock.Stop()
	failures := 0 // in a row
	var epoch string
	var seen uint64 // all feeds have been compared up to this sequence of the epoch
	for {
		select {
		case <-clock.C:
			k.ask(check{all: true})
		case <-k.b.stop:
			return
		case <-k.kick:
		}
		s := k.awaitSession()
		if s == nil {
			return
		}
		k.mu.Lock()
		c, number := k.wanted, k.number
		k.wanted = check{}
		k.mu.Unlock()
		r, err := k.look(s, c, epoch, seen)
		if err != nil {
			failures++
			k.failed(s, c, err, failures)
			continue
		}
		failures = 0
		if len(r.feeds) > 0 && (c.all || r.epoch != epoch) {
			seen = r.last
		}
		epoch, r.number, r.done = r.epoch, number, c.done
		k.pass(r)
	}
}

// awaitSession returns nil when the Broker is closed.
func (k *keeper) awaitSession() *session {
	for {
		s, changed := k.b.current()
		if s != nil {
			return s
		}
		select {
		case <-changed:
		case <-k.b.stop:
			return nil
		}
	}
}

// look does a check.
func (k *keeper) look(s *session, c check, epoch string, seen uint64) (*result, error) {
	ctx, cancel := k.request(k.b.life, s)
	defer cancel()
	if c.doubt {
		if _, err := k.compared(ctx, s); err != nil {
			return nil, err
		}
	}
	info, err := k.info(ctx, s)
	if err != nil {
		return nil, err
	}
	r := &result{epoch: epochOf(info), made: info.Created, begins: beginsOf(info), last: info.State.LastSeq, time: info.State.LastTime.UnixNano()}
	r.feeds = k.concerned(c, r.epoch != epoch)
	if r.epoch == epoch && c.all && !c.whole && len(c.feeds) == 0 {
		if r.behind = seen; r.last == seen {
			r.limits = limitsOf(info)
			return r, nil // nothing was published
		}
	}
	if len(r.feeds) > 0 {
		subjects := make([]string, len(r.feeds))
		for i, f := range r.feeds {
			subjects[i] = f.source
		}
		slices.Sort(subjects)
		if r.tails, err = k.tails(ctx, s, slices.Compact(subjects), r.behind, r.last); err != nil {
			return nil, unanswered(ctx, err)
		}
		if info, err = k.info(ctx, s); err != nil {
			return nil, err
		}
		if epochOf(info) != r.epoch {
			return nil, errNewStream
		}
	}
	r.limits = limitsOf(info)
	return r, nil
}

// concerned returns the feeds that a check is for. Those that the server may not know yet are left out.
func (k *keeper) concerned(c check, all bool) []*feed {
	if !c.all && !all {
		return slices.Collect(maps.Keys(c.feeds))
	}
	return k.b.feedsThat(func(f *feed) bool { return f.keep != nil && f.inForce.Load() })
}

// maxFailures is how many checks may fail in a row before the connection counts as down.
const maxFailures = 10

// failed has a check done again.
func (k *keeper) failed(s *session, c check, err error, times int) {
	switch {
	case s.ctx.Err() != nil || k.b.life.Err() != nil: // it could not succeed
	case errors.Is(err, errStream), times%maxFailures == 0:
		k.b.events.put(event{eventStream, err})
	case times == 1:
		k.b.log.Warn("natsbroker: cannot compare with the stream, and will try again", "error", err)
	}
	k.b.pause(streamRetry)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.want(c)
}

// pass puts a result behind what NATS has delivered before it.
func (k *keeper) pass(r *result) {
	k.mu.Lock()
	k.results = append(k.results, r)
	k.mu.Unlock()
	select {
	case k.b.in <- &nats.Msg{Subject: resultMark}:
	case <-k.b.stop:
	}
}

// resultMark is the subject of a mark for a result, which no message has.
const resultMark = " result"

// take returns the result of the next mark.
func (k *keeper) take() *result {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := k.results[0]
	k.results = k.results[1:]
	return r
}

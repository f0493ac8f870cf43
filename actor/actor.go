package actor

import (
	"context"
	"iter"
	"sync/atomic"
	"time"
)

// Restart budget: an actor that panics more than DefaultRestarts times within RestartWindow is given up.
const (
	DefaultRestarts = 10
	RestartWindow   = 10 * time.Second
)

// Options of an actor. The zero value works.
type Options struct {
	// Limit bounds the sum of the sizes given to Ref.Put. Zero: no bound.
	Limit int
	// Restarts is how many panics within RestartWindow the actor survives. Zero: DefaultRestarts. Negative: any number.
	Restarts int
	// Schedule has Run of the actor called once, later, in any goroutine. It must not block. It is called when there is mail for
	// an idle actor, by whoever sent it, and after each Run that has left mail, by the actor. Nil: the actor has a goroutine of
	// its own while there is mail.
	Schedule func(Runner)
	// OnPanic is called in the actor's goroutine for each recovered panic. It must not block. May be nil.
	OnPanic func(*PanicError)
	// OnStop is called in the actor's goroutine, once, after its last message: with nil after Stop, with the last
	// panic when the actor was given up. It must not block. May be nil.
	OnStop func(error)
}

// Runner is an actor that has to be run. Run must not block.
type Runner interface{ Run() }

// Stats of one actor, read without stopping it.
type Stats struct {
	Depth     int       // messages queued
	Received  uint64    // messages handed to the receive function
	Restarts  uint64    // panics survived
	CreatedAt time.Time // when it was spawned
}

// Ref is the handle through which others talk to an actor. It is safe for concurrent use.
type Ref[M any] struct {
	mailbox Mailbox[M]

	// Owned by the actor's goroutine.
	next  int
	batch []M
	mail  iter.Seq[M] // iterates over batch[next:]; made once

	// Written by the actor's goroutine alone, read by anyone.
	received atomic.Uint64
	restarts atomic.Uint64

	// Immutable.
	receive func(iter.Seq[M])
	opts    Options
	created int64 // Unix nanoseconds

	// For any goroutine: closed when the actor has ended; nil until a caller asks for it.
	done atomic.Pointer[chan struct{}]

	panics *[]time.Time // within RestartWindow; nil: there was none; owned by the actor's goroutine
}

// Spawn makes an actor. receive is called with mail, never by two goroutines at once; see the package documentation
// for what is expected of it. No goroutine runs until the first message comes.
func Spawn[M any](opts Options, receive func(mail iter.Seq[M])) *Ref[M] {
	r := &Ref[M]{receive: receive, opts: opts, created: time.Now().UnixNano()}
	r.mailbox.init(opts.Limit, r)
	r.mail = r.each
	return r
}

// Post sends a message. It never blocks. It reports false, and the message is lost, when the actor has stopped.
func (r *Ref[M]) Post(msg M) bool { return r.mailbox.Post(msg) }

// Claim takes hold of an idle actor: after true, the caller counts as its goroutine, and has to make sure that Run is
// called. It never blocks.
func (r *Ref[M]) Claim() bool { return r.mailbox.Claim() }

// Run is for the goroutine that has claimed the actor, or that Options.Schedule has chosen: it calls the receive function once,
// with the mail there is or with none. It never blocks. Mail that has come in the meantime is for a later Run.
func (r *Ref[M]) Run() {
	if r.mailbox.Len() > 0 { // else take would make it idle
		r.more()
	}
	if r.proceed() && r.more() {
		r.schedule()
	}
}

// Left is for the receive function: it returns how many messages it can get without waiting, those that came meanwhile aside.
func (r *Ref[M]) Left() int { return len(r.batch) - r.next }

// Next is for the receive function, which may use it instead of its mail: a loop over that allocates. It takes the next message, or
// reports false when there is none.
func (r *Ref[M]) Next() (msg M, ok bool) {
	if r.next == len(r.batch) {
		return msg, false
	}
	msg = r.batch[r.next]
	r.next++
	r.received.Add(1)
	return msg, true
}

// TryPut is Put without waiting: it reports false, and the message was not sent, when the mailbox is over its limit.
func (r *Ref[M]) TryPut(msg M, size int) (sent bool, err error) { return r.mailbox.TryPut(msg, size) }

// Put sends a message of the given size, blocking while the mailbox is over its limit. Only edges may call it.
// It returns ErrStopped, or the context's error; then the message was not sent.
func (r *Ref[M]) Put(ctx context.Context, msg M, size int) error {
	return r.mailbox.Put(ctx, msg, size)
}

// Stop lets no further message in. The actor handles those it already has and ends. It never blocks.
func (r *Ref[M]) Stop() { r.mailbox.Close() }

// StopIfIdle is Stop for the receive function, unless the actor has more messages. It reports whether the actor has stopped, so that
// no message is ever handled after it has decided to end. It never blocks.
func (r *Ref[M]) StopIfIdle() bool { return r.Left() == 0 && r.mailbox.CloseIfEmpty() }

// Done is closed when the actor has ended.
func (r *Ref[M]) Done() <-chan struct{} {
	if r.done.Load() == nil {
		done := make(chan struct{})
		r.done.CompareAndSwap(nil, &done)
	}
	return *r.done.Load()
}

// Stats returns the actor's statistics.
func (r *Ref[M]) Stats() Stats {
	return Stats{
		Depth:     r.mailbox.Len(),
		Received:  r.received.Load(),
		Restarts:  r.restarts.Load(),
		CreatedAt: time.Unix(0, r.created),
	}
}

// schedule gets the mailbox emptied.
func (r *Ref[M]) schedule() {
	if r.opts.Schedule != nil {
		r.opts.Schedule(r)
	} else {
		go r.loop()
	}
}

// loop is the actor's own goroutine: it runs until the mailbox is empty.
func (r *Ref[M]) loop() {
	for r.more() && r.proceed() {
	}
}

// more reports whether there is mail, and gets it. After false, nothing of r may be touched, see take.
func (r *Ref[M]) more() bool { return r.next < len(r.batch) || r.take() }

// take gets the next batch. It reports false when there is none; then the next post may have started another run
// already, so nothing of r may be touched.
func (r *Ref[M]) take() bool {
	spare := r.batch
	r.batch, r.next = nil, 0
	batch, open := r.mailbox.Receive(spare)
	if !open {
		r.end(nil)
	}
	if len(batch) == 0 {
		return false
	}
	r.batch = batch
	return true
}

// proceed calls the receive function. It reports false when that was the end.
func (r *Ref[M]) proceed() bool {
	if err := r.handle(); err != nil && r.exhausted() {
		r.giveUp(err)
		return false
	}
	return true
}

// handle calls receive with what is left of the batch, and returns the panic if there was one.
func (r *Ref[M]) handle() *PanicError {
	err := Recovered(func() { r.receive(r.mail) })
	if err != nil {
		r.failRequest()
		if r.opts.OnPanic != nil {
			r.opts.OnPanic(err)
		}
	}
	return err
}

// each yields the rest of the batch. A message counts as consumed before it is yielded, so that a panic loses that
// message and no other.
func (r *Ref[M]) each(yield func(M) bool) {
	for msg, ok := r.Next(); ok && yield(msg); msg, ok = r.Next() {
	}
}

// failRequest answers the caller of the message whose handling panicked, so that it does not wait for ever.
func (r *Ref[M]) failRequest() {
	if r.next == 0 {
		return
	}
	if req, ok := any(r.batch[r.next-1]).(failer); ok {
		req.Fail(ErrPanicked)
	}
}

// exhausted counts a panic against the restart budget.
func (r *Ref[M]) exhausted() bool {
	budget := r.opts.Restarts
	if budget == 0 {
		budget = DefaultRestarts
	}
	if budget < 0 {
		r.restarts.Add(1)
		return false
	}
	if r.panics == nil {
		r.panics = new([]time.Time)
	}
	now, panics := time.Now(), *r.panics
	for len(panics) > 0 && now.Sub(panics[0]) > RestartWindow {
		panics = panics[1:]
	}
	if len(panics) >= budget {
		return true
	}
	*r.panics = append(panics, now)
	r.restarts.Add(1)
	return false
}

// giveUp stops the actor and discards its mail.
func (r *Ref[M]) giveUp(err error) {
	r.mailbox.Close()
	for open := true; open; {
		for _, msg := range r.batch[r.next:] {
			if d, ok := any(msg).(discarder); ok {
				d.Discard()
			}
		}
		r.next = 0
		r.batch, open = r.mailbox.Receive(nil)
	}
	r.batch = nil
	r.end(err)
}

// discarder is a message that has to hear of it when the actor is given up before it is handled. Discard is called in the actor's
// goroutine. It must not block.
type discarder interface{ Discard() }

// ended is the Done of actors that ended before anybody asked.
var ended = func() chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}()

func (r *Ref[M]) end(err error) {
	defer func() {
		if !r.done.CompareAndSwap(nil, &ended) {
			close(*r.done.Load())
		}
	}()
	if r.opts.OnStop != nil {
		r.opts.OnStop(err)
	}
}

package actor

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// ErrStopped says that a mailbox is closed: its owner has stopped, or is about to.
var ErrStopped = errors.New("actor: stopped")

// keptCapacity is how many message slots an empty mailbox holds on to, so that a trickle of messages does not allocate
// while a burst does not stay in memory.
const keptCapacity = 8

// Mailbox is a first-in first-out queue with many senders and one owner.
//
// Post never blocks and the queue has no end, because a sender that waited could deadlock with the owner. A limit
// slows down only those who can afford to wait: the callers of Put.
type Mailbox[M any] struct {
	// Immutable.
	owner owner
	bound *bound[M] // nil: there is none

	idle atomic.Bool // the owner found the queue empty and comes back only when woken; written with mu held

	mu     sync.Mutex // guards everything below, and what bound points to
	closed bool       // Invariant: no message is added once set
	queue  []M
}

// owner is who empties a mailbox.
type owner interface {
	// schedule is called, in the sender's goroutine and with no lock held, whenever a message (or Close) comes to a mailbox whose owner
	// found it empty. It must not block and has to see to it that the owner calls Receive again.
	schedule()
}

// bound is what a mailbox with a limit has beside its queue. Most have none.
type bound[M any] struct {
	limit   int
	size    int          // sum of the sizes of the queued messages
	waiting []*waiter[M] // callers of Put, in order of arrival; Invariant: empty unless the queue is not
}

// waiter is one blocked Put.
type waiter[M any] struct {
	msg      M
	size     int
	admitted chan error // buffered, one value: nil once the message is queued, or ErrStopped
}

// init makes an empty mailbox whose owner is idle. limit bounds the sum of the sizes given to Put; zero means no bound.
func (b *Mailbox[M]) init(limit int, owner owner) {
	b.owner = owner
	if limit > 0 {
		b.bound = &bound[M]{limit: limit}
	}
	b.idle.Store(true)
}

// Post adds a message. It never blocks, whatever the limit.
// It reports false, and the message is lost, when the mailbox is closed.
func (b *Mailbox[M]) Post(msg M) bool {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return false
	}
	b.queue = append(b.queue, msg)
	b.unlockAndWake()
	return true
}

// Claim makes an idle owner count as woken, without a message. It reports false when it was not idle, or the mailbox is
// closed. After true, the caller has to see to it that the owner calls Receive.
func (b *Mailbox[M]) Claim() bool {
	if !b.idle.Load() { // many may ask a busy one, and need not wait for each other
		return false
	}
	b.mu.Lock()
	claimed := b.idle.Load() && !b.closed
	if claimed {
		b.idle.Store(false)
	}
	b.mu.Unlock()
	return claimed
}

// TryPut is Put without waiting: it reports false, and the message is not queued, when there is no room.
// The error is nil or ErrStopped.
func (b *Mailbox[M]) TryPut(msg M, size int) (queued bool, err error) {
	b.mu.Lock()
	switch {
	case b.closed:
		err = ErrStopped
	case b.hasRoom(size):
		b.add(msg, size)
		return true, nil
	}
	b.mu.Unlock()
	return false, err
}

// add queues a message. Called with mu held, which it releases.
func (b *Mailbox[M]) add(msg M, size int) {
	b.queue = append(b.queue, msg)
	if b.bound != nil {
		b.bound.size += size
	}
	b.unlockAndWake()
}

// Put adds a message of the given size (in the unit of the limit). It blocks while the queue has no room for it;
// a message larger than the whole limit gets in once the queue is empty. Waiting callers are let in in order of arrival.
//
// It returns nil when the message is queued, ErrStopped when the mailbox is closed, and the context's error when the
// context ends first; then the message was not queued.
func (b *Mailbox[M]) Put(ctx context.Context, msg M, size int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrStopped
	}
	if b.hasRoom(size) {
		b.add(msg, size)
		return nil
	}
	w := &waiter[M]{msg: msg, size: size, admitted: make(chan error, 1)}
	b.bound.waiting = append(b.bound.waiting, w)
	b.mu.Unlock()

	select {
	case err := <-w.admitted:
		return err
	case <-ctx.Done():
	}
	b.mu.Lock()
	i := slices.Index(b.bound.waiting, w)
	if i >= 0 {
		b.bound.waiting = slices.Delete(b.bound.waiting, i, i+1)
	}
	b.mu.Unlock()
	if i < 0 { // let in, or refused, in the meantime
		return <-w.admitted
	}
	return ctx.Err()
}

// Receive takes everything that is queued, oldest first. It never blocks: when nothing is queued the batch is empty
// and the owner counts as idle until it is woken. open is false once the mailbox is closed and empty.
//
// reuse becomes the storage of the next queue. Passing the previous batch, which must not be used any more, saves
// an allocation; nil is fine.
func (b *Mailbox[M]) Receive(reuse []M) (batch []M, open bool) {
	clear(reuse)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		b.idle.Store(true)
		if cap(b.queue) > keptCapacity {
			b.queue = nil
		}
		if cap(b.queue) == 0 && cap(reuse) <= keptCapacity {
			b.queue = reuse[:0]
		}
		return nil, !b.closed
	}
	batch, b.queue = b.queue, reuse[:0]
	if b.bound != nil {
		b.bound.size = 0
		b.admit()
	}
	return batch, true
}

// Close lets no further message in and refuses the callers that wait in Put. Queued messages stay for the owner, which
// is woken. It never blocks and may be called more than once.
func (b *Mailbox[M]) Close() {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	b.closed = true
	if b.bound != nil {
		for _, w := range b.bound.waiting {
			w.admitted <- ErrStopped
		}
		b.bound.waiting = nil
	}
	b.unlockAndWake()
}

// CloseIfEmpty is Close for the owner, unless messages are queued: then it reports false. It never blocks.
func (b *Mailbox[M]) CloseIfEmpty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		b.closed = true
	}
	return b.closed
}

// Len returns how many messages are queued.
func (b *Mailbox[M]) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue)
}

// hasRoom reports whether a message of the given size may be queued now, before which nobody waits. Called with mu held.
func (b *Mailbox[M]) hasRoom(size int) bool {
	return b.bound == nil || len(b.bound.waiting) == 0 && b.bound.fits(size)
}

// admit moves waiting messages into the queue while they fit. Called with mu held, of a mailbox with a limit.
func (b *Mailbox[M]) admit() {
	n := 0
	for _, w := range b.bound.waiting {
		if !b.bound.fits(w.size) {
			break
		}
		b.queue = append(b.queue, w.msg)
		b.bound.size += w.size
		w.admitted <- nil
		n++
	}
	b.bound.waiting = slices.Delete(b.bound.waiting, 0, n)
}

// fits reports whether a message of the given size fits behind those that are queued.
func (b *bound[M]) fits(size int) bool { return b.size == 0 || b.size+size <= b.limit }

// unlockAndWake releases mu and wakes an idle owner.
func (b *Mailbox[M]) unlockAndWake() {
	wake := b.idle.Load()
	if wake {
		b.idle.Store(false)
	}
	b.mu.Unlock()
	if wake {
		b.owner.schedule()
	}
}

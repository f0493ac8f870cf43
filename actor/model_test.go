package actor_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

// TestMailboxBehavesLikeItsModel compares a Mailbox with plain slices, over random sequences of operations.
func TestMailboxBehavesLikeItsModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbled{t}, func(rt *rapid.T) {
			m := &mailboxModel{limit: rapid.IntRange(0, 10).Draw(rt, "limit"), idle: true}
			m.real = actor.NewMailbox[int](m.limit, func() { m.realWakes++ })
			defer m.release()
			rt.Repeat(rapid.StateMachineActions(m))
		})
	})
}

// bubbled hides the deadline of a test, which must not be asked for inside a bubble.
type bubbled struct{ *testing.T }

// mailboxModel is a mailbox that is easy to understand, beside the real one.
type mailboxModel struct {
	real      *actor.Mailbox[int]
	realWakes int
	batch     []int // given back to the real one

	limit   int
	queue   []modelMail
	waiting []*modelPut
	idle    bool
	closed  bool
	wakes   int
	next    int // number of the next message
}

type modelMail struct{ n, size int }

// modelPut is a Put that waits, in the model's opinion.
type modelPut struct {
	modelMail
	cancel context.CancelFunc
	result <-chan error
}

// release ends what waits, so that a failed run leaves nothing behind.
func (m *mailboxModel) release() {
	m.real.Close()
	for _, p := range m.waiting {
		p.cancel()
	}
	pass(10 * time.Millisecond) // and lets the time limit for the search of a smaller failure run down
}

func (m *mailboxModel) message(size int) modelMail {
	m.next++
	return modelMail{m.next, size}
}

func (m *mailboxModel) fits(size int) bool {
	queued := 0
	for _, mail := range m.queue {
		queued += mail.size
	}
	return m.limit == 0 || queued == 0 || queued+size <= m.limit
}

func (m *mailboxModel) wake() {
	if m.idle {
		m.idle = false
		m.wakes++
	}
}

func (m *mailboxModel) Post(rt *rapid.T) {
	mail := m.message(0)
	if got := m.real.Post(mail.n); got == m.closed {
		rt.Fatalf("Post returned %t, closed is %t", got, m.closed)
	}
	if !m.closed {
		m.queue = append(m.queue, mail)
		m.wake()
	}
}

func (m *mailboxModel) Put(rt *rapid.T) {
	mail := m.message(rapid.IntRange(0, 12).Draw(rt, "size"))
	ctx, cancel := context.WithCancel(context.Background())
	p := &modelPut{mail, cancel, background(func() error { return m.real.Put(ctx, mail.n, mail.size) })}
	switch {
	case m.closed:
		p.want(rt, actor.ErrStopped)
	case len(m.waiting) == 0 && m.fits(mail.size):
		m.queue = append(m.queue, mail)
		m.wake()
		p.want(rt, nil)
	default:
		m.waiting = append(m.waiting, p)
	}
}

// PutAnother makes Put frequent enough for several to wait at once.
func (m *mailboxModel) PutAnother(rt *rapid.T) { m.Put(rt) }

// want checks that the Put has returned, and with what.
func (p *modelPut) want(rt *rapid.T, want error) {
	synctest.Wait()
	p.cancel()
	select {
	case err := <-p.result:
		if !errors.Is(err, want) {
			rt.Fatalf("Put of %+v returned %v, want %v", p.modelMail, err, want)
		}
	default:
		rt.Fatalf("Put of %+v still waits, want it to return %v", p.modelMail, want)
	}
}

func (m *mailboxModel) PutWithAnEndedContext(rt *rapid.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.real.Put(ctx, m.message(1).n, 1); !errors.Is(err, context.Canceled) {
		rt.Fatalf("Put with an ended context returned %v", err)
	}
}

func (m *mailboxModel) GiveUpWaiting(rt *rapid.T) {
	if len(m.waiting) == 0 {
		rt.Skip("nobody waits")
	}
	i := rapid.IntRange(0, len(m.waiting)-1).Draw(rt, "who")
	p := m.waiting[i]
	m.waiting = slices.Delete(m.waiting, i, i+1)
	p.cancel()
	p.want(rt, context.Canceled)
}

func (m *mailboxModel) Receive(rt *rapid.T) {
	var want []int
	for _, mail := range m.queue {
		want = append(want, mail.n)
	}
	if !rapid.Bool().Draw(rt, "reuse") {
		m.batch = nil
	}
	var open bool
	m.batch, open = m.real.Receive(m.batch)
	if !slices.Equal(m.batch, want) || open != (len(want) > 0 || !m.closed) {
		rt.Fatalf("Receive returned %v, %t, want %v; closed is %t", m.batch, open, want, m.closed)
	}
	m.queue = nil
	m.idle = len(want) == 0
	for len(m.waiting) > 0 && m.fits(m.waiting[0].size) {
		p := m.waiting[0]
		m.queue, m.waiting = append(m.queue, p.modelMail), m.waiting[1:]
		p.want(rt, nil)
	}
}

func (m *mailboxModel) Close(rt *rapid.T) {
	if rapid.IntRange(0, 3).Draw(rt, "rarely") != 0 {
		rt.Skip("most of the time it stays open")
	}
	m.real.Close()
	if m.closed {
		return
	}
	m.closed = true
	m.wake()
	for _, p := range m.waiting {
		p.want(rt, actor.ErrStopped)
	}
	m.waiting = nil
}

// Check holds after every operation.
func (m *mailboxModel) Check(rt *rapid.T) {
	synctest.Wait()
	if got := m.real.Len(); got != len(m.queue) {
		rt.Fatalf("Len is %d, want %d", got, len(m.queue))
	}
	if m.realWakes != m.wakes {
		rt.Fatalf("woken %d times, want %d", m.realWakes, m.wakes)
	}
	for _, p := range m.waiting {
		if len(p.result) != 0 {
			rt.Fatalf("Put of %+v returned %v, want it to wait", p.modelMail, <-p.result)
		}
	}
	if len(m.waiting) > 0 && len(m.queue) == 0 {
		rt.Fatalf("%d wait although nothing is queued", len(m.waiting))
	}
}

package natsbroker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// flushTimeout is how long an answer of the server's may take. A connection that stalls is found out earlier, by the pings of NATS,
	// unless their interval is longer.
	flushTimeout = 10 * time.Second
	// corePause is how long after an answer the server is asked again how much it has, in Core mode. It bounds what is in doubt.
	corePause = 20 * time.Millisecond
)

// session is a network connection on which all subscriptions were in force.
type session struct {
	conn  *nats.Conn
	watch *watch
	id    uint64          // of the network connection
	ctx   context.Context // ends with the network connection
	js    jetstream.JetStream
	gone  chan struct{} // closed by the link when it is over
	kick  chan struct{} // wakes confirm

	begun  atomic.Int64 // publications that publishers have begun with, and not failed
	handed atomic.Int64 // that the connection has taken
	acked  atomic.Int64 // that the server has

	mu   sync.Mutex
	next *batch // of publications to be confirmed
	over bool
}

// batch is what one answer of the server's confirms.
type batch struct {
	done   chan struct{}
	err    error
	denied error // a publication was not permitted; nil: none
}

func newSession(conn *nats.Conn, w *watch, id uint64) *session {
	js, _ := jetstream.New(conn) // its errors are those of options, of which there are none
	return &session{conn: conn, watch: w, id: id, ctx: w.context(id), js: js, gone: make(chan struct{}), kick: make(chan struct{}, 1)}
}

// alive reports whether the network connection is still there. If so, none has come after it.
func (s *session) alive() bool { return s.watch.alive.Load() == s.id }

// limit returns a context that ends with the parent, the network connection, and after d. NATS does not end a request when its connection
// breaks.
func (s *session) limit(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(parent, d)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

func (s *session) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// flush returns nil when the server has all that was handed to the connection before. It is an error if that was another network
// connection.
func (s *session) flush(ctx context.Context) error {
	if !s.alive() {
		return ErrUnconfirmed
	}
	limited, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	err := s.conn.FlushWithContext(limited)
	switch {
	case ctx.Err() != nil && err != nil:
		return ctx.Err()
	case limited.Err() != nil && err != nil:
		s.watch.end(s.id, errors.New("natsbroker: the server did not answer"))
		return ErrUnconfirmed
	case err != nil || !s.alive():
		return ErrUnconfirmed
	}
	return nil
}

// confirmed waits for the server to have what was published before.
func (s *session) confirmed(ctx context.Context, subject string) error {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return ErrUnconfirmed
	}
	if s.next == nil {
		s.next = &batch{done: make(chan struct{})}
	}
	mine := s.next
	s.mu.Unlock()
	s.wake()
	select {
	case <-mine.done:
		if mine.denied != nil && concerns(mine.denied, subject) {
			return mine.denied
		}
		return mine.err
	case <-s.gone: // sooner than NATS notices, which may be connecting
		return ErrUnconfirmed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// concerns reports whether the server has said this of the subject.
func concerns(err error, subject string) bool {
	return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), `"`+subject+`"`)
}

// confirm asks the server again and again whether it has what was published. While one answer is awaited, those who publish gather for
// the next.
func (s *session) confirm(stop <-chan struct{}, pause time.Duration) {
	defer s.finish()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // a flush ends with the session
		select {
		case <-s.gone:
		case <-stop:
		case <-ctx.Done():
		}
		cancel()
	}()
	seen := s.conn.LastError()
	for s.alive() && s.awaitWork(ctx, pause) {
		s.mu.Lock()
		b := s.next
		s.next = nil
		s.mu.Unlock()
		handed := s.handed.Load()
		err := s.flush(ctx)
		if err == nil {
			s.acked.Store(handed)
		} else {
			err = ErrUnconfirmed // and not that this context has ended, which is not the publisher's
		}
		last := s.conn.LastError()
		if b != nil {
			if b.err = err; last != seen && errors.Is(last, nats.ErrPermissionViolation) {
				b.denied = last
			}
			close(b.done)
		}
		seen = last
		if err != nil {
			return
		}
	}
}

// awaitWork waits for something to confirm, and before for the pause. It returns false when ctx has ended.
func (s *session) awaitWork(ctx context.Context, pause time.Duration) bool {
	if pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
	}
	select {
	case <-s.kick:
		return true
	case <-ctx.Done():
		return false
	}
}

// finish fails those who still wait, and those to come.
func (s *session) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if s.next != nil {
		s.next.err = ErrUnconfirmed
		close(s.next.done)
		s.next = nil
	}
}

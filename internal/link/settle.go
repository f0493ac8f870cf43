package link

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// settlement is a word of the talk that an instance says to itself. When it comes back, so has, as a rule, what was published before.
type settlement struct {
	word string
	back chan struct{} // closed when it has come back
}

const (
	// settle is what such words begin with.
	settle = "\x00settle"
	// settleWithin is how long Settle waits at most.
	settleWithin = time.Second
)

// Settle waits until what was published before has come back to the topics, as far as brokers that keep the order of one connection go; for
// a second at most, and not without a connection. Only one edge may call it, once.
func (l *Link) Settle(ctx context.Context) {
	lost := l.Connection()
	if lost == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	s := &settlement{settle + rand.Text(), make(chan struct{})}
	l.settling.Store(s)
	if _, err := l.publish(ctx, Talk, broker.Publication{Data: s.word}); err != nil {
		return
	}
	select {
	case <-s.back:
	case <-lost:
	case <-ctx.Done():
	}
}

// settles reports whether what was heard is a word of some instance to itself. It runs in a goroutine of the broker's.
func (l *Link) settles(data string) bool {
	if !strings.HasPrefix(data, settle) {
		return false
	}
	if s := l.settling.Load(); s != nil && s.word == data && l.settling.CompareAndSwap(s, nil) {
		close(s.back)
	}
	return true
}

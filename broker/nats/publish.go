package natsbroker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// ErrUnconfirmed says that the connection broke before the server said that it has the publication. It may have it or not.
var ErrUnconfirmed = errors.New("natsbroker: the connection broke before the server confirmed the publication")

// Publish implements broker.Broker. What nil means depends on the Mode. While the connection stalls, it may wait for as long as a write
// may take, 2 seconds by default, and somewhat longer than its context.
func (b *Broker) Publish(ctx context.Context, name string, p broker.Publication) (broker.Receipt, error) {
	prefix, keep := b.prefix, b.keeper != nil && p.Keep
	if keep {
		prefix = b.keeper.from
	}
	subject, err := subject(prefix, name)
	if err != nil {
		return broker.Receipt{}, err
	}
	if err := ctx.Err(); err != nil {
		return broker.Receipt{}, err
	}
	if b.closing.Load() {
		return broker.Receipt{}, broker.ErrClosed
	}
	b.publishing.RLock()
	defer b.publishing.RUnlock()
	if b.isClosed {
		return broker.Receipt{}, broker.ErrClosed
	}
	s := b.session.Load()
	if s == nil {
		return broker.Receipt{}, b.down()
	}
	if keep {
		return b.keeper.publish(ctx, s, subject, name, p)
	}
	return broker.Receipt{}, b.send(ctx, s, subject, p)
}

// send publishes what is not kept.
func (b *Broker) send(ctx context.Context, s *session, subject string, p broker.Publication) error {
	payload := encode(p)
	if b.keeper != nil {
		if err := b.keeper.fits(s, payload); err != nil {
			return err
		}
	}
	if err := s.publish(subject, payload); err != nil {
		return err
	}
	if b.options.Mode == Core {
		s.wake()
		return nil
	}
	return s.confirmed(ctx, subject)
}

// down says why there is no session.
func (b *Broker) down() error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if !b.opened {
		return broker.ErrClosed
	}
	return broker.ErrDown
}

// publish hands a publication to the connection.
func (s *session) publish(subject string, data []byte) error {
	// Counted before the connection is looked at: either Down counts it, or the connection's end is seen here.
	s.begun.Add(1)
	err := broker.ErrDown
	if s.alive() {
		err = s.conn.Publish(subject, data)
	}
	if err == nil {
		s.handed.Add(1)
		return nil
	}
	s.begun.Add(-1)
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %d bytes, and the server takes %d", broker.ErrTooBig, len(data), s.conn.MaxPayload())
	case errors.Is(err, broker.ErrDown), errors.Is(err, nats.ErrReconnectBufExceeded),
		errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return broker.ErrDown
	}
	return fmt.Errorf("%w: %w", ErrUnconfirmed, err) // a write failed half way
}

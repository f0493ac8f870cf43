package natsbroker

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// keptHead is how much of what a server takes is left for the headers of a message that is kept.
const keptHead = 128

// lane stores what is published to a subject, one message after the other: that keeps the order, whatever has to be tried again. What comes
// meanwhile is packed into the next message. A lane with nothing to do ends. Guarded by keeper.mu.
type lane struct {
	subject string
	name    string
	waiting []*posting
	deny    context.CancelCauseFunc // ends the attempt
}

// posting is a publication in a lane.
type posting struct {
	payload []byte
	key     string
	reset   bool
	done    chan struct{}
	receipt broker.Receipt
	err     error
	left    atomic.Bool // its publisher waits no more
}

// alone says that it is not packed with others: its id is that of its key, or what was before it is removed.
func (p *posting) alone() bool { return p.key != "" || p.reset }

// publish stores a publication.
func (k *keeper) publish(ctx context.Context, s *session, subject, name string, p broker.Publication) (broker.Receipt, error) {
	one := &posting{payload: encode(p), key: p.Key, reset: p.Reset, done: make(chan struct{})}
	if err := k.fits(s, one.payload); err != nil {
		return broker.Receipt{}, err
	}
	k.post(subject, name, one)
	select {
	case <-one.done:
		return one.receipt, one.err
	case <-ctx.Done():
		one.left.Store(true)
		return broker.Receipt{}, ctx.Err()
	}
}

// fits says what is wrong with the size of a payload. What is not kept has the same limit.
func (k *keeper) fits(s *session, payload []byte) error {
	if most := int(s.conn.MaxPayload()) - keptHead; len(payload) > most {
		return fmt.Errorf("%w: %d bytes, and at most %d are permitted", broker.ErrTooBig, len(payload), most)
	}
	return nil
}

func (k *keeper) post(subject, name string, one *posting) {
	k.mu.Lock()
	l := k.lanes[subject]
	is := l != nil
	if !is {
		l = &lane{subject: subject, name: name}
		k.lanes[subject] = l
	}
	l.waiting = append(l.waiting, one)
	k.mu.Unlock()
	if !is {
		k.b.spawn(func() { k.run(l) })
	}
}

// run is the goroutine of a lane.
func (k *keeper) run(l *lane) {
	for {
		pack := k.next(l)
		if pack == nil {
			return
		}
		receipt, err := k.store(l, pack)
		for i, p := range pack {
			if p.err = err; err == nil {
				p.receipt = receipt
				p.receipt.Offset += uint64(i)
			}
			close(p.done)
		}
	}
}

// next returns what is stored as one message, or nil, and then the lane has ended.
func (k *keeper) next(l *lane) []*posting {
	k.mu.Lock()
	defer k.mu.Unlock()
	l.waiting = slices.DeleteFunc(l.waiting, func(p *posting) bool { return p.left.Load() })
	if len(l.waiting) == 0 {
		delete(k.lanes, l.subject)
		return nil
	}
	n, size, most := 1, len(l.waiting[0].payload), maxPackBytes
	if s := k.b.session.Load(); s != nil {
		most = min(most, int(s.conn.MaxPayload()/2)-keptHead)
	}
	if !l.waiting[0].alone() {
		for n < len(l.waiting) && n < maxPack && !l.waiting[n].alone() && size+len(l.waiting[n].payload)+packHead(n+1) <= most {
			size += len(l.waiting[n].payload)
			n++
		}
	}
	pack := slices.Clone(l.waiting[:n])
	l.waiting = slices.Delete(l.waiting, 0, n)
	return pack
}

// idOf is by what the stream finds a repetition. Of a key, it is the same at all instances.
func idOf(name, key string) string {
	if key == "" {
		return nuid.Next()
	}
	h := sha256.New()
	h.Write(binary.AppendUvarint(nil, uint64(len(name))))
	h.Write([]byte(name))
	h.Write([]byte(key))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// store returns the receipt of the first publication of a pack.
func (k *keeper) store(l *lane, pack []*posting) (broker.Receipt, error) {
	payloads := make([][]byte, len(pack))
	for i, p := range pack {
		payloads[i] = p.payload
	}
	data, id := encodePack(payloads), idOf(l.name, pack[0].key)
	end := time.Now().Add(k.b.options.Stream.Duplicates / 2)
	sent := "" // the epoch in which it may have been stored; "": it was not
	for {
		s := k.sessionUntil(end, sent == "", pack)
		if s == nil || sent != "" && k.current() != sent { // another stream does not know of repetitions
			return broker.Receipt{}, unstored(sent)
		}
		now := k.current()
		receipt, err := k.attempt(s, l, data, id)
		switch {
		case err == nil:
			if receipt.Duplicate = receipt.Duplicate && sent == ""; pack[0].reset {
				k.purge(l.subject, receipt.Offset>>offsetBits)
			}
			return receipt, nil
		case errors.Is(err, errRefused):
			if sent != "" { // an earlier attempt may have been taken
				err = fmt.Errorf("%w: %w", ErrUnconfirmed, err)
			}
			return broker.Receipt{}, err
		case !errors.Is(err, errUnsent) && sent == "":
			sent = now
		}
		if s.alive() {
			k.b.pause(lag)
		}
	}
}

// unstored is why a pack is given up.
func unstored(sent string) error {
	if sent == "" {
		return broker.ErrDown
	}
	return ErrUnconfirmed
}

// current returns the epoch.
func (k *keeper) current() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.epoch
}

// sessionUntil waits for a session, unless nothing was sent yet. It returns nil when an attempt makes no sense any more.
func (k *keeper) sessionUntil(end time.Time, unsent bool, pack []*posting) *session {
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	for {
		s, changed := k.b.current()
		waited := slices.ContainsFunc(pack, func(p *posting) bool { return !p.left.Load() })
		switch {
		case !waited, time.Now().After(end), k.b.stopped():
			return nil
		case s != nil && s.alive():
			return s
		case unsent:
			return nil
		case s != nil:
			changed = s.gone
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil
		case <-k.b.leaving:
			return nil
		case <-k.b.stop:
			return nil
		}
	}
}

// errUnsent says that an attempt has not stored anything.
var errUnsent = errors.New("natsbroker: not stored")

// errRefused is that of a message that the stream does not take.
var errRefused = errors.New("natsbroker: refused")

// attempt sends a message to the stream, and waits for its answer.
func (k *keeper) attempt(s *session, l *lane, data []byte, id string) (broker.Receipt, error) {
	k.mu.Lock()
	limited, cancel := s.limit(k.b.life, apiTimeout)
	defer cancel()
	ctx, deny := context.WithCancelCause(limited)
	defer deny(nil)
	l.deny = deny
	epoch := k.epoch
	high := k.sightings[epoch].high
	k.mu.Unlock()
	m := &nats.Msg{Subject: l.subject, Data: data}
	ack, err := s.js.PublishMsg(ctx, m, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
	if err != nil {
		return broker.Receipt{}, k.notStored(ctx, s, err)
	}
	if ack.Stream != k.name {
		return broker.Receipt{}, fmt.Errorf("%w: the stream %s has the subject %s", errRefused, ack.Stream, l.subject)
	}
	if !k.isOf(epoch, high, ack) {
		return broker.Receipt{}, k.check(ctx, ErrUnconfirmed)
	}
	return broker.Receipt{Epoch: epoch, Offset: offsetOf(ack.Sequence, 0), Duplicate: ack.Duplicate}, nil
}

// isOf reports whether an answer is of the stream of that epoch, as far as is known. high is a sequence that it had before.
func (k *keeper) isOf(epoch string, high uint64, ack *jetstream.PubAck) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if epoch == "" || k.epoch != epoch || ack.Sequence <= high && !ack.Duplicate {
		return false
	}
	k.seen(epoch, sighting{high: ack.Sequence})
	return true
}

// inProcess is what a stream with replicas answers to a repetition while what it repeats is being stored.
const inProcess jetstream.ErrorCode = 10158

// notStored looks into the error of an attempt, and waits until another one makes sense.
func (k *keeper) notStored(ctx context.Context, s *session, err error) error {
	var refused *jetstream.APIError
	var denied deniedError
	switch {
	case errors.As(context.Cause(ctx), &denied):
		return fmt.Errorf("%w: %w", errRefused, denied.error)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w: %w", errRefused, broker.ErrTooBig, err)
	case errors.As(err, &refused) && refused.ErrorCode == inProcess:
		return errUnsent
	case errors.As(err, &refused):
		return fmt.Errorf("%w by the stream: %w", errRefused, err)
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return k.check(ctx, errUnsent)
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		<-ctx.Done() // NATS knows before the session does
		return errUnsent
	}
	return err
}

// check looks at the stream, and makes it if it is not there. It returns err.
func (k *keeper) check(ctx context.Context, err error) error {
	done := make(chan struct{})
	k.ask(check{doubt: true, done: []chan<- struct{}{done}})
	select {
	case <-done:
	case <-ctx.Done():
	}
	return err
}

// deniedError is what the server has said against an attempt, or a request.
type deniedError struct{ error }

// denied ends the attempt that an error of NATS concerns, or all requests, because none will have an answer. answers is what the subjects of answers
// begin with.
func (k *keeper) denied(err error, answers string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, what := range []string{"STREAM.INFO.", "STREAM.CREATE.", "STREAM.UPDATE.", "DIRECT.GET."} {
		if concerns(err, k.api+what+k.name) {
			k.denyAll(err)
		}
	}
	if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), `Subscription to "`+answers) {
		k.unheard = err
		k.denyAll(err)
	}
	for _, l := range k.lanes {
		if l.deny != nil && concerns(err, l.subject) {
			l.deny(deniedError{err})
		}
	}
}

// heard returns why no answers are heard on this network connection, once.
func (k *keeper) heard() (err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	err, k.unheard = k.unheard, nil
	return err
}

func (k *keeper) denyAll(err error) {
	for _, deny := range k.requests {
		deny(deniedError{err})
	}
}

// purge removes what was published to a subject before a sequence.
func (k *keeper) purge(subject string, seq uint64) {
	k.b.spawn(func() {
		for range 3 {
			s := k.b.session.Load()
			if s == nil {
				return
			}
			ctx, cancel := s.limit(k.b.life, apiTimeout)
			stream, err := s.js.Stream(ctx, k.name)
			if err == nil {
				err = stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(seq))
			}
			cancel()
			if err == nil || !k.b.pause(streamRetry) {
				return
			}
		}
	})
}

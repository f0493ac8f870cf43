package actor

import (
	"context"
	"errors"
)

// ErrPanicked is the answer to a request whose handling panicked.
var ErrPanicked = errors.New("actor: panicked while handling the request")

// Request is embedded in a message that wants an answer of type R. The actor answers it with Reply or Fail; a second
// answer is dropped.
//
// Invariant: it is embedded, never a named field, and nothing beside it has a method Fail. That is how an actor whose
// handler panicked finds the request to fail.
type Request[R any] struct{ answer chan<- result[R] }

type result[R any] struct {
	value R
	err   error
}

// failer is what every message with a Request in it implements.
type failer interface{ Fail(error) }

// Awaited reports whether a caller waits for the answer. No caller waits for the answer to the zero Request.
func (q Request[R]) Awaited() bool { return q.answer != nil }

// Reply answers the request. It never blocks.
func (q Request[R]) Reply(value R) { q.send(result[R]{value: value}) }

// Fail answers the request with an error. It never blocks.
func (q Request[R]) Fail(err error) { q.send(result[R]{err: err}) }

// send drops a second answer: a handler may reply and panic afterwards.
func (q Request[R]) send(r result[R]) {
	select {
	case q.answer <- r:
	default:
	}
}

// Call sends the message that build makes of a Request and waits for the answer. Only edges may call it.
//
// It returns ErrStopped when the actor has stopped, ErrPanicked when it panicked over this message, and the context's
// error when the context ends first; then the actor may still handle the message.
func Call[M, R any](ctx context.Context, to *Ref[M], build func(Request[R]) M) (R, error) {
	answer := make(chan result[R], 1)
	if !to.Post(build(Request[R]{answer})) {
		var zero R
		return zero, ErrStopped
	}
	return await(ctx, to, answer)
}

// CallPut is Call with a message of a size, for which it waits for room like Ref.Put.
func CallPut[M, R any](ctx context.Context, to *Ref[M], size int, build func(Request[R]) M) (R, error) {
	answer := make(chan result[R], 1)
	if err := to.Put(ctx, build(Request[R]{answer}), size); err != nil {
		var zero R
		return zero, err
	}
	return await(ctx, to, answer)
}

// await waits for an answer.
func await[M, R any](ctx context.Context, to *Ref[M], answer <-chan result[R]) (R, error) {
	var zero R
	select {
	case r := <-answer:
		return r.value, r.err
	case <-ctx.Done():
		return zero, ctx.Err()
	case <-to.Done():
	}
	select { // answered just before it ended
	case r := <-answer:
		return r.value, r.err
	default:
		return zero, ErrStopped
	}
}

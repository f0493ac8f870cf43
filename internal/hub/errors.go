package hub

import (
	"context"
	"errors"
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

// Errors that the methods of a Hub return, which are those of package tank.
var (
	ErrClosed   = errors.New("tank: closed")
	ErrBusy     = errors.New("tank: busy")
	ErrLimit    = errors.New("tank: limit reached")
	ErrNotFound = errors.New("tank: not found")
)

// translate makes errors of package actor and of contexts into those of this package.
func translate(err error) error {
	switch {
	case errors.Is(err, actor.ErrStopped):
		return ErrClosed
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, actor.ErrPanicked):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return err
}

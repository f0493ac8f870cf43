//go:build !linux

package poller

import (
	"errors"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

const supported = false

// epoll is not there.
type epoll struct{}

func newEpoll(*actor.Ref[message]) (*epoll, error) { return nil, errors.ErrUnsupported }
func (*epoll) arm(*Socket, bool) error             { return errors.ErrUnsupported }
func (*epoll) close() <-chan struct{}              { return nil }

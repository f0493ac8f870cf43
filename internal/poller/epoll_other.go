//go:build !linux

package poller

import (
	"errors"

	"github.com/fanqie/tank-websocket-go-server/actor"
)

const supported = false

// waiting is not there.
type waiting struct{}

func newWaiting(*actor.Ref[message]) (*waiting, error) { return nil, errors.ErrUnsupported }
func (*waiting) arm(*Socket, bool) error               { return errors.ErrUnsupported }
func (*waiting) close() <-chan struct{}                { return nil }

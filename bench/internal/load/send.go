package load

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// SendOneByOne has one client after the other say the same, so many times in all, and so many times a second. What is late is said at once.
func (f *Fleet) SendOneByOne(ctx context.Context, text string, messages, rate int) error {
	frame := wstest.Masked(wstest.Fin|wstest.Text, text)
	start := time.Now()
	for i := range messages {
		if wait := time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(rate))); wait > 0 {
			time.Sleep(wait)
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if err := writeAll(f.clients[i%len(f.clients)].fd, frame); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
	}
	return nil
}

// roomPoll is how long SendAtOnce waits when no socket has room.
const roomPoll = 200 * time.Microsecond

// SendAtOnce has each client say the same, so many times without a pause, all clients side by side: whose socket is full does not hold up
// the others.
func (f *Fleet) SendAtOnce(ctx context.Context, text string, messages int) error {
	frame := wstest.Masked(wstest.Fin|wstest.Text, text)
	all := make([]byte, 0, messages*len(frame))
	for range messages {
		all = append(all, frame...)
	}
	said := make([]int, len(f.clients)) // in bytes, by client
	for left := len(f.clients); left > 0; {
		progress := false
		for i, c := range f.clients {
			if said[i] == len(all) {
				continue
			}
			n, err := syscall.Write(c.fd, all[said[i]:])
			switch {
			case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
				continue
			case err != nil:
				return fmt.Errorf("connection %d: %w", i, err)
			}
			said[i] += n
			progress = true
			if said[i] == len(all) {
				left--
			}
		}
		if !progress {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			time.Sleep(roomPoll)
		}
	}
	return nil
}

package client

import (
	"errors"
	"runtime"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// The CPU time that inflating a message may take. Ordinary text of 32 KiB takes 0.1 to 0.4 ms; but a message may consist of
// Huffman tables, which take 35 ms. All functions in this file run in the reader.
const (
	// eventTime and eventByteTime are what one event of the message rate pays for: the CPU time, and as much again for each
	// byte that came out, because large messages are the server's choice, see Options.MessageBytes. At 100 messages of
	// 32 KiB per second that is 6 % of a core.
	eventTime     = 250 * time.Microsecond
	eventByteTime = 10 * time.Nanosecond

	// inflateTime and inflateByteTime are where inflating ends: the CPU time, and as much again for each byte that went in or
	// came out. That is ten times and more of what text takes: for slow machines, and the race detector.
	inflateTime     = 8 * time.Millisecond
	inflateByteTime = 200 * time.Nanosecond

	// unwatched and unwatchedBytes are how long inflating goes on without a look at the clock of the thread, which is a system
	// call: the time on the wall, or the bytes that went in, whichever is first.
	unwatched      = 100 * time.Microsecond
	unwatchedBytes = 4 << 10
)

var errInflate = errors.New("message takes too long to inflate")

// stopwatch measures inflating one message. It implements wire.Watch.
//
// The CPU time counts, so that clients need not pay for a machine that has too much to do. A message that is inflated quickly
// costs no look at the clock of the thread: the time on the wall says that already.
type stopwatch struct {
	looked   time.Time     // when a clock was looked at last
	lookedIn int           // bytes of input up to that look
	locked   bool          // the goroutine keeps its thread, and the thread's clock is looked at
	from     time.Duration // the thread's clock when locked was set
	before   time.Duration // CPU time before locked was set, at most
}

// Look implements wire.Watch.
func (w *stopwatch) Look(in, out int) error {
	passed := time.Since(w.looked)
	if passed < unwatched && in-w.lookedIn < unwatchedBytes {
		return nil
	}
	if !w.locked {
		runtime.LockOSThread()
		w.locked, w.from, w.before = true, threadTime(), min(passed, eventTime)
	}
	w.looked, w.lookedIn = time.Now(), in
	if w.spent() > inflateTime+time.Duration(in+out)*inflateByteTime {
		return errInflate
	}
	return nil
}

// spent returns the CPU time that was used.
func (w *stopwatch) spent() time.Duration { return w.before + threadTime() - w.from }

// stop ends measuring, and returns how many events of the message rate a message costs that has become so many bytes.
func (w *stopwatch) stop(out int) (events int) {
	if !w.locked {
		return 1
	}
	each := eventTime + time.Duration(out)*eventByteTime
	events = max(1, int(w.spent()/each))
	w.unlock()
	return events
}

// unlock lets the goroutine go to other threads again.
func (w *stopwatch) unlock() {
	if w.locked {
		w.locked = false
		runtime.UnlockOSThread()
	}
}

// inflate inflates s.raw, and returns how many events of the message rate that costs.
func (c *Client) inflate(s *scratch) (events int, err error) {
	s.watch = stopwatch{looked: time.Now()}
	defer s.watch.unlock() // also when it panics
	s.inflated, err = wire.Inflate(s.inflated[:0], s.raw, c.opts.MessageBytes, &s.watch)
	return s.watch.stop(len(s.inflated)), err
}

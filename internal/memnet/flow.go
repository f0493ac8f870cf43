package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// flow is one direction of a connection.
type flow struct {
	limit int

	mu            sync.Mutex
	buf           []byte
	changed       chan struct{} // closed when something below or the buffer changes; nil when nobody waits for that
	budget        int           // bytes that may be read; negative: any number
	written       uint64        // bytes that were put in, and see Conn.Received
	pressing      bool          // a Write waits for room
	hungry        bool          // a Read waits, for more than there is or for a budget
	writerGone    bool
	readerGone    bool
	readDeadline  time.Time
	writeDeadline time.Time
}

func newFlow(limit int) *flow { return &flow{limit: limit, budget: -1} }

// set changes the flow and lets everyone who waits look again.
func (f *flow) set(change func(*flow)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
	f.notify()
}

// notify lets everyone who waits look again. Called with mu held.
func (f *flow) notify() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

func (f *flow) read(p []byte) (n int, err error) {
	f.wait(&f.readDeadline, func() bool {
		n, err = f.take(p)
		waits := n == 0 && err == nil && len(p) > 0
		if waits && !f.hungry {
			f.notify() // see AwaitPeer; once, or two who read would wake each other without end
		}
		f.hungry = waits
		return !waits
	})
	return n, err
}

// take returns what there is to be read; nothing, and no error, when there is nothing yet. Called with mu held.
func (f *flow) take(p []byte) (n int, err error) {
	switch {
	case f.readerGone:
		return 0, net.ErrClosed
	case expired(f.readDeadline):
		return 0, os.ErrDeadlineExceeded
	case f.budget == 0:
		return 0, nil
	case len(f.buf) == 0 && f.writerGone:
		return 0, io.EOF
	}
	if f.budget > 0 {
		p = p[:min(len(p), f.budget)]
	}
	n = copy(p, f.buf)
	f.buf = f.buf[n:]
	if f.budget > 0 {
		f.budget -= n
	}
	return n, nil
}

func (f *flow) write(p []byte) (n int, err error) {
	for err == nil && n < len(p) {
		f.wait(&f.writeDeadline, func() bool {
			var k int
			k, err = f.put(p[n:])
			n += k
			f.pressing = k == 0 && err == nil
			return !f.pressing
		})
	}
	return n, err
}

func (f *flow) tryWrite(p []byte) (n int, err error) {
	f.set(func(f *flow) { n, err = f.put(p) })
	return n, err
}

// put adds as much as there is room for. Called with mu held.
func (f *flow) put(p []byte) (int, error) {
	switch {
	case f.writerGone:
		return 0, net.ErrClosed
	case f.readerGone:
		return 0, io.ErrClosedPipe
	case expired(f.writeDeadline):
		return 0, os.ErrDeadlineExceeded
	}
	n := max(0, min(f.limit-len(f.buf), len(p)))
	f.buf = append(f.buf, p[:n]...)
	f.written += uint64(n) // #nosec G115 -- it is not negative
	return n, nil
}

func expired(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// wait calls step, with mu held, until it reports true: now, and after every change or the deadline.
func (f *flow) wait(deadline *time.Time, step func() bool) {
	for {
		f.mu.Lock()
		if step() {
			f.notify()
			f.mu.Unlock()
			return
		}
		if f.changed == nil {
			f.changed = make(chan struct{})
		}
		changed, until := f.changed, *deadline
		f.mu.Unlock()

		var timeout <-chan time.Time
		if !until.IsZero() {
			timeout = time.After(time.Until(until))
		}
		select {
		case <-changed:
		case <-timeout:
		}
	}
}

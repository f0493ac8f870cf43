package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/wstest"
)

// Options of a fleet.
type Options struct {
	Addr     string
	More     []string // addresses of more servers: clients connect to all in turn
	Clients  int
	Compress bool // offer permessage-deflate
	Lines    bool // messages are lines: a frame may carry several
	Beats    bool // the server sends {} as a heartbeat, which is not counted

	Subprotocol string // to be agreed on; "": none
	Greeted     bool   // the server speaks first: a connection is open when its first message has come
	Mixed       bool   // of every two clients the second is plain

	SmallBuffers bool // so that the kernel, on either side, holds little for a client that does not read
}

// plain is the options of a client without a subprotocol, and so without a greeting and a heartbeat.
func (o Options) plain() Options {
	o.Subprotocol, o.Greeted, o.Beats = "", false, false
	return o
}

// Fleet is a number of connected clients. Its methods are for one goroutine.
type Fleet struct {
	opts    Options
	clients []*client // complete after Dial
	epoll   int
	wakeup  [2]int // a pipe: a byte has the reader run the next order, closing its writing end stops it
	orders  chan func()
	opened  chan error
	stopped chan struct{} // closed when the reader has ended

	// Owned by the reader.
	counted  int64 // messages since it last told
	taken    int64 // bytes, the same
	inflater io.ReadCloser
	inflated bytes.Buffer

	// Counts the clients handed over to the reader, who loads it before it looks: Go's memory model knows nothing of
	// what goes through epoll.
	handover atomic.Int64

	total  atomic.Int64 // messages since Arm
	bytes  atomic.Int64 // read since Arm
	target atomic.Int64 // how many Await waits for; below 0: none
	hit    chan time.Time

	mu     sync.Mutex
	faults []error
	faulty int
}

// window is how many handshakes are under way at a time.
const window = 128

// Dial connects all clients and returns when every handshake is done, and every greeting has come.
func Dial(ctx context.Context, opts Options) (*Fleet, error) {
	f := &Fleet{opts: opts, opened: make(chan error, opts.Clients), stopped: make(chan struct{}), hit: make(chan time.Time, 1), orders: make(chan func(), 1)}
	f.target.Store(-1)
	var err error
	if f.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if err := syscall.Pipe2(f.wakeup[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		syscall.Close(f.epoll)
		return nil, err
	}
	if err := f.watch(f.wakeup[0], -1); err != nil {
		return nil, err
	}
	f.clients = make([]*client, opts.Clients)
	go f.read()
	if err := f.dialAll(ctx); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *Fleet) watch(fd, number int) error {
	return syscall.EpollCtl(f.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{
		Events: syscall.EPOLLIN,
		Fd:     int32(number), // ours to choose, whatever its name
	})
}

func (f *Fleet) dialAll(ctx context.Context) error {
	var addrs []netip.AddrPort
	for _, one := range append([]string{f.opts.Addr}, f.opts.More...) {
		addr, err := parseAddr(one)
		if err != nil {
			return err
		}
		addrs = append(addrs, addr)
	}
	opts := [...]Options{f.opts, f.opts} // of every first client, and of every second
	if f.opts.Mixed {
		opts[1] = f.opts.plain()
	}
	handshakes := [...][]byte{request(opts[0]), request(opts[1])}
	for i := range f.clients {
		fd, err := connect(addrs[i%len(addrs)], i, f.opts.SmallBuffers)
		if err != nil {
			return err
		}
		own := &opts[i%2]
		c := &client{fleet: f, fd: fd, number: i, subprotocol: own.Subprotocol, greeted: own.Greeted}
		c.counter.lines, c.counter.beats = own.Lines, own.Beats
		// Where lines are compressed, they have to be inflated to be counted.
		c.counter.keep = f.opts.Lines && f.opts.Compress
		f.clients[i] = c
		if err := writeAll(fd, handshakes[i%2]); err != nil {
			return err
		}
		f.handover.Add(1)
		if err := f.watch(fd, i); err != nil {
			return err
		}
		if i >= window {
			if err := f.awaitOpen(ctx); err != nil {
				return err
			}
		}
	}
	for range min(window, len(f.clients)) {
		if err := f.awaitOpen(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fleet) awaitOpen(ctx context.Context) error {
	select {
	case err := <-f.opened:
		return err
	case <-ctx.Done():
		return fmt.Errorf("connecting: %w", ctx.Err())
	}
}

// Compressed tells how many of the clients have agreed on permessage-deflate.
func (f *Fleet) Compressed() (n int) {
	for _, c := range f.clients {
		if c.deflated {
			n++
		}
	}
	return n
}

// Send has a client say something.
func (f *Fleet) Send(client int, text string) error {
	return f.clients[client].write(wstest.Text, []byte(text))
}

// Pong has a client answer a heartbeat, also one that there was not (RFC 6455, section 5.5.3).
func (f *Fleet) Pong(client int) error { return f.clients[client].write(wstest.Pong, nil) }

// SendAll has a client say several things at once.
func (f *Fleet) SendAll(client int, texts []string) error {
	var frames []byte
	for _, text := range texts {
		frames = append(frames, wstest.Masked(wstest.Fin|wstest.Text, text)...)
	}
	return writeAll(f.clients[client].fd, frames)
}

// Arm begins to count from zero towards a number of messages, and checks some of the clients if sample is not nil. No
// messages may be under way.
func (f *Fleet) Arm(messages int64, sample *Sample) {
	f.order(func() {
		for i, c := range f.clients {
			c.base.Store(c.messages.Load())
			if sample != nil && i%sample.Every == 0 {
				c.check = newCheck(sample, i)
				c.counter.keep = true
			}
		}
		f.total.Store(0)
		f.bytes.Store(0)
		f.target.Store(messages)
		select {
		case <-f.hit: // of the target before
		default:
		}
	})
}

// order has the reader run something, and returns when it has, or has ended.
func (f *Fleet) order(something func()) {
	done := make(chan struct{})
	f.orders <- func() {
		defer close(done)
		something()
	}
	if _, err := syscall.Write(f.wakeup[1], []byte{0}); err != nil {
		f.fault(err)
		return
	}
	select {
	case <-done:
	case <-f.stopped:
	}
}

// Freeze has all clients stop reading, for good.
func (f *Fleet) Freeze() {
	f.order(func() {
		for _, c := range f.clients {
			if err := syscall.EpollCtl(f.epoll, syscall.EPOLL_CTL_DEL, c.fd, nil); err != nil {
				f.fault(err)
			}
		}
	})
}

// Total is how many messages have come since Arm.
func (f *Fleet) Total() int64 { return f.total.Load() }

// Bytes is how many bytes have come since Arm, frame headers included.
func (f *Fleet) Bytes() int64 { return f.bytes.Load() }

// Least is how many messages the client has that has the fewest since Arm.
func (f *Fleet) Least() int64 {
	least := f.clients[0].since()
	for _, c := range f.clients[1:] {
		least = min(least, c.since())
	}
	return least
}

func (c *client) since() int64 { return c.messages.Load() - c.base.Load() }

// patience is how long Await goes on without any message.
const patience = 10 * time.Second

// Await waits until the number of messages given to Arm has come, and returns when the last of them did.
func (f *Fleet) Await(ctx context.Context) (time.Time, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	best, at := f.Total(), time.Now()
	for {
		select {
		case when := <-f.hit:
			return when, nil
		case <-tick.C:
			if total := f.Total(); total > best {
				best, at = total, time.Now()
			} else if time.Since(at) > patience {
				return at, fmt.Errorf("%d of %d messages came, then none for %v%s", total, f.target.Load(), patience, f.why())
			}
		case <-ctx.Done():
			return at, ctx.Err()
		}
	}
}

// quiet is how long surplus messages have to show themselves.
const quiet = 50 * time.Millisecond

// Verify checks that each client has exactly as many messages as expected says, and that no fault was seen.
func (f *Fleet) Verify(expected func(client int) int64) error {
	time.Sleep(quiet)
	var missing, surplus int64
	for i, c := range f.clients {
		if d := c.since() - expected(i); d < 0 {
			missing -= d
		} else {
			surplus += d
		}
	}
	if missing > 0 || surplus > 0 {
		return fmt.Errorf("%d messages missing, %d too many%s", missing, surplus, f.why())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.faults...)
}

// maxFaults is how many faults are remembered; there may be one a message.
const maxFaults = 5

func (f *Fleet) fault(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faulty++
	if len(f.faults) < maxFaults {
		f.faults = append(f.faults, err)
	}
}

// why describes the faults, for an error about their consequences.
func (f *Fleet) why() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.faulty == 0 {
		return ""
	}
	return fmt.Sprintf("; %d faults, the first: %v", f.faulty, f.faults[0])
}

// Close hangs up on everybody.
func (f *Fleet) Close() {
	syscall.Close(f.wakeup[1])
	<-f.stopped
	for _, c := range f.clients {
		if c != nil {
			syscall.Close(c.fd)
		}
	}
	syscall.Close(f.wakeup[0])
	syscall.Close(f.epoll)
}

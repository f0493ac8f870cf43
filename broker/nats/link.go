package natsbroker

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// redial is how long the link waits before it replaces a connection that NATS has given up.
const redial = 250 * time.Millisecond

// eventKind is what NATS tells of a connection.
type eventKind int

const (
	eventUp eventKind = iota
	eventDown
	eventFailed // an attempt to connect
	eventClosed // for good
	eventStream // it cannot be used
)

type event struct {
	kind eventKind
	err  error
}

// events is the mailbox of the link.
type events struct {
	wake chan struct{}
	mu   sync.Mutex
	list []event
}

func newEvents() *events { return &events{wake: make(chan struct{}, 1)} }

// put does not wait.
func (e *events) put(one event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.list); n > 0 && one.kind == eventFailed && e.list[n-1].kind == eventFailed {
		return // the first says enough
	}
	e.list = append(e.list, one)
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *events) take() []event {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.list
	e.list = nil
	return list
}

// checkURLs finds what NATS would refuse.
func checkURLs(o *nats.Options) error {
	for _, one := range o.Servers {
		if _, err := url.Parse(one); err != nil {
			return fmt.Errorf("natsbroker: %w", err)
		}
	}
	return nil
}

// link is the goroutine that knows how the connection is. It alone calls the Watcher.
func (b *Broker) link() {
	if b.options.Conn != nil {
		b.attach(b.options.Conn)
		if b.options.Conn.IsConnected() {
			b.goUp()
		}
		if !b.told {
			b.goDown(errors.New("natsbroker: the connection is not there yet"))
		}
	} else {
		b.connect()
	}
	for {
		select {
		case <-b.events.wake:
		case <-b.stop:
			return
		}
		for _, e := range b.events.take() {
			if b.stopped() {
				return
			}
			b.handle(e)
		}
	}
}

func (b *Broker) handle(e event) {
	switch e.kind {
	case eventUp:
		b.goUp()
	case eventDown:
		b.goDown(b.watch.because(e.err))
	case eventFailed:
		if !b.told {
			b.goDown(b.watch.because(e.err))
		}
	case eventClosed:
		b.goDown(b.watch.because(e.err))
		b.log.Error("natsbroker: NATS has closed the connection", "error", e.err)
		if b.options.Conn == nil && b.pause(redial) {
			b.connect()
		}
	case eventStream:
		b.withoutStream(e.err)
	}
}

// withoutStream counts as down, until that is another time tried.
func (b *Broker) withoutStream(err error) {
	if b.streamFault == nil || b.streamFault.Error() != err.Error() {
		b.log.Error("natsbroker: no stream", "error", err)
	}
	b.streamFault = err
	b.goDown(err)
	b.spawn(func() {
		if !b.pause(streamRetry) {
			return
		}
		if err := b.keeper.heard(); err != nil { // NATS asks for these answers once for each network connection
			b.watch.end(b.watch.alive.Load(), err)
			return
		}
		b.events.put(event{eventUp, nil})
	})
}

func (b *Broker) stopped() bool {
	select {
	case <-b.stop:
		return true
	default:
		return false
	}
}

// pause returns false when the Broker is closed before its end.
func (b *Broker) pause(d time.Duration) bool { return sleep(b.life, d) == nil }

// connect makes an own connection. It may not be connected yet.
func (b *Broker) connect() {
	for {
		conn, err := b.dial.Connect()
		if err == nil {
			b.attach(conn)
			return
		}
		b.log.Error("natsbroker: cannot connect", "error", err)
		b.goDown(err)
		if !b.pause(time.Second) {
			return
		}
	}
}

// attach takes a connection into use.
func (b *Broker) attach(conn *nats.Conn) {
	b.subscribing.Lock()
	defer b.subscribing.Unlock()
	b.mu.Lock()
	b.conn = conn
	clear(b.bySub)
	feeds := slices.Collect(maps.Values(b.feeds))
	for _, f := range feeds {
		f.sub = nil
	}
	b.mu.Unlock()
	if b.keeper != nil {
		b.keeper.subscribeHint(conn)
	}
	for _, f := range feeds {
		if err := b.ask(conn, f); err != nil {
			return // the connection has gone already
		}
	}
	if b.stopped() && b.options.Conn == nil {
		conn.Close()
	}
}

// goUp makes a session of a connection, if it lasts for long enough: once all subscriptions are in force, and all Receivers know that
// there is a gap.
func (b *Broker) goUp() {
	id := b.watch.alive.Load()
	if s := b.session.Load(); s != nil {
		if s.id == id {
			return
		}
		b.goDown(b.watch.because(nil))
	}
	if id == 0 {
		return // its end is an event that follows
	}
	b.mu.RLock()
	s := newSession(b.conn, b.watch, id)
	b.mu.RUnlock()
	asked := b.asked()
	if s.flush(b.life) != nil {
		return
	}
	for _, f := range asked {
		f.inForce.Store(true)
	}
	if b.keeper != nil && !b.hasStream(s) {
		return
	}
	if _, cut := b.watch.count(); !b.gate.let(id, cut) || !s.alive() {
		return
	}
	pause := corePause
	if b.options.Mode != Core {
		pause = 0
	}
	b.spawn(func() { s.confirm(b.stop, pause) })
	b.change(s)
	b.told = true
	if !b.silent.Load() {
		b.watcher.Up()
	}
}

// asked returns the feeds of what is kept that NATS was asked for.
func (b *Broker) asked() (list []*feed) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, f := range b.feeds {
		if f.keep != nil && f.sub != nil {
			list = append(list, f)
		}
	}
	return list
}

// hasStream asks for the stream, and makes it if it is not there.
func (b *Broker) hasStream(s *session) bool {
	ctx, cancel := b.keeper.request(b.life, s)
	defer cancel()
	_, err := b.keeper.info(ctx, s)
	if err == nil {
		var again bool
		if again, err = b.keeper.compared(ctx, s); again && err == nil {
			_, err = b.keeper.info(ctx, s)
		}
	}
	if err == nil {
		b.streamFault = nil
		return true
	}
	if s.ctx.Err() == nil && b.life.Err() == nil {
		b.withoutStream(err)
	}
	return false
}

// goDown ends the session. It tells the Watcher, unless that knows.
func (b *Broker) goDown(cause error) {
	s, told := b.session.Load(), b.told
	b.told = true
	doubt := 0
	switch {
	case s == nil && told:
		return
	case s != nil:
		b.change(nil)
		close(s.gone)
		if b.options.Mode == Core { // in other modes, who waited for the server got an error
			doubt = int(s.begun.Load() - s.acked.Load())
		}
	}
	if !b.silent.Load() {
		b.watcher.Down(cause, doubt)
	}
}

// change sets the session, and wakes who waits for that.
func (b *Broker) change(s *session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.session.Store(s)
	close(b.upChanged)
	b.upChanged = make(chan struct{})
}

// reported takes an error that NATS reports of the connection. It returns whether that was the Broker's concern.
func (b *Broker) reported(sub *nats.Subscription, err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if sub != nil {
		f := b.bySub[sub]
		if f != nil {
			b.queue.putLost(f, fmt.Errorf("%w: %w", errSlow, err))
		}
		return f != nil
	}
	if strings.Contains(err.Error(), `Subscription to "`) {
		for _, f := range b.feeds {
			if concerns(err, f.subject) {
				f.denied = err
				b.queue.putLost(f, err)
			}
		}
	}
	ours := strings.Contains(err.Error(), `"`+b.prefix)
	if k := b.keeper; k != nil {
		if concerns(err, k.hintSubject()) {
			return true // that is permitted to be so
		}
		ours = ours || strings.Contains(err.Error(), `"`+k.from) || strings.Contains(err.Error(), `"`+k.to)
		if b.conn != nil { // else nothing was asked: a connection of the user's is not in use before Open
			k.denied(err, cmp.Or(b.conn.Opts.InboxPrefix, nats.InboxPrefix))
		}
	}
	if ours || b.options.Conn == nil {
		b.log.Warn("natsbroker: NATS reports", "error", err)
	}
	return ours
}

package natsbroker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/fanqie/tank-websocket-go-server/broker"
)

// Mode says what a nil error of a publication means.
type Mode int

// Modes. All instances of a group have the same.
const (
	// Core: the publication was handed to the connection. If the connection breaks before the server has it, it is lost, and
	// counted by the instance as in doubt.
	Core Mode = iota
	// Confirmed: the server of this connection has it. That takes one round trip, which all share who publish at the same time.
	Confirmed
	// JetStream: the stream of the group has it, if it is kept, see StreamOptions. What is not kept is as in Confirmed.
	JetStream
)

// Defaults of Options.
const (
	DefaultGroup           = "tank"
	DefaultMaxPending      = 65_536
	DefaultMaxPendingBytes = 64 << 20
)

// Options are the zero value, or what differs from it.
type Options struct {
	// URL is where NATS is, or several addresses with commas between them. The default is nats.DefaultURL.
	URL string

	// Conn is a connection of yours, instead of URL and NATS. Its last option has to be Prepare. It serves one Broker, which does not
	// close it. A connection that is closed, by you or by NATS, stays so, and the Broker with it.
	Conn *nats.Conn

	// Group is the first part of all subjects. Instances with the same group and the same NATS account see each other's
	// publications. It has up to 128 bytes: letters, digits, - and _, in tokens with dots between them. The default is "tank".
	Group string

	Mode Mode

	// Stream is for mode JetStream alone.
	Stream StreamOptions

	// NATS are options of the connection: credentials, TLS, a name. See Prepare for those that the Broker needs.
	NATS []nats.Option

	// MaxPending and MaxPendingBytes are how many messages, and bytes of their payloads, wait for the instance's topics. Those that are
	// more are dropped, and their topics are told of a gap. The dispatcher has up to as many in hand, so count them twice. The
	// defaults are 65,536 and 64 MiB.
	MaxPending      int
	MaxPendingBytes int

	// Logger gets what NATS reports and no publisher can be told, such as a publication that was not permitted. The default
	// is slog.Default().
	Logger *slog.Logger
}

// Broker is a broker.Broker over NATS.
type Broker struct {
	options Options
	prefix  string       // of subjects
	dial    nats.Options // of an own connection
	watch   *watch
	log     *slog.Logger

	in     chan *nats.Msg // from NATS to read
	room   chan struct{}  // read has taken all that was there
	queue  *queue         // from read to dispatch
	gate   *gate
	events *events
	stop   <-chan struct{} // that of life
	life   context.Context // ends at the same time
	die    context.CancelFunc
	wg     sync.WaitGroup

	keeper     *keeper // nil: the mode is not JetStream
	dispatcher *dispatcher

	session atomic.Pointer[session] // nil: down

	publishing sync.RWMutex // held to read by publishers, and to write by Close once
	closing    atomic.Bool
	leaving    chan struct{} // closed when Close is called
	silent     atomic.Bool   // Close has returned: nobody is called any more
	isClosed   bool          // guarded by publishing

	// The link's.
	watcher     broker.Watcher
	told        bool  // the Watcher knows how it is
	streamFault error // why the stream cannot be used, as was logged

	subscribing sync.Mutex // held while NATS is asked to subscribe
	mu          sync.RWMutex
	conn        *nats.Conn // nil: none yet; changed with subscribing held, too
	opened      bool
	ended       bool // no goroutine begins any more
	feeds       map[broker.Receiver]*feed
	bySub       map[*nats.Subscription]*feed
	upChanged   chan struct{} // closed when session changes
}

var _ broker.Broker = (*Broker)(nil)

// New checks the options, and makes a Broker for one instance. It does not connect.
func New(o Options) (*Broker, error) {
	if o.Group == "" {
		o.Group = DefaultGroup
	}
	if err := checkGroup(o.Group); err != nil {
		return nil, err
	}
	switch o.Mode {
	case Core, Confirmed:
		if o.Stream != (StreamOptions{}) {
			return nil, errors.New("natsbroker: only the mode JetStream has a stream")
		}
	case JetStream:
		if err := o.Stream.complete(); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("natsbroker: unknown mode %d", o.Mode)
	}
	if o.MaxPending < 0 || o.MaxPendingBytes < 0 {
		return nil, errors.New("natsbroker: MaxPending and MaxPendingBytes are not negative")
	}
	if o.MaxPending == 0 {
		o.MaxPending = DefaultMaxPending
	}
	if o.MaxPendingBytes == 0 {
		o.MaxPendingBytes = DefaultMaxPendingBytes
	}
	b := &Broker{
		options:   o,
		prefix:    o.Group + ".c.",
		log:       o.Logger,
		in:        make(chan *nats.Msg, incoming),
		room:      make(chan struct{}, 1),
		queue:     newQueue(o.MaxPending, o.MaxPendingBytes),
		gate:      newGate(),
		events:    newEvents(),
		leaving:   make(chan struct{}),
		feeds:     make(map[broker.Receiver]*feed),
		bySub:     make(map[*nats.Subscription]*feed),
		upChanged: make(chan struct{}),
	}
	if b.log == nil {
		b.log = slog.Default()
	}
	b.life, b.die = context.WithCancel(context.Background())
	b.stop = b.life.Done()
	if o.Mode == JetStream {
		b.keeper = newKeeper(b)
	}
	b.dispatcher = newDispatcher(b)
	if o.Conn != nil {
		return b, b.checkConn()
	}
	return b, b.prepare()
}

// prepare makes the options of an own connection.
func (b *Broker) prepare() error {
	b.dial = nats.GetDefaultOptions()
	for one := range strings.SplitSeq(cmp.Or(b.options.URL, nats.DefaultURL), ",") {
		b.dial.Servers = append(b.dial.Servers, strings.TrimSpace(one))
	}
	for _, option := range b.options.NATS {
		if option == nil {
			continue
		}
		if err := option(&b.dial); err != nil {
			return fmt.Errorf("natsbroker: %w", err)
		}
	}
	if err := checkURLs(&b.dial); err != nil {
		return err
	}
	if err := Prepare(&b.dial); err != nil {
		return err
	}
	b.watch = b.dial.CustomDialer.(*watch)
	return b.watch.serve(b)
}

// checkConn looks at a connection of the user's.
func (b *Broker) checkConn() error {
	if b.options.URL != "" || len(b.options.NATS) > 0 {
		return errors.New("natsbroker: a connection has its URL and options already")
	}
	w, is := b.options.Conn.Opts.CustomDialer.(*watch)
	if !is {
		return errors.New("natsbroker: the last option of a connection has to be natsbroker.Prepare")
	}
	if b.options.Conn.IsClosed() {
		return errors.New("natsbroker: the connection is closed")
	}
	b.watch = w
	return w.serve(b)
}

// Open implements broker.Broker. The link connects.
func (b *Broker) Open(w broker.Watcher) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened {
		return errors.New("natsbroker: a Broker is opened once")
	}
	b.opened, b.watcher = true, w
	b.wg.Go(b.read)
	b.wg.Go(b.dispatcher.run)
	b.wg.Go(b.link)
	if b.keeper != nil {
		b.wg.Go(b.keeper.checks)
	}
	return nil
}

// Close implements broker.Broker.
func (b *Broker) Close(ctx context.Context) error {
	b.closing.Store(true)
	close(b.leaving)
	done := make(chan error, 1)
	go func() { done <- b.shut(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		b.silent.Store(true)
		return ctx.Err()
	}
}

// shut ends everything, in the end also after ctx.
func (b *Broker) shut(ctx context.Context) error {
	settled := make(chan error, 1)
	go func() { settled <- b.settle(ctx) }()
	var err error
	select {
	case err = <-settled:
	case <-ctx.Done():
		err = ctx.Err()
	}
	b.die()
	b.gate.close()
	b.mu.Lock()
	b.ended = true
	conn, feeds := b.conn, slices.Collect(maps.Values(b.feeds))
	b.mu.Unlock()
	for _, f := range feeds {
		f.end()
	}
	if b.options.Conn != nil {
		b.watch.release()
		for _, f := range feeds {
			b.mu.RLock()
			sub := f.sub
			b.mu.RUnlock()
			if sub != nil {
				_ = sub.Unsubscribe()
			}
		}
		if b.keeper != nil {
			b.keeper.unsubscribeHint()
		}
	} else if conn != nil {
		conn.Close()
	}
	b.wg.Wait()
	return err
}

// spawn runs a function in a goroutine that Close waits for. It does nothing when Close has been called.
func (b *Broker) spawn(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.wg.Go(f)
	}
}

// settle waits for publishers, and for the server to have what they have published.
func (b *Broker) settle(ctx context.Context) error {
	b.publishing.Lock()
	b.isClosed = true
	b.publishing.Unlock()
	s := b.session.Load()
	if s == nil || s.handed.Load() == s.acked.Load() {
		return nil
	}
	return s.flush(ctx)
}

// Package link connects an instance with a broker: it has the subscriptions of topics made and ended there, publishes, and gives topics
// what comes. Without a broker there is no link.
//
// The link is an actor. The calls of the broker that may block run in an edge of their own, one after the other, so that a broker which
// blocks for ever stops new subscriptions and publishers, and nothing else.
package link

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// Owner hears what becomes of a link. Its methods must not block, but Heard.
type Owner interface {
	// InForce is called when the subscription of a topic is in force.
	InForce(*topic.Topic)
	// Connected is called when the connection to the broker is lost or there again. cause is nil when it is there.
	Connected(cause error)
	// Failed is called for what went wrong.
	Failed(err error)
	// Missing is called when publications may be missing: in so many topics, and of those to everybody.
	Missing(topics int, cause error)
	// Heard is called with what another instance says, or this one. It may block for a moment.
	Heard(data string)
}

// talk is the name under which instances talk with each other.
const talk = "\x00talk"

// Link is the handle of a link. It is safe for concurrent use.
type Link struct {
	// Immutable.
	broker    broker.Broker
	historian broker.Historian // the same one; nil: it keeps nothing
	node      string
	owner     Owner
	ref       *actor.Ref[message]
	ctx       context.Context // of the calls of the broker
	cancel    context.CancelFunc

	opening atomic.Int32  // unopened, begun or closed
	opened  chan struct{} // closed when Open has returned
	known   chan struct{} // closed when it is known whether there is a connection: the broker has said so, or could not be opened
	say     sync.Once     // closes known
	working atomic.Bool   // Open has returned nil

	// For any goroutine.
	connection atomic.Pointer[chan struct{}] // closed when the connection is lost; nil: there is none
	counters   Counters
	settling   atomic.Pointer[settlement] // what Settle waits for; nil: nothing

	// Owned by the actor.
	feeds    map[*topic.Topic][]*feed
	wanted   map[*feed]struct{} // to be subscribed
	ended    []*feed            // to be unsubscribed
	calling  bool               // the edge is at work
	lastKept bool               // lately, about what the broker keeps
	backoff  time.Duration      // how long to wait when it fails; 0: the last call did not
	timer    *time.Timer        // runs until the next call; nil: the next call need not wait
	losses   losses
	loads    loads
	sharing  bool                    // the edge that shares is at work
	toShare  []shared                // what it does next
	closing  actor.Request[struct{}] // the call of Close, if it waits
}

// Counters are what a link counts. Any goroutine may read them.
type Counters struct {
	Published atomic.Uint64 // publications that the broker has accepted
	Refused   atomic.Uint64 // publications that it has not
	Received  atomic.Uint64 // publications that have come for topics, those of this instance included
	Gaps      atomic.Uint64 // times that a topic may have missed some
	InDoubt   atomic.Uint64 // publications that were accepted and may have been lost with the connection
}

// The steps of opening.
const (
	unopened int32 = iota
	begun
	closed
)

// message is what a link understands.
type message interface{ handle(*Link) }

type (
	enter   struct{ *topic.Topic } // it wants its subscription
	leave   struct{ *topic.Topic } // it has ended
	hurry   struct{}               // the broker is there, or can be called
	elapsed struct{}               // of the backoff
	called  struct {               // the edge has called the broker
		subscribed []*feed
		refused    []*feed // those among them that are not in force
		err        error   // why
	}
	shut struct{ actor.Request[struct{}] } // answered when the edge is not at work, and will not be
)

// Backoff after calls of the broker that have failed, and how long one of Subscribe may take.
const (
	leastBackoff = 50 * time.Millisecond
	mostBackoff  = 2 * time.Second
	callTimeout  = 10 * time.Second
)

// New makes a link. The historian is the broker, or nil if that keeps nothing. node tells the instance from others. The link has no
// goroutine before Open, and does nothing.
func New(b broker.Broker, historian broker.Historian, node string, owner Owner) *Link {
	l := &Link{
		broker:    b,
		historian: historian,
		node:      node,
		owner:     owner,
		opened:    make(chan struct{}),
		known:     make(chan struct{}),
		feeds:     make(map[*topic.Topic][]*feed),
		wanted:    make(map[*feed]struct{}),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.ref = actor.Spawn(actor.Options{Restarts: -1, OnPanic: func(err *actor.PanicError) { owner.Failed(err) }}, l.receive)
	return l
}

func (l *Link) receive(mail iter.Seq[message]) {
	for m := range mail {
		m.handle(l)
	}
	l.work()
	l.fetchSome()
}

// Open opens the broker. It may block. It is called once.
func (l *Link) Open() {
	if !l.opening.CompareAndSwap(unopened, begun) {
		return
	}
	defer close(l.opened)
	var err error
	if panicked := actor.Recovered(func() { err = l.broker.Open(l) }); panicked != nil {
		err = panicked
	}
	if err != nil {
		l.Down(err, 0) // for ever
		return
	}
	l.working.Store(true)
	l.ref.Post(enter{}) // the talk
	l.ref.Post(hurry{})
}

// Enter has a topic's subscription made. It never blocks.
func (l *Link) Enter(t *topic.Topic) { l.ref.Post(enter{t}) }

// Leave has the subscription of a topic ended that has ended. It never blocks.
func (l *Link) Leave(t *topic.Topic) { l.ref.Post(leave{t}) }

// Counters returns what the link counts.
func (l *Link) Counters() *Counters { return &l.counters }

// AwaitKnown waits until it is known whether there is a connection, when Open has been called or is about to be. It returns the context's
// error if that ends first. Only edges may call it.
func (l *Link) AwaitKnown(ctx context.Context) error {
	select {
	case <-l.known:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Link) tellKnown() { l.say.Do(func() { close(l.known) }) }

// Connection returns what is closed when the connection to the broker is lost, or nil when there is none.
func (l *Link) Connection() <-chan struct{} {
	if c := l.connection.Load(); c != nil {
		return *c
	}
	return nil
}

// IsDown reports whether there is no connection to the broker.
func (l *Link) IsDown() bool { return l.connection.Load() == nil }

// Tell says something to all instances, this one included, and returns like Publish. Only edges may call it.
func (l *Link) Tell(ctx context.Context, data string) error {
	_, err := l.publish(ctx, talk, broker.Publication{Data: data})
	return err
}

// Publish gives the broker a publication. It returns broker.ErrDown at once while there is no connection, and otherwise like
// broker.Broker.Publish. Only edges may call it.
func (l *Link) Publish(ctx context.Context, name string, p broker.Publication) (r broker.Receipt, err error) {
	r, err = l.publish(ctx, name, p)
	if err != nil {
		l.counters.Refused.Add(1)
	} else {
		l.counters.Published.Add(1)
	}
	return r, err
}

func (l *Link) publish(ctx context.Context, name string, p broker.Publication) (r broker.Receipt, err error) {
	if l.IsDown() {
		return r, broker.ErrDown
	}
	select {
	case <-l.opened: // Up may be called before Open has returned
	case <-ctx.Done():
		return r, ctx.Err()
	}
	if panicked := actor.Recovered(func() { r, err = l.broker.Publish(ctx, name, p) }); panicked != nil {
		l.owner.Failed(panicked)
		err = errPanicked
	}
	return r, err
}

var errPanicked = errors.New("the broker panicked")

// Close ends the link, and the broker. It waits for calls of the broker to return, as long as the context lasts. Only edges may call it.
func (l *Link) Close(ctx context.Context) error {
	defer l.ref.Stop()
	if l.opening.CompareAndSwap(unopened, closed) {
		l.tellKnown()
		l.cancel()
		return nil
	}
	l.cancel()
	select {
	case <-l.opened:
	case <-ctx.Done():
		return ctx.Err()
	}
	_, err := actor.Call(ctx, l.ref, func(r actor.Request[struct{}]) message { return shut{r} })
	if !l.working.Load() {
		return err
	}
	return errors.Join(err, l.closeBroker(ctx))
}

// closeGrace is how long Close waits when the context has ended, for the broker to see that, too.
const closeGrace = 250 * time.Millisecond

// closeBroker does not wait much longer than the context lasts, whatever the broker does.
func (l *Link) closeBroker(ctx context.Context) error {
	closed := make(chan error, 1)
	go func() {
		var err error
		if panicked := actor.Recovered(func() { err = l.broker.Close(ctx) }); panicked != nil {
			err = panicked
		}
		closed <- err
	}()
	select {
	case err := <-closed:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-closed:
		return err
	case <-time.After(closeGrace):
		return ctx.Err()
	}
}

// Down notes that there is no connection. See broker.Watcher.
func (l *Link) Down(cause error, inDoubt int) {
	if cause == nil {
		cause = broker.ErrDown
	}
	if c := l.connection.Swap(nil); c != nil {
		close(*c)
	}
	l.tellKnown()
	l.counters.InDoubt.Add(uint64(max(0, inDoubt))) // #nosec G115 -- not negative
	l.owner.Connected(cause)
}

// Up notes that there is a connection. See broker.Watcher.
func (l *Link) Up() {
	connection := make(chan struct{})
	l.connection.CompareAndSwap(nil, &connection)
	l.tellKnown()
	l.owner.Connected(nil)
	l.ref.Post(hurry{})
}

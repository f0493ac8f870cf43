// Package broker is the seam between an instance and what carries its messages to the other instances of a group, such as NATS. An
// application chooses an implementation, gives it to tank.WithBroker, and has nothing else to do with this package. Whoever writes an
// implementation finds the contract here, and as tests in package brokertest.
//
// Names and data are opaque strings. Names are topics as users name them, "" for what goes to every client, and names that begin with a
// zero byte, which no user can name, for what instances tell each other.
package broker

import (
	"context"
	"errors"
	"time"
)

// Errors of a Broker, to test for with errors.Is. An error may have more text.
var (
	// ErrDown says that there is no connection to the broker, and that nothing was published.
	ErrDown = errors.New("broker: no connection")
	// ErrTooBig says that a publication is larger than the broker takes, and was not published.
	ErrTooBig = errors.New("broker: publication too big")
	// ErrClosed says that Close has been called, or Open has not.
	ErrClosed = errors.New("broker: closed")
	// ErrEpoch says that a name has another epoch by now than the one that was asked about.
	ErrEpoch = errors.New("broker: another epoch")
)

// Broker carries publications between instances. What is published by any of them, this one included, comes back through the Receivers:
// an instance never delivers its own publication directly, so that all subscribers of one instance see one order. A Broker belongs to one
// instance. Its methods are safe for concurrent use, as far as they do not say otherwise.
type Broker interface {
	// Open begins. It does not wait for a connection: a broker that is away at the beginning is one that is down, and the Watcher is told
	// so. It is called once, before everything else. An error means that the configuration is wrong; then nothing else is called.
	Open(Watcher) error

	// Subscribe returns nil once all subscriptions are in force: what the server of this connection accepts after that comes, or Lost is
	// called. It may block, as long as the context lasts; while there is no connection it waits, or returns an error. Calls of Subscribe and
	// Unsubscribe come one after the other. After an error, Subscribe is called again with the same subscriptions, fewer or more, so it has
	// to take those that it has already; those that do not come again are given to Unsubscribe. A broker renews its subscriptions by
	// itself after a reconnect, and calls Lost for each, unless it can show that nothing is missing.
	Subscribe(context.Context, []Subscription) error

	// Unsubscribe ends subscriptions, also those for which Subscribe has returned an error. No method of a Receiver is running, or called,
	// after it has returned. Another subscription of the same name is not touched: a subscription is its Receiver, not its name. It may
	// wait for a Receiver to return, but not for the network.
	Unsubscribe([]Subscription)

	// Publish returns nil when the broker has the publication, in the sense that the implementation documents; ErrDown at once, while there
	// is no connection; ErrTooBig, which a long name can be the reason of, too; ErrClosed; or the context's error, or another one when the
	// connection breaks meanwhile, after which it may or may not have been published. It may outlast its context by a few seconds while a
	// connection stalls. Nothing is buffered for a later connection. What one caller publishes to a name, one after the other, keeps its order.
	Publish(ctx context.Context, name string, p Publication) (Receipt, error)

	// Close publishes what was accepted, ends everything, and returns when no method of a Receiver or the Watcher is running or will be
	// called. It returns the context's error if that ended first; then what was accepted may be lost, and a method that was running may run
	// on, but no other is called. It is called at most once, and only after Open has returned nil. Calls of Subscribe and Publish that wait
	// meanwhile return an error; later ones return ErrClosed, and Unsubscribe does nothing.
	Close(context.Context) error
}

// Historian is a Broker that keeps what is published to names for which Keep is set, and numbers it: all nodes see the publications of such
// a name in one order, with the same offsets. A name has an epoch, which is another one when what was kept is lost, and offsets begin anew.
// For a name, all publications and subscriptions of a group set Keep, or none does.
type Historian interface {
	Broker

	// Fits returns an error that says why, if of a name less is kept than its last so many messages, or than those of that age or younger. 0: there is no
	// such limit. It may be called before Open. A type that is a Historian only with some of its options returns one that wraps
	// errors.ErrUnsupported with the others, and then counts as a Broker alone.
	Fits(messages int, age time.Duration) error

	// After returns what is kept of a name that was published behind an offset, at most so many messages and at least one, if there is one;
	// behind offset 0, all. The offset need not be that of a message: it may be that of Began. It blocks, as long as the context lasts. The
	// errors are ErrEpoch, ErrDown, ErrClosed, the context's, or another one if the broker did not answer.
	After(ctx context.Context, name, epoch string, offset uint64, most int) (Page, error)
}

// Page is what a Historian has kept.
type Page struct {
	// Messages are in order, with nothing missing between them, and a Reset is not among them. Prev of the first is the offset that was asked
	// about if the page is Whole.
	Messages []Message
	// Whole says that nothing was published between the offset that was asked about and the first message, or until now when there is
	// none. A Historian says so only if it can prove it, and not across a Reset: then Messages are what came behind that.
	Whole bool
	// More says that there are messages behind these. Without it, they are all that was published before After was called.
	More bool
	// End is an offset that Messages and Began do not exceed until something more is published to any name.
	End uint64
}

// Publication is what goes to the subscribers of a name.
type Publication struct {
	Data string // any bytes
	Key  string // a repetition has the same one; empty: none. It names its owner, too
	From string // see tank.Publication
	JSON bool   // Data is JSON, and not just text

	// Keep has a Historian keep it. Other brokers take no notice. Messages come without it.
	Keep bool
	// Reset is for a Historian, with Keep. It is a publication without data that comes to all Receivers in its place, with an offset. What was published to
	// the name before it is not kept any more.
	Reset bool
}

// Receipt says what became of a publication. The zero Receipt is that of one that is not kept.
type Receipt struct {
	Epoch     string // of the offset
	Offset    uint64 // that the publication has, or the earlier one with its key
	Duplicate bool   // it was published to this name before with this key, and was not published again
}

// Subscription is what a Receiver wants to have.
type Subscription struct {
	Name string
	Keep bool     // a Historian keeps what is published to the name
	To   Receiver // comparable; its identity is that of the subscription
}

// Message is a publication on its way to a Receiver. Of one that is not kept, Offset, Prev and At are zero. Otherwise offsets are below 2^53
// and grow from message to message of a name, but not by one.
type Message struct {
	Publication
	Offset uint64
	Prev   uint64    // that of the message delivered before it, or of Began if that came after it
	At     time.Time // when it was published; zero: just now
}

// Receiver takes what comes for one subscription. Its methods are called by one goroutine at a time, which may be the same for all
// Receivers, and may be called before Subscribe has returned.
type Receiver interface {
	// Began says where the subscription to a name that is kept stands: before the first Deliver, and again after each Lost. Nothing with that offset, or one
	// before it, is delivered in this epoch. The offset need not be that of a message; it is not less than those delivered before in the
	// same epoch. In another epoch, everything is delivered that was published from its beginning, unless Lost is called. It does not block,
	// and is not called for names that are not kept.
	Began(epoch string, offset uint64)
	// Deliver takes messages, in order. The Receiver keeps the slice. It may wait for a moment, until there is room.
	Deliver([]Message)
	// Lost says that messages may be missing between those delivered before and those that follow. It may be called more than once for the
	// same gap. For a name that is kept, that is one that the Historian cannot fill, or another epoch. It does not block.
	Lost(cause error)
}

// Watcher is told how the connection is. Its methods do not block. Down and Up are called in turn, by one goroutine at a time; the first
// call says how it is at the beginning.
type Watcher interface {
	// Down says that there is no connection any more, or none yet. inDoubt is how many publications of this instance were accepted and may
	// not have arrived; a broker that cannot know returns an upper bound. Those whose Publish returned an error are not among them.
	Down(cause error, inDoubt int)
	// Up says that there is a connection, and that all subscriptions that were in force are so again.
	Up()
}

package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// feed is a subscription at the broker: of a topic, of what other instances tell of who is in it, or of the talk between instances. It
// belongs to a topic, and not to a name, so that the subscriptions of two topics of one name, of which one has ended, are two.
type feed struct {
	// Immutable.
	link   *Link
	topic  *topic.Topic  // nil: what comes is the talk
	people bool          // what comes is who is in the topic elsewhere
	placed chan struct{} // of a topic whose messages the broker keeps: closed when the topic knows where it stands

	// Owned by the broker's goroutine.
	epoch string // of a topic whose messages the broker keeps

	// Owned by the link.
	tried      bool // the broker may have it
	subscribed bool // the last call was successful
	gone       bool // the topic has ended
}

// name returns under which name the feed is subscribed.
func (f *feed) name() string {
	switch {
	case f.topic == nil:
		return talk
	case f.people:
		return here + f.topic.Name()
	}
	return f.topic.Name()
}

// The functions from here on run in a goroutine of the broker's.

// roomWithin is how long a broker's goroutine waits for room in a topic's mailbox. Other topics wait behind it.
const roomWithin = 100 * time.Millisecond

// keeps reports whether the broker keeps what comes.
func (f *feed) keeps() bool { return f.topic != nil && !f.people && f.topic.IsShared() }

// Began tells the topic where it stands.
func (f *feed) Began(epoch string, offset uint64) {
	if !f.keeps() {
		return
	}
	f.topic.Began(wire.Position{Epoch: epoch, Seq: offset})
	if f.epoch == "" {
		close(f.placed)
	}
	f.epoch = epoch
}

// Deliver gives the topic what has come. What it has no room for is lost, and told as a gap.
func (f *feed) Deliver(messages []broker.Message) {
	switch {
	case f.topic == nil:
		for _, m := range messages {
			if !f.link.settles(m.Data) {
				f.link.owner.Heard(m.Data)
			}
		}
	case f.people:
		f.hear(messages)
	default:
		f.arrive(messages)
	}
}

func (f *feed) arrive(messages []broker.Message) {
	arrivals := make([]topic.Arrival, 0, len(messages))
	for _, m := range messages {
		a, err := arrival(m, f.name())
		if err != nil {
			f.link.owner.Failed(fmt.Errorf("a publication to the topic %s is dropped: %w", wire.Quote(f.name()), err))
			continue
		}
		arrivals = append(arrivals, a)
	}
	f.link.counters.Received.Add(uint64(len(messages)))
	ctx, cancel := context.WithTimeout(context.Background(), roomWithin)
	defer cancel()
	if err := f.topic.Arrive(ctx, arrivals); err != nil && !errors.Is(err, actor.ErrStopped) {
		f.Lost(fmt.Errorf("%d publications found the queue of the topic full", len(messages)))
		f.Began(f.epoch, messages[len(messages)-1].Offset)
	}
}

// check looks at what comes from outside.
func check(p *wire.Publication) error {
	switch {
	case p.Topic != "" && !utf8.ValidString(p.Data): // what goes to all clients may be binary
		return errors.New("its text is not valid UTF-8")
	case p.JSON && !json.Valid([]byte(p.Data)):
		return errors.New("its JSON is malformed")
	}
	if p.From != "" {
		return wire.CheckUserID(p.From)
	}
	return nil
}

// Lost tells the topic that something may be missing. Where the broker keeps what comes, Began does, which follows.
func (f *feed) Lost(cause error) {
	if f.people {
		return // all of it is said again
	}
	if f.topic != nil {
		f.link.counters.Gaps.Add(1)
		if !f.keeps() {
			f.topic.Gap()
		}
	}
	f.link.ref.Post(lost{f.topic != nil && f.topic.Name() != "", cause})
}

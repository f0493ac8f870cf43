package link

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fanqie/tank-websocket-go-server/actor"
	"github.com/fanqie/tank-websocket-go-server/broker"
	"github.com/fanqie/tank-websocket-go-server/internal/wire"
	"github.com/fanqie/tank-websocket-go-server/topic"
)

// feed is the subscription of a topic at the broker, or of the talk between instances. It is what the broker knows of the topic, so that the
// subscriptions of two topics of one name, of which one has ended, are two.
type feed struct {
	// Immutable.
	link  *Link
	topic *topic.Topic // nil: what comes is the talk

	// Owned by the link.
	tried      bool // the broker may have it
	subscribed bool // the last call was successful
	gone       bool // the topic has ended
}

// name returns under which name the feed is subscribed.
func (f *feed) name() string {
	if f.topic == nil {
		return Talk
	}
	return f.topic.Name()
}

// The functions from here on run in a goroutine of the broker's.

// roomWithin is how long a broker's goroutine waits for room in a topic's mailbox. Other topics wait behind it.
const roomWithin = 100 * time.Millisecond

// Began is of brokers that keep messages.
func (f *feed) Began(string, uint64) {}

// Deliver gives the topic what has come. What it has no room for is lost, and told as a gap.
func (f *feed) Deliver(messages []broker.Message) {
	if f.topic == nil {
		for _, m := range messages {
			f.link.owner.Heard(m.Data)
		}
		return
	}
	publications := make([]wire.Publication, len(messages))
	for i, m := range messages {
		publications[i] = wire.Publication{Data: m.Data, JSON: m.JSON, Key: m.Key, From: m.From}
	}
	f.link.counters.Received.Add(uint64(len(messages)))
	ctx, cancel := context.WithTimeout(context.Background(), roomWithin)
	defer cancel()
	if err := f.topic.Arrive(ctx, publications); err != nil && !errors.Is(err, actor.ErrStopped) {
		f.Lost(fmt.Errorf("%d publications found the queue of the topic full", len(messages)))
	}
}

// Lost tells the topic that something may be missing.
func (f *feed) Lost(cause error) {
	f.link.counters.Gaps.Add(1)
	if f.topic != nil {
		f.topic.Gap()
	}
	f.link.ref.Post(lost{cause})
}

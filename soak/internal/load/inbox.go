package load

import (
	"sync"

	"github.com/fanqie/tank-websocket-go-server/soak/internal/check"
)

// inbox checks what one connection receives. Its reader gives it frames, and others ask; it is safe for concurrent use.
type inbox struct {
	who    string
	tally  *check.Tally
	ledger *check.Ledger // not nil: it is the witness of its topics
	lax    bool          // a faulty client's: nobody waits until its subscriptions are confirmed, and it may be refused things

	mu         sync.Mutex
	streams    map[string]*check.Stream // of the topics that are subscribed to
	broadcasts *check.Stream
	own        map[check.Message]chan check.Position // own publications that have to come back
	echoes     map[string]chan struct{}              // messages that the server's message handler has to send back
	refusals   map[string]int                        // by code

	firstBroadcast chan struct{} // closed when one has come
}

func newInbox(who string, tally *check.Tally) *inbox {
	return &inbox{
		who:        who,
		tally:      tally,
		streams:    make(map[string]*check.Stream),
		broadcasts: check.NewStream(who, tally),
		own:        make(map[check.Message]chan check.Position),
		echoes:     make(map[string]chan struct{}),
		refusals:   make(map[string]int),

		firstBroadcast: make(chan struct{}),
	}
}

// begin opens the stream of a topic, before the client subscribes.
func (b *inbox) begin(topic string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ledger != nil {
		b.streams[topic] = check.FromStart(b.who, b.tally)
	} else {
		b.streams[topic] = check.NewStream(b.who, b.tally)
	}
}

// end closes it, when nothing can come any more, and returns where it ended.
func (b *inbox) end(topic string) check.Position {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.streams[topic]
	delete(b.streams, topic)
	return s.Position()
}

// expectOwn returns a channel for the position at which an own publication comes back.
func (b *inbox) expectOwn(m check.Message) <-chan check.Position {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := make(chan check.Position, 1)
	b.own[m] = c
	return c
}

// expectEcho returns a channel that is closed when the message has come back.
func (b *inbox) expectEcho(payload string) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := make(chan struct{})
	b.echoes[payload] = c
	return c
}

// refused returns how often the server refused something with that code.
func (b *inbox) refused(code string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusals[code]
}

// text takes a text message.
func (b *inbox) text(payload []byte) {
	f, err := check.Parse(payload)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err != nil:
		b.tally.Other("%s: %v", b.who, err)
	case f.Refusal != "":
		b.refusals[f.Refusal]++
		if !b.lax {
			b.tally.Other("%s: refused with %s about topic %q", b.who, f.Refusal, f.Topic)
		}
	case f.Topic == "":
		if b.broadcasts.Last(check.Broadcaster) == 0 {
			close(b.firstBroadcast)
		}
		b.broadcasts.Take(f.Message)
	default:
		b.message(f.Message)
	}
}

func (b *inbox) message(m check.Message) {
	s := b.streams[m.Topic]
	if s == nil {
		if !b.lax {
			b.tally.Stray(b.who, m)
			return
		}
		s = check.NewStream(b.who, b.tally)
		b.streams[m.Topic] = s
	}
	s.Take(m)
	if b.ledger != nil {
		b.ledger.Record(m)
	}
	if c := b.own[m]; c != nil {
		delete(b.own, m)
		c <- s.Position()
	}
}

// binary takes a binary message, which is an echo.
func (b *inbox) binary(payload []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.echoes[string(payload)]
	if c == nil && b.lax {
		return // garbage can be a good message by chance
	}
	if c == nil {
		b.tally.Other("%s: a binary message of %d bytes that it did not send", b.who, len(payload))
		return
	}
	delete(b.echoes, string(payload))
	close(c)
}

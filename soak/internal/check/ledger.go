package check

import "sync"

// Ledger is the order of messages in each topic, as the topic's witness sees it: a client that is subscribed all the time.
// It remembers positions of those messages only for which somebody asked in advance. It is safe for concurrent use.
type Ledger struct {
	mu        sync.Mutex
	positions map[string]Position
	expected  map[Message]chan Position
}

// NewLedger makes an empty one.
func NewLedger() *Ledger {
	return &Ledger{positions: make(map[string]Position), expected: make(map[Message]chan Position)}
}

// Record takes the next message that the topic's witness received.
func (l *Ledger) Record(m Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.positions[m.Topic].After(m)
	l.positions[m.Topic] = p
	if c := l.expected[m]; c != nil {
		delete(l.expected, m)
		c <- p
	}
}

// Expect returns a channel for the position behind a message that is not published yet.
func (l *Ledger) Expect(m Message) <-chan Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := make(chan Position, 1)
	l.expected[m] = c
	return c
}

// Forget gives up a message that was expected.
func (l *Ledger) Forget(m Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.expected, m)
}

// Position returns where a topic is.
func (l *Ledger) Position(topic string) Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.positions[topic]
}

// Mark is the same message in the two orders: that of a subscriber, and that of the topic's witness.
type Mark struct{ Stream, Ledger Position }

// Compare checks that a subscriber saw between two marks what the witness saw, in its order.
func (t *Tally) Compare(who, topic string, from, to Mark) {
	saw, all := to.Stream.Since(from.Stream), to.Ledger.Since(from.Ledger)
	if saw != all {
		t.fault(&t.counts.Divergences, 1, "%s: %d messages of topic %q instead of %d, or in another order", who, saw.Count, topic, all.Count)
	}
}

// CompareEnd checks that a subscriber saw, behind a mark, no more than what the witness saw before its unsubscribing was
// confirmed by a message, which was published behind it and is not for the subscriber.
func (t *Tally) CompareEnd(who, topic string, from, to Mark) {
	saw, most := to.Stream.Since(from.Stream).Count, to.Ledger.Since(from.Ledger).Count-1
	if saw > most {
		t.fault(&t.counts.Strays, saw-most, "%s: %d messages of topic %q after it had unsubscribed", who, saw-most, topic)
	}
}

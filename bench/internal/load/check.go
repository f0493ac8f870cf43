package load

import (
	"bytes"
	"fmt"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
)

// check looks at the messages of one connection: each is byte for byte one that was published to the topic, and each
// publisher's come in the order of their numbers.
type check struct {
	sample *Sample
	topic  []byte // as it stands in the message
	last   map[source]int
}

// source is the messages of one publisher to one topic, which come in order. Those to several topics need not.
type source struct{ publisher, topic int }

// Sample is what the checked connections have in common. After Await, its results may be read.
type Sample struct {
	Every     int              // each how many'th connection is checked; 1: all
	Payload   *payload.Checker // of what is published
	Topic     func(int) string // of a connection; nil: not looked at
	Topics    int              // that a connection may be subscribed to, of those published to in turn; 0: one
	Latencies []int64          // in nanoseconds; made with the capacity that is wanted, none are kept beyond
	Checked   int              // messages
}

func newCheck(s *Sample, number int) *check {
	c := &check{sample: s, last: make(map[source]int)}
	if s.Topic != nil {
		c.topic = []byte(`"` + s.Topic(number) + `"`)
	}
	return c
}

func (c *check) message(data []byte, now int64) error {
	h, err := c.sample.Payload.Check(data)
	if err != nil {
		return fmt.Errorf("%w: %.80q", err, data)
	}
	if c.topic != nil && !bytes.Contains(data, c.topic) {
		return fmt.Errorf("message of another topic than %s: %.80q", c.topic, data)
	}
	from := source{h.Publisher, h.Sequence % max(1, c.sample.Topics)}
	if last, ok := c.last[from]; ok && h.Sequence <= last {
		return fmt.Errorf("message %d of publisher %d comes after %d", h.Sequence, h.Publisher, last)
	}
	c.last[from] = h.Sequence
	c.sample.Checked++
	if h.Time != 0 && len(c.sample.Latencies) < cap(c.sample.Latencies) {
		c.sample.Latencies = append(c.sample.Latencies, now-h.Time)
	}
	return nil
}

package check

import (
	"fmt"
	"sync"
)

// Counts is what was found. All but the deliveries must be zero.
type Counts struct {
	Deliveries  uint64 `json:"deliveries"`
	Gaps        uint64 `json:"gaps"`        // messages that did not come, although later ones did
	Duplicates  uint64 `json:"duplicates"`  // messages that came again
	Inversions  uint64 `json:"inversions"`  // messages that came behind later ones of their publisher
	Divergences uint64 `json:"divergences"` // subscribers who did not see what the topic's witness saw, or not in its order
	Strays      uint64 `json:"strays"`      // messages outside of a subscription
	Others      uint64 `json:"others"`      // anything else that must not happen to a healthy client
}

// Faults is the sum of all that must be zero.
func (c Counts) Faults() uint64 {
	return c.Gaps + c.Duplicates + c.Inversions + c.Divergences + c.Strays + c.Others
}

// Tally counts for all connections together. It is safe for concurrent use.
type Tally struct {
	mu       sync.Mutex
	counts   Counts
	examples []string
}

// maxExamples is how many faults are described.
const maxExamples = 20

// Counts returns what was found so far.
func (t *Tally) Counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

// Examples describes the first faults.
func (t *Tally) Examples() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.examples...)
}

// Stray counts a message outside of a subscription.
func (t *Tally) Stray(who string, m Message) {
	t.fault(&t.counts.Strays, 1, "%s: %v is not for it", who, m)
}

// Gap counts messages that did not come at all.
func (t *Tally) Gap(format string, args ...any) { t.fault(&t.counts.Gaps, 1, format, args...) }

// Other counts anything else that must not happen.
func (t *Tally) Other(format string, args ...any) { t.fault(&t.counts.Others, 1, format, args...) }

func (t *Tally) fault(count *uint64, n uint64, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*count += n
	if len(t.examples) < maxExamples {
		t.examples = append(t.examples, fmt.Sprintf(format, args...))
	}
}

// delivered counts a message that is in order.
func (t *Tally) delivered() {
	t.mu.Lock()
	t.counts.Deliveries++
	t.mu.Unlock()
}

// late turns a gap into an inversion: the message came after all.
func (t *Tally) late(who string, m Message) {
	t.fault(&t.counts.Inversions, 1, "%s: %v came behind later ones", who, m)
	t.mu.Lock()
	t.counts.Gaps--
	t.mu.Unlock()
}

package natsbroker

import "sync"

// entry is what the dispatcher has to do: deliver a message to a feed, tell it of a loss, deal with the end of a network connection, or
// something else.
type entry struct {
	feed *feed
	message
	lost error
	cut  uint64 // number of the dial that followed
	do   func()
}

// queue stands between the goroutine that reads from NATS, which never waits, and the dispatcher, which waits for Receivers. It has
// bounds. What does not fit is dropped, and the feed is told at that place.
type queue struct {
	maxCount int
	maxBytes int
	wake     chan struct{}

	mu      sync.Mutex
	entries []entry
	count   int // of those with data
	bytes   int
}

func newQueue(maxCount, maxBytes int) *queue {
	return &queue{maxCount: maxCount, maxBytes: maxBytes, wake: make(chan struct{}, 1)}
}

// put adds a message, unless there is too much.
func (q *queue) put(f *feed, m message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count > 0 && (q.count >= q.maxCount || q.bytes+len(m.data) > q.maxBytes) {
		if !f.dropping {
			f.dropping = true
			q.add(entry{feed: f, lost: errSlow})
		}
		return
	}
	f.dropping = false
	q.count++
	q.bytes += len(m.data)
	q.add(entry{feed: f, message: m})
}

func (q *queue) putLost(f *feed, cause error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(entry{feed: f, lost: cause})
}

func (q *queue) putDo(do func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(entry{do: do})
}

func (q *queue) putCut(id uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(entry{cut: id})
}

func (q *queue) add(e entry) {
	q.entries = append(q.entries, e)
	if len(q.entries) == 1 {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// take returns all entries, and keeps spare for those to come.
func (q *queue) take(spare []entry) []entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	entries := q.entries
	q.entries, q.count, q.bytes = spare[:0], 0, 0
	return entries
}

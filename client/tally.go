package client

import "sync/atomic"

// Tally counts messages of all clients in parts, so that processors that are at work for different clients at once do not wait for each
// other's caches.
type Tally struct {
	parts   [tallyParts]tally
	clients atomic.Uint32
}

// tally is a part of a Tally.
type tally struct {
	messages atomic.Uint64
	bytes    atomic.Uint64

	_ [cacheLines - 16]byte
}

const (
	tallyParts = 16
	cacheLines = 128 // processors fetch two lines of 64 bytes at a time

	// writtenTogether is how many clients in a row share a part of what is written: those of a topic mostly came one after the other, and
	// one processor goes through them. What is read comes from anyone.
	writtenTogether = 64
)

// part returns where a new client counts, of which so many in a row share a part.
func (t *Tally) part(together uint32) *tally {
	return &t.parts[(t.clients.Add(1)-1)/together%tallyParts]
}

// Messages returns how many data messages there were.
func (t *Tally) Messages() (sum uint64) {
	for i := range t.parts {
		sum += t.parts[i].messages.Load()
	}
	return sum
}

// Bytes returns how many bytes there were.
func (t *Tally) Bytes() (sum uint64) {
	for i := range t.parts {
		sum += t.parts[i].bytes.Load()
	}
	return sum
}

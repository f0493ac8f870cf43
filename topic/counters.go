package topic

import (
	"sync/atomic"

	"github.com/fanqie/tank-websocket-go-server/internal/wire"
)

// Counters are summed over all topics that share Options. Any goroutine may read them.
type Counters struct {
	Recovered atomic.Uint64 // subscribers that asked for what came behind a position, and missed nothing
	Missed    Missed
	Replayed  atomic.Uint64 // messages that topics had kept, and gave to a subscriber that asked for them
	Present   atomic.Int64  // users who are present, counted once for each topic
}

// Missed counts subscribers that asked for what came behind a position, and were told that messages are missing: by the reason.
type Missed struct {
	Epoch, Ahead, Off, Evicted, Unknown atomic.Uint64
}

// of returns the count of a reason.
func (m *Missed) of(why string) *atomic.Uint64 {
	switch why {
	case wire.MissedEpoch:
		return &m.Epoch
	case wire.MissedAhead:
		return &m.Ahead
	case wire.MissedOff:
		return &m.Off
	case wire.MissedUnknown:
		return &m.Unknown
	}
	return &m.Evicted
}

// countReply counts what a subscriber was answered who asked for what came behind a position.
func (c *Counters) countReply(r wire.Subscribed) {
	switch {
	case r.Replay != wire.BehindSince:
	case r.Missed == "":
		c.Recovered.Add(1)
	default:
		c.Missed.of(r.Missed).Add(1)
	}
}

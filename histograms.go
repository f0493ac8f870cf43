package tank

import (
	"time"

	"github.com/fanqie/tank-websocket-go-server/internal/metrics"
)

// Histograms are distributions of what happens in an instance. They count from NewInstance on.
type Histograms struct {
	// BatchMessages is how many messages topics handed to their subscribers at a time. Its Sum is Stats.Published.
	BatchMessages Histogram `json:"batch_messages"`
	// WriteLatency is the time from the publish of a message until a subscriber's socket has taken it, in seconds. One message in
	// 16 is measured, at most one of a batch, for one of its subscribers. A message that this subscriber loses is not counted.
	WriteLatency Histogram `json:"write_latency"`
	// OutboxBytes is the number of queued bytes of a client: accepted, but not yet taken by its socket. Each client is measured
	// once in a heartbeat interval.
	OutboxBytes Histogram `json:"outbox_bytes"`
}

// Histogram counts observations by size.
type Histogram struct {
	Bounds []float64 `json:"bounds"` // inclusive upper bounds of the buckets, increasing
	Counts []uint64  `json:"counts"` // observations in each bucket; one more than Bounds, for all that is larger
	Sum    float64   `json:"sum"`    // of all observations
}

// Histograms returns the distributions. It never blocks. A busy instance's counts may be of slightly different moments.
func (m *Manager) Histograms() Histograms {
	return Histograms{
		BatchMessages: read(m.histograms.batchMessages, 1),
		WriteLatency:  read(m.histograms.writeLatency, float64(time.Second)),
		OutboxBytes:   read(m.histograms.outboxBytes, 1),
	}
}

// histograms of an instance.
type histograms struct {
	batchMessages *metrics.Histogram
	writeLatency  *metrics.Histogram // nanoseconds
	outboxBytes   *metrics.Histogram
}

func newHistograms() histograms {
	const us, ms, kib, mib = int64(time.Microsecond), int64(time.Millisecond), 1 << 10, 1 << 20
	return histograms{
		batchMessages: metrics.NewHistogram(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048),
		writeLatency: metrics.NewHistogram(25*us, 50*us, 100*us, 250*us, 500*us, 1*ms, 2500*us, 5*ms, 10*ms, 25*ms, 50*ms, 100*ms,
			250*ms, 500*ms, 1000*ms, 2500*ms, 5000*ms, 10_000*ms),
		outboxBytes: metrics.NewHistogram(0, 1*kib, 4*kib, 16*kib, 64*kib, 256*kib, 1*mib, 4*mib, 16*mib, 64*mib),
	}
}

// read converts a histogram of integers to one of units that each are so many of those.
func read(h *metrics.Histogram, unit float64) Histogram {
	bounds := make([]float64, len(h.Bounds()))
	for i, b := range h.Bounds() {
		bounds[i] = float64(b) / unit
	}
	return Histogram{Bounds: bounds, Counts: h.Counts(), Sum: float64(h.Sum()) / unit}
}

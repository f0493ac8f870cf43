package inspector

import (
	"net/http"
	"slices"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// sample is how an instance fared between two looks, as JSON. Clients, topics and outbox bytes are as they were at the end; all
// else is per second.
type sample struct {
	Time           int64   `json:"time"` // Unix milliseconds
	Clients        int     `json:"clients"`
	Topics         int     `json:"topics"`
	OutboxMemory   int64   `json:"outbox_memory"`
	MessagesIn     float64 `json:"messages_in"`
	BytesIn        float64 `json:"bytes_in"`
	Published      float64 `json:"published"`
	MessagesOut    float64 `json:"messages_out"`
	BytesOut       float64 `json:"bytes_out"`
	Dropped        float64 `json:"dropped"`
	Recovered      float64 `json:"recovered"`
	Missed         float64 `json:"missed"` // clients that came back and were told that messages may be missing
	Requests       float64 `json:"requests"`
	RequestsFailed float64 `json:"requests_failed"`
	Evicted        float64 `json:"evicted"`
	Refused        float64 `json:"refused"`
	Throttled      float64 `json:"throttled"`
	EventsDropped  float64 `json:"events_dropped"`
	Panics         float64 `json:"panics"`
}

const (
	maxSamples = 300         // that are kept: five minutes, when somebody looks every second
	recently   = time.Minute // what distributions are of
)

// health is what is known of an instance's past. It is not changed, but followed by another one.
type health struct {
	time       time.Time
	stats      tank.Stats
	samples    []sample // oldest first
	histograms map[string]tank.Histogram
	marks      []mark // oldest first: what histograms were not so recently, and since
}

// mark is what histograms had counted at some time.
type mark struct {
	time       time.Time
	histograms map[string]tank.Histogram
}

// next looks at an instance. before is nil at the first look.
func (before *health) next(m *tank.Manager) *health {
	h := &health{time: time.Now(), stats: m.Stats(), histograms: byName(m.Histograms())}
	now := mark{h.time, h.histograms}
	if before == nil {
		h.marks = []mark{now}
		return h
	}
	h.samples = append(slices.Clone(before.samples[max(0, len(before.samples)+1-maxSamples):]), sampleBetween(before, h))
	h.marks = append(slices.Clone(before.marks), now)
	for len(h.marks) > 2 && h.time.Sub(h.marks[1].time) >= recently {
		h.marks = h.marks[1:]
	}
	return h
}

// byName returns histograms by the names that they have on the page.
func byName(h tank.Histograms) map[string]tank.Histogram {
	return map[string]tank.Histogram{
		"batch_messages":  h.BatchMessages,
		"write_latency":   h.WriteLatency,
		"outbox_bytes":    h.OutboxBytes,
		"request_latency": h.RequestLatency,
	}
}

func sampleBetween(a, b *health) sample {
	d := b.time.Sub(a.time)
	rate := func(before, after uint64) float64 { return perSecond(after-min(after, before), d) }
	return sample{
		Time:           b.time.UnixMilli(),
		Clients:        b.stats.Clients,
		Topics:         b.stats.Topics,
		OutboxMemory:   b.stats.OutboxMemory,
		MessagesIn:     rate(a.stats.MessagesIn, b.stats.MessagesIn),
		BytesIn:        rate(a.stats.BytesIn, b.stats.BytesIn),
		Published:      rate(a.stats.Published, b.stats.Published),
		MessagesOut:    rate(a.stats.MessagesOut, b.stats.MessagesOut),
		BytesOut:       rate(a.stats.BytesOut, b.stats.BytesOut),
		Dropped:        rate(a.stats.Dropped, b.stats.Dropped),
		Recovered:      rate(a.stats.Resumes.Recovered, b.stats.Resumes.Recovered),
		Missed:         rate(missed(a.stats.Resumes), missed(b.stats.Resumes)),
		Requests:       rate(a.stats.Requests, b.stats.Requests),
		RequestsFailed: rate(a.stats.RequestsFailed, b.stats.RequestsFailed),
		Evicted:        rate(a.stats.Evicted, b.stats.Evicted),
		Refused:        rate(a.stats.Refused, b.stats.Refused),
		Throttled:      rate(a.stats.Throttled, b.stats.Throttled),
		EventsDropped:  rate(a.stats.EventsDropped, b.stats.EventsDropped),
		Panics:         rate(a.stats.PanicsRecovered, b.stats.PanicsRecovered),
	}
}

// missed returns how many answers said that messages may be missing.
func missed(r tank.Resumes) uint64 { return r.Epoch + r.Ahead + r.Off + r.Evicted + r.Unknown }

// distribution is a histogram, as JSON.
type distribution struct {
	tank.Histogram
	Recent []uint64 `json:"recent"` // counts of the last minute; of all that somebody looked, when that is shorter
}

// distributions returns what histograms have counted since the oldest mark; at the first look, which is that mark, all of it.
func (h *health) distributions() map[string]distribution {
	all := make(map[string]distribution, len(h.histograms))
	for name, now := range h.histograms {
		recent := slices.Clone(now.Counts)
		if len(h.marks) > 1 {
			for i, before := range h.marks[0].histograms[name].Counts {
				recent[i] -= min(recent[i], before)
			}
		}
		all[name] = distribution{now, recent}
	}
	return all
}

// healthPage is how an instance fares, as JSON.
type healthPage struct {
	Time       time.Time               `json:"time"`
	State      string                  `json:"state"`
	Stats      tank.Stats              `json:"stats"`
	Interval   float64                 `json:"interval"` // seconds between two samples, when somebody looks so often
	Samples    []sample                `json:"samples"`
	Histograms map[string]distribution `json:"histograms"`
}

func (h *handler) showHealth(r *http.Request) (any, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	var now *health
	if err := h.health.with(r.Context(), "", func(latest *health) { now = latest }); err != nil {
		return nil, err
	}
	return healthPage{
		Time:       now.time,
		State:      string(now.stats.State),
		Stats:      now.stats,
		Interval:   time.Second.Seconds(),
		Samples:    append([]sample{}, now.samples...),
		Histograms: now.distributions(),
	}, nil
}

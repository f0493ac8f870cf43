package tankprometheus

import (
	"github.com/prometheus/client_golang/prometheus"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// statMetric is a counter or gauge: a field of tank.Stats.
type statMetric struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	value  func(tank.Stats) float64
	labels []string // values beside the instance's name
}

func (m statMetric) of(s tank.Stats, instance string) prometheus.Metric {
	return valid(m.desc)(prometheus.NewConstMetric(m.desc, m.kind, m.value(s), append([]string{instance}, m.labels...)...))
}

// histogramMetric is a field of tank.Histograms.
type histogramMetric struct {
	desc  *prometheus.Desc
	value func(tank.Histograms) tank.Histogram
}

func (m histogramMetric) of(h tank.Histograms, instance string) prometheus.Metric {
	buckets, count, sum := cumulate(m.value(h))
	return valid(m.desc)(prometheus.NewConstHistogram(m.desc, count, sum, buckets, instance))
}

// cumulate returns for each bound how many observations are not larger, and how many there are in all.
func cumulate(h tank.Histogram) (buckets map[float64]uint64, count uint64, sum float64) {
	buckets = make(map[float64]uint64, len(h.Bounds))
	for i, n := range h.Counts {
		count += n
		if i < len(h.Bounds) { // the last is for all that is larger; the registry adds it
			buckets[h.Bounds[i]] = count
		}
	}
	return buckets, count, h.Sum
}

// valid fails the scrape, and not the program, if a metric could not be made.
func valid(desc *prometheus.Desc) func(prometheus.Metric, error) prometheus.Metric {
	return func(m prometheus.Metric, err error) prometheus.Metric {
		if err != nil {
			return prometheus.NewInvalidMetric(desc, err)
		}
		return m
	}
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tank_"+name, help, append([]string{"instance"}, labels...), nil)
}

func counter(name, help string, value func(tank.Stats) uint64) statMetric {
	return counterOf(describe(name+"_total", help), value)
}

func counterOf(desc *prometheus.Desc, value func(tank.Stats) uint64, labels ...string) statMetric {
	return statMetric{desc, prometheus.CounterValue, func(s tank.Stats) float64 { return float64(value(s)) }, labels}
}

func gauge(name, help string, value func(tank.Stats) float64) statMetric {
	return statMetric{describe(name, help), prometheus.GaugeValue, value, nil}
}

var resumes = describe("resumes_total",
	"Answers to clients of tank.v2 that asked for what came behind a position: recovered, or why messages may be missing.", "answer")

var statMetrics = []statMetric{
	gauge("running", "1 while the instance takes connections: not before Start, nor once Shutdown was called.",
		func(s tank.Stats) float64 {
			if s.State == "running" {
				return 1
			}
			return 0
		}),
	gauge("uptime_seconds", "How long the instance has been running; 0 while tank_running is.",
		func(s tank.Stats) float64 { return s.Uptime.Seconds() }),
	gauge("clients", "Connected clients, including those that are being closed.",
		func(s tank.Stats) float64 { return float64(s.Clients) }),
	gauge("v2_clients", "Connected clients that speak tank.v2.",
		func(s tank.Stats) float64 { return float64(s.ClientsV2) }),
	gauge("parked_clients", "Connected clients from which nothing comes, and that wait together for that.",
		func(s tank.Stats) float64 { return float64(s.Parked) }),
	gauge("present_users", "Users who are in topics that know who is in them, counted once for each topic.",
		func(s tank.Stats) float64 { return float64(s.Present) }),
	gauge("topics", "Topics that have subscribers or keep messages.",
		func(s tank.Stats) float64 { return float64(s.Topics) }),
	gauge("lingering_topics", "Topics that have neither, and live on for a while.",
		func(s tank.Stats) float64 { return float64(s.LingeringTopics) }),
	gauge("history_memory_bytes", "Memory of what topics keep; see Limits.TotalHistoryBytes.",
		func(s tank.Stats) float64 { return float64(s.HistoryMemory) }),
	gauge("outbox_memory_bytes", "Memory of the queued bytes of all clients together; see Limits.TotalOutboxBytes.",
		func(s tank.Stats) float64 { return float64(s.OutboxMemory) }),
	counter("connections_accepted", "Requests that became a connection.",
		func(s tank.Stats) uint64 { return s.Accepted }),
	counter("connections_refused", "Requests that did not become a connection.",
		func(s tank.Stats) uint64 { return s.Refused }),
	counter("messages_received", "Data messages received from clients.",
		func(s tank.Stats) uint64 { return s.MessagesIn }),
	counter("received_bytes", "Bytes of the data messages received from clients, frame headers and compression aside.",
		func(s tank.Stats) uint64 { return s.BytesIn }),
	counter("messages_ignored", "Messages from clients that were for a message handler, where there is none.",
		func(s tank.Stats) uint64 { return s.MessagesIgnored }),
	counter("messages_throttled", "Messages from clients that had to wait because of Limits.MessagesPerSecond.",
		func(s tank.Stats) uint64 { return s.Throttled }),
	counter("messages_published", "Messages that topics have taken, those of BroadcastMessage included.",
		func(s tank.Stats) uint64 { return s.Published }),
	counter("messages_sent", "Data messages written to sockets.",
		func(s tank.Stats) uint64 { return s.MessagesOut }),
	counter("sent_bytes", "Bytes written to sockets, frame headers included.",
		func(s tank.Stats) uint64 { return s.BytesOut }),
	counter("messages_dropped", "Messages for a client that were not, as far as is known, written to its socket.",
		func(s tank.Stats) uint64 { return s.Dropped }),
	counter("messages_lost", "Messages that were dropped for a client of tank.v2, and that it was told of.",
		func(s tank.Stats) uint64 { return s.Lost }),
	counter("messages_replayed", "Messages that topics kept, and gave to clients of tank.v2 that asked for them.",
		func(s tank.Stats) uint64 { return s.Replayed }),
	counterOf(resumes, func(s tank.Stats) uint64 { return s.Resumes.Recovered }, "recovered"),
	counterOf(resumes, func(s tank.Stats) uint64 { return s.Resumes.Epoch }, "epoch"),
	counterOf(resumes, func(s tank.Stats) uint64 { return s.Resumes.Ahead }, "ahead"),
	counterOf(resumes, func(s tank.Stats) uint64 { return s.Resumes.Off }, "off"),
	counterOf(resumes, func(s tank.Stats) uint64 { return s.Resumes.Evicted }, "evicted"),
	counterOf(resumes, func(s tank.Stats) uint64 { return s.Resumes.Unknown }, "unknown"),
	gauge("broker_down", "1 while there is no connection to the broker; 0 without a broker.",
		func(s tank.Stats) float64 {
			if s.Broker.Down {
				return 1
			}
			return 0
		}),
	counter("broker_published", "Publications that the broker has accepted.",
		func(s tank.Stats) uint64 { return s.Broker.Published }),
	counter("broker_refused", "Publications that the broker has not accepted.",
		func(s tank.Stats) uint64 { return s.Broker.Refused }),
	counter("broker_received", "Publications that have come from the broker for topics of the instance.",
		func(s tank.Stats) uint64 { return s.Broker.Received }),
	counter("broker_gaps", "Times that a topic may have missed publications on their way from the broker.",
		func(s tank.Stats) uint64 { return s.Broker.Gaps }),
	counter("broker_in_doubt", "Publications that were accepted and may have been lost with the connection to the broker.",
		func(s tank.Stats) uint64 { return s.Broker.InDoubt }),
	counter("requests_failed", "Calls of the request handler that were answered with an error, or panicked.",
		func(s tank.Stats) uint64 { return s.RequestsFailed }),
	counter("clients_evicted", "Clients closed because of Limits.OutboxBytes or Limits.TotalOutboxBytes.",
		func(s tank.Stats) uint64 { return s.Evicted }),
	counter("events_dropped", "Events that found Errors, ConnEvents or the logger full.",
		func(s tank.Stats) uint64 { return s.EventsDropped }),
	counter("panics_recovered", "Panics of callbacks and actors that were recovered.",
		func(s tank.Stats) uint64 { return s.PanicsRecovered }),
}

var histogramMetrics = []histogramMetric{
	{describe("batch_messages", "How many messages topics handed to their subscribers at a time."),
		func(h tank.Histograms) tank.Histogram { return h.BatchMessages }},
	{describe("write_latency_seconds", "Time from the publish of a message until a subscriber's socket had taken it; sampled."),
		func(h tank.Histograms) tank.Histogram { return h.WriteLatency }},
	{describe("outbox_bytes", "Bytes on the way to a client, of each client once in a heartbeat interval."),
		func(h tank.Histograms) tank.Histogram { return h.OutboxBytes }},
	{describe("request_latency_seconds", "How long calls of the request handler took."),
		func(h tank.Histograms) tank.Histogram { return h.RequestLatency }},
}

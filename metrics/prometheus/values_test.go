package tankprometheus_test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	tank "github.com/fanqie/tank-websocket-go-server"
	tankprometheus "github.com/fanqie/tank-websocket-go-server/metrics/prometheus"
)

// eventful starts an instance in which everything has happened that is counted, and waits until it has come to rest.
func eventful(t *testing.T) *instance {
	t.Helper()
	i := start(t,
		tank.WithLimits(tank.Limits{OutboxBytes: 64 << 10, MessagesPerSecond: 1000, MessageBurst: 10}),
		tank.WithHeartbeat(time.Hour, time.Hour), // pings count as bytes sent
		tank.WithConnEventBuffer(1),
		tank.WithTopics("kept", tank.TopicOptions{History: tank.History{Messages: 1}}),
		tank.WithSubscribeAuthorizer(func(_ *tank.Client, topic string) error {
			if topic == "boom" {
				panic("boom")
			}
			return nil
		}))
	ann, bob := i.subscribe("ann", "news"), i.subscribe("bob", "news")
	for n := range 100 {
		i.publish("news", fmt.Sprint(n), ann, bob)
	}
	for range 30 {
		i.send(ann, "nobody handles this")
	}
	i.send(i.dial("eve"), "sub:boom")
	_, _, err := websocket.Dial(t.Context(), i.server.URL, &websocket.DialOptions{
		HTTPClient: i.server.Client(), HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}},
	})
	if err == nil {
		t.Fatal("a foreign origin was not refused")
	}
	i.subscribe("carl", "floods") // and reads nothing
	flood := strings.Repeat("x", 30_000)
	until(t, "eviction", func() bool {
		must(t, i.BroadcastTopicMessage("floods", flood))
		return i.Stats().Evicted > 0
	})
	must(t, i.Publish(t.Context(), "kept", "without subscribers"))
	_, err = i.Position("lingering")
	must(t, err)
	i.atRest()
	return i
}

// atRest waits until nothing is counted any more.
func (i *instance) atRest() {
	i.t.Helper()
	before, began := i.Stats(), time.Now()
	until(i.t, "rest", func() bool {
		now := i.Stats()
		before.Uptime, now.Uptime = 0, 0
		if now != before {
			before, began = now, time.Now()
		}
		return time.Since(began) > 200*time.Millisecond
	})
}

func TestValuesAreThoseOfStats(t *testing.T) {
	i := eventful(t)
	_, server := expose(t, map[string]*tank.Manager{"chat": i.Manager})
	families := scrape(t, server)
	s := i.Stats()
	for name, want := range map[string]float64{
		"tank_running":                    1,
		"tank_clients":                    float64(s.Clients),
		"tank_topics":                     float64(s.Topics),
		"tank_lingering_topics":           float64(s.LingeringTopics),
		"tank_history_memory_bytes":       float64(s.HistoryMemory),
		"tank_connections_accepted_total": float64(s.Accepted),
		"tank_connections_refused_total":  float64(s.Refused),
		"tank_messages_received_total":    float64(s.MessagesIn),
		"tank_received_bytes_total":       float64(s.BytesIn),
		"tank_messages_ignored_total":     float64(s.MessagesIgnored),
		"tank_messages_throttled_total":   float64(s.Throttled),
		"tank_messages_published_total":   float64(s.Published),
		"tank_messages_sent_total":        float64(s.MessagesOut),
		"tank_sent_bytes_total":           float64(s.BytesOut),
		"tank_messages_dropped_total":     float64(s.Dropped),
		"tank_clients_evicted_total":      float64(s.Evicted),
		"tank_events_dropped_total":       float64(s.EventsDropped),
		"tank_panics_recovered_total":     float64(s.PanicsRecovered),
	} {
		m := of(families[name], "chat")
		if m == nil || number(m) != want || want == 0 {
			t.Errorf("%s is %v; Stats say %v, and it should have happened", name, m, want)
		}
	}
	if got := number(of(families["tank_uptime_seconds"], "chat")); got <= 0 || got > s.Uptime.Seconds() {
		t.Errorf("tank_uptime_seconds is %v; a moment later it was %v", got, s.Uptime)
	}
	if got := number(of(families["tank_outbox_memory_bytes"], "chat")); got != float64(s.OutboxMemory) {
		t.Errorf("tank_outbox_memory_bytes is %v, want %d", got, s.OutboxMemory)
	}
}

// TestMemoryOfOutboxesIsExposed: a client that does not read has some.
func TestMemoryOfOutboxesIsExposed(t *testing.T) {
	i := start(t, tank.WithLimits(tank.Limits{OutboxBytes: 64 << 20, WriteTimeout: time.Hour}))
	_, server := expose(t, map[string]*tank.Manager{"chat": i.Manager})
	i.subscribe("carl", "floods")
	flood := strings.Repeat("x", 30_000)
	until(t, "a full socket", func() bool {
		must(t, i.BroadcastTopicMessage("floods", flood))
		return i.Stats().OutboxMemory > 1<<20
	})
	i.atRest()
	got, want := number(of(scrape(t, server)["tank_outbox_memory_bytes"], "chat")), i.Stats().OutboxMemory
	if got != float64(want) {
		t.Errorf("tank_outbox_memory_bytes is %v, want %d", got, want)
	}
}

func TestHistogramsAreThoseOfTheInstance(t *testing.T) {
	i := start(t, tank.WithHeartbeat(5*time.Millisecond, 10*time.Second))
	ws := i.subscribe("ann", "news")
	for n := range 100 {
		i.publish("news", fmt.Sprint(n), ws)
	}
	observed := func(h tank.Histogram) bool {
		return slices.ContainsFunc(h.Counts, func(n uint64) bool { return n > 0 })
	}
	until(t, "a look at outboxes", func() bool { return observed(i.Histograms().OutboxBytes) })
	ws.CloseRead(t.Context())
	shutdown(t, i.Manager) // or clients would go on being looked at
	_, server := expose(t, map[string]*tank.Manager{"chat": i.Manager})
	families, histograms := scrape(t, server), i.Histograms()
	for name, want := range map[string]tank.Histogram{
		"tank_batch_messages":        histograms.BatchMessages,
		"tank_write_latency_seconds": histograms.WriteLatency,
		"tank_outbox_bytes":          histograms.OutboxBytes,
	} {
		got := of(families[name], "chat").GetHistogram()
		buckets := got.GetBucket()
		if len(buckets) != len(want.Bounds)+1 {
			t.Errorf("%s has %d buckets, want %d and one for all", name, len(buckets), len(want.Bounds))
			continue
		}
		sum := uint64(0)
		for n, count := range want.Counts {
			sum += count
			bound := math.Inf(1)
			if n < len(want.Bounds) {
				bound = want.Bounds[n]
			}
			if b := buckets[n]; b.GetCumulativeCount() != sum || b.GetUpperBound() != bound {
				t.Errorf("%s has %d up to %v, want %d up to %v", name, b.GetCumulativeCount(), b.GetUpperBound(), sum, bound)
			}
		}
		if got.GetSampleCount() != sum || sum == 0 || got.GetSampleSum() != want.Sum {
			t.Errorf("%s counts %d observations with the sum %v, want %d (not 0) and %v", name, got.GetSampleCount(), got.GetSampleSum(), sum, want.Sum)
		}
	}
}

func TestNothingForLintersToFind(t *testing.T) {
	i := eventful(t)
	registry := prometheus.NewPedanticRegistry()
	c := tankprometheus.NewCollector()
	must(t, registry.Register(c))
	must(t, c.Add("chat", i.Manager))
	must(t, c.Add("ticker", tank.NewInstance()))
	problems, err := testutil.GatherAndLint(registry)
	must(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 2*23 {
		t.Errorf("gathered %d metrics (%v), want 23 of each instance", n, err)
	}
}

// TestTheOnlyLabelIsInstance: no topic, user or client, however it is called, ends up in the exposition.
func TestTheOnlyLabelIsInstance(t *testing.T) {
	i := eventful(t)
	_, server := expose(t, map[string]*tank.Manager{"chat": i.Manager})
	for name, family := range scrape(t, server) {
		for _, m := range family.GetMetric() {
			if len(m.GetLabel()) != 1 || m.GetLabel()[0].GetName() != "instance" {
				t.Errorf("%s has labels %v", name, m.GetLabel())
			}
		}
	}
	text := exposition(t, server)
	for _, secret := range []string{"news", "floods", "ann", "127.0.0.1"} {
		if strings.Contains(text, `"`+secret) {
			t.Errorf("the exposition has %q:\n%s", secret, text)
		}
	}
}

// TestCountersOnlyGrow looks at a busy instance again and again.
func TestCountersOnlyGrow(t *testing.T) {
	i := start(t, tank.WithHeartbeat(2*time.Millisecond, 10*time.Second))
	_, server := expose(t, map[string]*tank.Manager{"chat": i.Manager})
	ws := i.subscribe("ann", "news")
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			default:
				i.publish("news", fmt.Sprint(n), ws)
			}
		}
	})
	before := map[string]float64{}
	for range 50 {
		now := map[string]float64{}
		for name, family := range scrape(t, server) {
			m := of(family, "chat")
			if family.GetType() == dto.MetricType_COUNTER {
				now[name] = number(m)
			}
			if h := m.GetHistogram(); h != nil {
				buckets := h.GetBucket()
				for n, b := range buckets {
					now[fmt.Sprint(name, " ", n)] = float64(b.GetCumulativeCount())
					if n > 0 && b.GetCumulativeCount() < buckets[n-1].GetCumulativeCount() {
						t.Errorf("%s: bucket %d is smaller than the one before", name, n)
					}
				}
				if last := buckets[len(buckets)-1].GetCumulativeCount(); last != h.GetSampleCount() {
					t.Errorf("%s: the last bucket has %d of %d observations", name, last, h.GetSampleCount())
				}
				now[name+" sum"] = h.GetSampleSum()
			}
		}
		for name, value := range before {
			if now[name] < value {
				t.Errorf("%s went from %v to %v", name, value, now[name])
			}
		}
		before = now
	}
	close(done)
	wg.Wait()
	if before["tank_messages_sent_total"] == 0 || before["tank_batch_messages 0"] == 0 {
		t.Errorf("nothing happened: %v", before)
	}
}

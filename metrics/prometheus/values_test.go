package tankprometheus_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
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
	"github.com/fanqie/tank-websocket-go-server/broker/brokertest"
	tankprometheus "github.com/fanqie/tank-websocket-go-server/metrics/prometheus"
)

// eventful starts an instance in which everything has happened that is counted, and waits until it has come to rest.
func eventful(t *testing.T) *instance {
	t.Helper()
	i := start(t,
		tank.WithLimits(tank.Limits{OutboxBytes: 64 << 10, MessagesPerSecond: 1000, MessageBurst: 10}),
		tank.WithHeartbeat(time.Hour, time.Hour), // pings count as bytes sent
		tank.WithConnEventBuffer(1),
		tank.WithTopics("kept", tank.TopicOptions{History: tank.History{Messages: 1}, Presence: tank.Presence{Enabled: true}}),
		tank.WithRequestHandler(func(*tank.Client, tank.Request) (any, error) { return nil, errors.New("no") }),
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
	for range 3 {
		must(t, i.Publish(t.Context(), "kept", "without subscribers"))
	}
	_, err = i.Position("lingering")
	must(t, err)
	i.v2()
	i.atRest()
	return i
}

// v2 has everything happen that is counted of clients of tank.v2.
func (i *instance) v2() {
	i.t.Helper()
	ws := i.dialV2("dan")
	read := func() (text string) {
		_, data, err := ws.Read(i.t.Context())
		must(i.t, err)
		return string(data)
	}
	read() // hello
	at := make(map[string]tank.Position)
	for _, topic := range []string{"kept", "news"} {
		var err error
		at[topic], err = i.Position(topic)
		must(i.t, err)
	}
	for answer, since := range map[string]tank.Position{
		"recovered": {Epoch: at["kept"].Epoch, Seq: at["kept"].Seq - 1},
		"evicted":   {Epoch: at["kept"].Epoch, Seq: 0},
		"ahead":     {Epoch: at["kept"].Epoch, Seq: at["kept"].Seq + 1},
		"epoch":     {Epoch: "another", Seq: 1},
	} {
		i.send(ws, fmt.Sprintf(`{"id":1,"sub":"kept","since":[%q,%d]}`, since.Epoch, since.Seq))
		if got := read(); !strings.Contains(got, answer) {
			i.t.Errorf("asked for %v: %s, want %s", since, got, answer)
		}
		if answer == "recovered" {
			read()
		}
	}
	i.send(ws, fmt.Sprintf(`{"id":1,"sub":"news","since":[%q,0]}`, at["news"].Epoch))
	if got := read(); !strings.Contains(got, `"off"`) {
		i.t.Errorf("got %s", got)
	}
	i.send(ws, `{"id":1,"msg":"fail"}`)
	read()
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
		"tank_v2_clients":                 float64(s.ClientsV2),
		"tank_present_users":              float64(s.Present),
		"tank_messages_replayed_total":    float64(s.Replayed),
		"tank_requests_failed_total":      float64(s.RequestsFailed),
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
	if got := number(of(families["tank_parked_clients"], "chat")); got != float64(s.Parked) {
		t.Errorf("tank_parked_clients is %v, want %d", got, s.Parked)
	}
	if got := number(of(families["tank_outbox_memory_bytes"], "chat")); got != float64(s.OutboxMemory) {
		t.Errorf("tank_outbox_memory_bytes is %v, want %d", got, s.OutboxMemory)
	}
}

// TestResumesHaveALabel: one series for each answer.
func TestResumesHaveALabel(t *testing.T) {
	i := eventful(t)
	_, server := expose(t, map[string]*tank.Manager{"chat": i.Manager})
	got := make(map[string]float64)
	for _, m := range scrape(t, server)["tank_resumes_total"].GetMetric() {
		got[label(m, "answer")] = number(m)
	}
	r := i.Stats().Resumes
	want := map[string]float64{
		"recovered": float64(r.Recovered), "epoch": float64(r.Epoch), "ahead": float64(r.Ahead), "off": float64(r.Off), "evicted": float64(r.Evicted), "unknown": float64(r.Unknown),
	}
	if !maps.Equal(got, want) {
		t.Errorf("exposed %v, want %v", got, want)
	}
	for answer, n := range want {
		if once := answer != "unknown"; once != (n == 1) {
			t.Errorf("%s happened %v times", answer, n)
		}
	}
}

// TestBrokerIsExposed: what goes to it, what comes from it, and that it is away.
func TestBrokerIsExposed(t *testing.T) {
	w := brokertest.NewNetwork()
	node := w.Node()
	i := start(t, tank.WithBroker(node))
	_, server := expose(t, map[string]*tank.Manager{"chat": i.Manager})
	i.subscribe("ann", "news")
	until(t, "a connection to the broker", func() bool { return i.Publish(t.Context(), "news", "hello") == nil })
	until(t, "the publication", func() bool { return i.Stats().Broker.Received == 1 })
	node.HoldPublish()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if i.BroadcastMessage(nil) == nil || i.Publish(ctx, "news", "hello") == nil {
		t.Error("published although the broker holds it")
	}
	node.CutInDoubt(3)
	until(t, "the cut", func() bool { return i.Stats().Broker.Down })
	look := func(name string) float64 { return number(of(scrape(t, server)[name], "chat")) }
	if got := look("tank_broker_down"); got != 1 {
		t.Errorf("tank_broker_down is %v", got)
	}
	node.Heal()
	until(t, "a gap", func() bool { return i.Stats().Broker.Gaps > 0 && !i.Stats().Broker.Down })
	s := i.Stats().Broker
	for name, want := range map[string]uint64{
		"tank_broker_published_total": s.Published, "tank_broker_refused_total": s.Refused, "tank_broker_received_total": s.Received,
		"tank_broker_gaps_total": s.Gaps, "tank_broker_in_doubt_total": s.InDoubt,
	} {
		if got := look(name); got != float64(want) || want == 0 {
			t.Errorf("%s is %v, want %d, which should have happened", name, got, want)
		}
	}
	if got := look("tank_broker_down"); got != 0 {
		t.Errorf("tank_broker_down is %v", got)
	}
}

// TestLostMessagesAreExposed: those that were dropped for a slow client, and that it was told of.
func TestLostMessagesAreExposed(t *testing.T) {
	i := start(t, tank.WithOutboxPolicy(tank.OutboxDropOldest), tank.WithLimits(tank.Limits{OutboxBytes: 64 << 10}))
	_, server := expose(t, map[string]*tank.Manager{"chat": i.Manager})
	ws := i.dialV2("eve")
	ws.SetReadLimit(1 << 20)
	i.send(ws, `{"sub":"floods"}`)
	until(t, "subscription", func() bool { return i.GetTopicSubscriberCount("floods") == 1 })
	flood := strings.Repeat("x", 30_000)
	until(t, "a full socket", func() bool {
		must(t, i.BroadcastTopicMessage("floods", flood))
		return i.Stats().Dropped > 0
	})
	until(t, "a notice", func() bool {
		_, _, err := ws.Read(t.Context())
		must(t, err)
		return i.Stats().Lost > 0
	})
	i.atRest()
	if got, want := number(of(scrape(t, server)["tank_messages_lost_total"], "chat")), i.Stats().Lost; got != float64(want) {
		t.Errorf("tank_messages_lost_total is %v, want %d", got, want)
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
	i := start(t, tank.WithHeartbeat(5*time.Millisecond, 10*time.Second),
		tank.WithRequestHandler(func(*tank.Client, tank.Request) (any, error) { return nil, errors.New("no") }))
	i.send(i.dialV2("dan"), `{"id":1,"msg":"fail"}`)
	until(t, "a request", func() bool { return i.Stats().Requests == 1 })
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

		"tank_request_latency_seconds": histograms.RequestLatency,
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

// metricsOfEach is how many metrics there are of an instance.
const metricsOfEach = 42

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
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 2*metricsOfEach {
		t.Errorf("gathered %d metrics (%v), want %d of each instance", n, err, metricsOfEach)
	}
}

// TestNobodyElseChoosesLabels: no topic, user or client, however it is called, ends up in the exposition.
func TestNobodyElseChoosesLabels(t *testing.T) {
	i := eventful(t)
	_, server := expose(t, map[string]*tank.Manager{"chat": i.Manager})
	for name, family := range scrape(t, server) {
		for _, m := range family.GetMetric() {
			of := label(m, "instance")
			if most := map[bool]int{true: 2, false: 1}[name == "tank_resumes_total"]; of != "chat" || len(m.GetLabel()) != most {
				t.Errorf("%s has labels %v", name, m.GetLabel())
			}
		}
	}
	text := exposition(t, server)
	for _, secret := range []string{"news", "floods", "ann", "dan", "another", "127.0.0.1"} {
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

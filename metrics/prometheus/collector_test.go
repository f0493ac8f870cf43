package tankprometheus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	tank "github.com/fanqie/tank-websocket-go-server"
	tankprometheus "github.com/fanqie/tank-websocket-go-server/metrics/prometheus"
)

func TestInstancesAreApart(t *testing.T) {
	chat, ticker := start(t), start(t)
	chat.publish("news", "one", chat.subscribe("ann", "news"))
	ws := ticker.subscribe("bob", "prices")
	ticker.publish("prices", "one", ws, ticker.subscribe("carl", "prices"))
	ticker.publish("prices", "two", ws)
	_, server := expose(t, map[string]*tank.Manager{"chat": chat.Manager, "价格 \"2\"\\": ticker.Manager})
	families := scrape(t, server)
	for metric, want := range map[string][2]float64{
		"tank_clients":                  {1, 2},
		"tank_messages_published_total": {1, 2},
		"tank_messages_received_total":  {1, 2},
	} {
		for n, name := range []string{"chat", `价格 "2"\`} {
			if m := of(families[metric], name); m == nil || number(m) != want[n] {
				t.Errorf("%s of %s is %v, want %v", metric, name, m, want[n])
			}
		}
	}
}

func TestBeforeStartAndAfterShutdown(t *testing.T) {
	m := tank.NewInstance()
	_, server := expose(t, map[string]*tank.Manager{"chat": m})
	look := func(name string) float64 { return number(of(scrape(t, server)[name], "chat")) }
	for name, want := range map[string]float64{"tank_running": 0, "tank_uptime_seconds": 0, "tank_connections_accepted_total": 0} {
		if got := look(name); got != want {
			t.Errorf("before Start, %s is %v", name, got)
		}
	}
	go m.Start()
	until(t, "start", m.IsRunning)
	until(t, "uptime", func() bool { return look("tank_running") == 1 && look("tank_uptime_seconds") > 0 })
	shutdown(t, m)
	if running, uptime := look("tank_running"), look("tank_uptime_seconds"); running != 0 || uptime != 0 {
		t.Errorf("after Shutdown, tank_running is %v and tank_uptime_seconds %v", running, uptime)
	}
}

// TestCountsOutliveShutdown: the last scrape of a process that ends is not to say that nothing ever happened.
func TestCountsOutliveShutdown(t *testing.T) {
	i := start(t)
	ws := i.subscribe("ann", "news")
	i.publish("news", "one", ws)
	ws.CloseRead(t.Context())
	_, server := expose(t, map[string]*tank.Manager{"chat": i.Manager})
	shutdown(t, i.Manager)
	families := scrape(t, server)
	if got := number(of(families["tank_messages_published_total"], "chat")); got != 1 {
		t.Errorf("%v messages were published, want 1", got)
	}
	if got := number(of(families["tank_clients"], "chat")); got != 0 {
		t.Errorf("%v clients are left", got)
	}
}

func TestNamesAreChecked(t *testing.T) {
	c := tankprometheus.NewCollector()
	m := tank.NewInstance()
	must(t, c.Add("chat", m))
	long := strings.Repeat("世", 43)
	for _, tt := range []struct {
		name string
		m    *tank.Manager
		want string
	}{
		{"", tank.NewInstance(), `tankprometheus: the name of an instance is empty`},
		{"chat", tank.NewInstance(), `tankprometheus: there is already an instance "chat"`},
		{"chat", m, `tankprometheus: there is already an instance "chat"`},
		{"again", m, `tankprometheus: instance "again" is already there as "chat"`},
		{"none", nil, `tankprometheus: instance "none" is nil`},
		{"a\nb", tank.NewInstance(), `tankprometheus: instance name "a\nb" contains the control character U+000A`},
		{"\xff", tank.NewInstance(), `tankprometheus: instance name "\xff" is not valid UTF-8`},
		{long, tank.NewInstance(), `tankprometheus: instance name "` + strings.Repeat(`\u4e16`, 10) + `"... has 129 bytes, and may have 128`},
	} {
		if err := c.Add(tt.name, tt.m); err == nil || err.Error() != tt.want {
			t.Errorf("Add(%.20q) returns %v, want %s", tt.name, err, tt.want)
		}
	}
	if n := testutil.CollectAndCount(c, "tank_running"); n != 1 {
		t.Errorf("%d instances after refusals, want 1", n)
	}
	must(t, c.Add(long[:126]+"ab", tank.NewInstance())) // 128 bytes
	if n := testutil.CollectAndCount(c, "tank_running"); n != 2 {
		t.Errorf("%d instances, want 2", n)
	}
}

func TestARemovedNameIsFree(t *testing.T) {
	c, server := expose(t, map[string]*tank.Manager{"chat": tank.NewInstance(), "ticker": tank.NewInstance()})
	if !c.Remove("chat") || c.Remove("chat") || c.Remove("nobody") {
		t.Error("Remove does not say what it found")
	}
	running := scrape(t, server)["tank_running"]
	if of(running, "chat") != nil || of(running, "ticker") == nil {
		t.Errorf("after Remove, there is %v", running)
	}
	next := start(t)
	must(t, c.Add("chat", next.Manager))
	if m := of(scrape(t, server)["tank_running"], "chat"); number(m) != 1 {
		t.Errorf("the next one of the name is %v", m)
	}
}

func TestWithoutInstancesThereIsNothing(t *testing.T) {
	_, server := expose(t, nil)
	if text := exposition(t, server); text != "" {
		t.Errorf("exposed:\n%s", text)
	}
}

// TestInstancesComeAndGoDuringScrapes: every scrape succeeds, and has all series of an instance or none.
func TestInstancesComeAndGoDuringScrapes(t *testing.T) {
	stays := start(t)
	c, server := expose(t, map[string]*tank.Manager{"stays": stays.Manager})
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for n := range 4 {
		wg.Go(func() {
			name, m := fmt.Sprint("guest ", n), tank.NewInstance()
			for ctx.Err() == nil {
				if err := c.Add(name, m); err != nil {
					t.Error(err)
				}
				if !c.Remove(name) {
					t.Errorf("%s was not there", name)
				}
			}
		})
	}
	seen := 0
	for range 25 {
		families := scrape(t, server)
		names := labels(families["tank_running"])
		seen += len(names) - 1
		if !slices.Contains(names, "stays") {
			t.Errorf("only %q were there", names)
		}
		for name, family := range families {
			if got := labels(family); !slices.Equal(got, names) {
				t.Errorf("%s is there of %q, tank_running of %q", name, got, names)
			}
		}
	}
	cancel()
	wg.Wait()
	if seen == 0 {
		t.Error("no guest was ever seen")
	}
}

// labels returns of which instances there are metrics, sorted.
func labels(family *dto.MetricFamily) []string {
	var list []string
	for _, m := range family.GetMetric() {
		list = append(list, label(m, "instance"))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// TestAScrapeThatStallsHoldsNobodyUp: its reader takes one metric and no more.
func TestAScrapeThatStallsHoldsNobodyUp(t *testing.T) {
	c := tankprometheus.NewCollector()
	must(t, c.Add("chat", tank.NewInstance()))
	metrics := make(chan prometheus.Metric)
	var wg sync.WaitGroup
	wg.Go(func() { c.Collect(metrics); close(metrics) })
	<-metrics
	must(t, c.Add("ticker", tank.NewInstance()))
	if !c.Remove("chat") {
		t.Error("chat is not there")
	}
	rest := 0
	for range metrics {
		rest++
	}
	wg.Wait()
	if rest != metricsOfEach-1 {
		t.Errorf("the scrape went on with %d metrics, want %d", rest, metricsOfEach-1)
	}
}

// TestAScrapeWaitsForNoCallback: in this instance all callbacks block.
func TestAScrapeWaitsForNoCallback(t *testing.T) {
	block := make(chan struct{})
	i := start(t,
		tank.WithSubscribeAuthorizer(func(*tank.Client, string) error { <-block; return nil }),
		tank.WithMessageHandler(func(*tank.Client, tank.Message) { <-block }))
	defer close(block)
	i.send(i.dial("ann"), "sub:news")
	i.send(i.dial("bob"), "hello")
	_, server := expose(t, map[string]*tank.Manager{"chat": i.Manager})
	until(t, "messages", func() bool { return number(of(scrape(t, server)["tank_messages_received_total"], "chat")) == 2 })
}

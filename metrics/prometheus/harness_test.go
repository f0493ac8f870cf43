package tankprometheus_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	tank "github.com/fanqie/tank-websocket-go-server"
	tankprometheus "github.com/fanqie/tank-websocket-go-server/metrics/prometheus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for something that happens on a real socket.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	end := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("not within 20 seconds: ", what)
		}
	}
}

// instance is a running instance behind an HTTP server.
type instance struct {
	*tank.Manager
	t      *testing.T
	server *httptest.Server
}

func start(t *testing.T, opts ...tank.Option) *instance {
	t.Helper()
	m := tank.NewInstance(opts...)
	go m.Start()
	until(t, "start", m.IsRunning)
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	t.Cleanup(func() { shutdown(t, m) })
	return &instance{m, t, server}
}

func shutdown(t *testing.T, m *tank.Manager) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := m.Shutdown(ctx); err != nil && !errors.Is(err, tank.ErrClosed) {
		t.Error(err)
	}
}

// dial connects a client.
func (i *instance) dial(user string) *websocket.Conn {
	i.t.Helper()
	ws, _, err := websocket.Dial(i.t.Context(), i.server.URL+"?user_id="+user, &websocket.DialOptions{HTTPClient: i.server.Client()})
	must(i.t, err)
	i.t.Cleanup(func() { ws.CloseNow() })
	return ws
}

// dialV2 connects a client of tank.v2.
func (i *instance) dialV2(user string) *websocket.Conn {
	i.t.Helper()
	ws, _, err := websocket.Dial(i.t.Context(), i.server.URL+"?user_id="+user, &websocket.DialOptions{
		HTTPClient: i.server.Client(), Subprotocols: []string{"tank.v2"},
	})
	must(i.t, err)
	i.t.Cleanup(func() { ws.CloseNow() })
	return ws
}

// subscribe connects a client that is subscribed to a topic.
func (i *instance) subscribe(user, topic string) *websocket.Conn {
	i.t.Helper()
	before := i.GetTopicSubscriberCount(topic)
	ws := i.dial(user)
	i.send(ws, "sub:"+topic)
	until(i.t, "subscription", func() bool { return i.GetTopicSubscriberCount(topic) > before })
	return ws
}

func (i *instance) send(ws *websocket.Conn, text string) {
	i.t.Helper()
	must(i.t, ws.Write(i.t.Context(), websocket.MessageText, []byte(text)))
}

// publish publishes and reads it from each subscriber.
func (i *instance) publish(topic, data string, subscribers ...*websocket.Conn) {
	i.t.Helper()
	must(i.t, i.BroadcastTopicMessage(topic, data))
	for _, ws := range subscribers {
		_, _, err := ws.Read(i.t.Context())
		must(i.t, err)
	}
}

// expose serves what a collector of these instances collects.
func expose(t *testing.T, instances map[string]*tank.Manager) (*tankprometheus.Collector, *httptest.Server) {
	t.Helper()
	c := tankprometheus.NewCollector()
	for name, m := range instances {
		must(t, c.Add(name, m))
	}
	registry := prometheus.NewPedanticRegistry()
	must(t, registry.Register(c))
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	t.Cleanup(server.Close)
	return c, server
}

// exposition is what a server exposes, as text.
func exposition(t *testing.T, server *httptest.Server) string {
	t.Helper()
	response, err := server.Client().Get(server.URL)
	must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", response.Status, text)
	}
	return string(text)
}

// scrape is what a server exposes: name of a metric, and what it is.
func scrape(t *testing.T, server *httptest.Server) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(exposition(t, server)))
	must(t, err)
	return families
}

// of returns the metric of an instance, or nil.
func of(family *dto.MetricFamily, instance string) *dto.Metric {
	for _, m := range family.GetMetric() {
		if label(m, "instance") == instance {
			return m
		}
	}
	return nil
}

// label returns the value of a metric's label, or "".
func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// number returns the value of a counter or gauge.
func number(m *dto.Metric) float64 {
	if m.GetCounter() != nil {
		return m.GetCounter().GetValue()
	}
	return m.GetGauge().GetValue()
}

package tankprometheus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// A real Prometheus scrapes a process with two instances twice: as it does by default, and with honor_labels.
const config = `
global: {scrape_interval: 200ms, evaluation_interval: 200ms}
rule_files: [%q]
scrape_configs:
  - {job_name: default, static_configs: [{targets: [%[2]q]}]}
  - {job_name: honored, honor_labels: true, static_configs: [{targets: [%[2]q]}]}
`

// prometheusServer is a running Prometheus.
type prometheusServer struct {
	t   *testing.T
	url string
}

// runPrometheus runs one for the time of a test. It keeps its data in a directory of the test's.
func runPrometheus(t *testing.T, target *httptest.Server) prometheusServer {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs("alerts.yaml")
	must(t, err)
	file := filepath.Join(dir, "prometheus.yml")
	must(t, os.WriteFile(file, fmt.Appendf(nil, config, rules, strings.TrimPrefix(target.URL, "http://")), 0o666))
	l, err := net.Listen("tcp", "127.0.0.1:0") // for a free port
	must(t, err)
	address := l.Addr().String()
	must(t, l.Close())

	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program(t, "prometheus"), "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second // then it is killed
	var log strings.Builder
	cmd.Stderr = &log
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() {
		stop()
		<-ended
		http.DefaultClient.CloseIdleConnections()
		if t.Failed() {
			t.Logf("Prometheus said:\n%s", log.String())
		}
	})
	p := prometheusServer{t, "http://" + address}
	until(t, "Prometheus is ready", func() bool {
		select {
		case <-ended:
			t.Fatalf("Prometheus has ended:\n%s", log.String())
		default:
		}
		_, err := p.get("/-/ready", nil)
		return err == nil
	})
	return p
}

func (p prometheusServer) get(path string, parameters url.Values) ([]byte, error) {
	response, err := http.Get(p.url + path + "?" + parameters.Encode())
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return body, err
}

// ask fills in the data of an answer of Prometheus's.
func (p prometheusServer) ask(path string, parameters url.Values, data any) {
	p.t.Helper()
	body, err := p.get(path, parameters)
	if err == nil {
		err = json.Unmarshal(body, &struct{ Data any }{data})
	}
	if err != nil {
		p.t.Fatalf("%s %v: %v", path, parameters, err)
	}
}

// sample is one of a query's results.
type sample struct {
	Metric map[string]string
	Value  [2]any // time and value
}

func (p prometheusServer) query(expr string) []sample {
	p.t.Helper()
	var data struct{ Result []sample }
	p.ask("/api/v1/query", url.Values{"query": {expr}}, &data)
	return data.Result
}

// traffic goes on until the function that it returns is called.
func (i *instance) traffic() (stop func()) {
	ws, asks := i.subscribe("ann", "news"), i.dialV2("bob")
	ctx, cancel := context.WithCancel(context.Background())
	reading, endReading := context.WithCancel(context.Background()) // which closes the connection, so it ends last
	var writer, reader sync.WaitGroup
	writer.Go(func() {
		for tick := time.Tick(time.Millisecond); ctx.Err() == nil; <-tick {
			i.publish("news", "hello", ws)
			i.send(ws, "nobody handles this")
			i.send(asks, `{"id":1,"msg":"a request"}`)
		}
	})
	reader.Go(func() {
		for reading.Err() == nil {
			_, _, _ = asks.Read(reading)
		}
	})
	return func() {
		cancel()
		writer.Wait()
		endReading()
		reader.Wait()
	}
}

// TestARealPrometheusShowsTheDashboard asks it every question that the dashboard would ask, with honor_labels and without,
// and looks at the alerts that it has loaded.
func TestARealPrometheusShowsTheDashboard(t *testing.T) {
	chat := start(t, tank.WithHeartbeat(20*time.Millisecond, 10*time.Second),
		tank.WithRequestHandler(func(*tank.Client, tank.Request) (any, error) { return nil, nil }))
	stop := chat.traffic()
	defer func() { stop() }()
	_, target := expose(t, map[string]*tank.Manager{"chat": chat.Manager, "ticker": tank.NewInstance()})
	p := runPrometheus(t, target)
	until(t, "scrapes of both jobs", func() bool {
		return len(p.query(`count_over_time(tank_running[1m]) > 5`)) == 4
	})

	address := strings.TrimPrefix(target.URL, "http://")
	for _, job := range []struct {
		name             string
		values           map[string]string // of the variables, when one instance is chosen
		instance, nested []string          // what there is to choose from
	}{
		{"default", map[string]string{"instance": address, "exported_instance": "chat"}, []string{address}, []string{"chat", "ticker"}},
		{"honored", map[string]string{"instance": "chat", "exported_instance": ".*"}, []string{"chat", "ticker"}, nil},
	} {
		t.Run(job.name, func(t *testing.T) {
			p := prometheusServer{t, p.url}
			p.offers("instance", job.name, job.instance)
			p.offers("exported_instance", job.name, job.nested)
			all := map[string]string{"instance": ".*", "exported_instance": ".*"}
			for _, panel := range readDashboard(t).Panels {
				for _, target := range panel.Targets {
					p.shows(panel.Title, target.Expr, job.name, all)
					p.shows(panel.Title, target.Expr, job.name, job.values)
				}
			}
		})
	}
	p.alertsAreHealthy()
}

// offers checks what there is to choose from for a variable.
func (p prometheusServer) offers(label, job string, want []string) {
	p.t.Helper()
	var got []string
	p.ask("/api/v1/label/"+label+"/values", url.Values{"match[]": {fmt.Sprintf("tank_running{job=%q}", job)}}, &got)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		p.t.Errorf("variable %s of job %s offers %q, want %q", label, job, got, want)
	}
}

// shows checks that a panel's query has numbers to show.
func (p prometheusServer) shows(title, expr, job string, variables map[string]string) {
	p.t.Helper()
	expr = strings.NewReplacer("$job", job, "$instance", variables["instance"],
		"$exported_instance", variables["exported_instance"], "$__rate_interval", "5s").Replace(expr)
	result := p.query(expr)
	for _, s := range result {
		if s.Value[1] != "NaN" {
			return
		}
	}
	p.t.Errorf("panel %q has nothing to show: %s gives %v", title, expr, result)
}

// alertsAreHealthy looks at rules as they were evaluated.
func (p prometheusServer) alertsAreHealthy() {
	p.t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct {
				Name, Health, LastError string
				Alerts                  []struct{ Annotations map[string]string }
			}
		}
	}
	p.ask("/api/v1/rules", nil, &data)
	summaries := make(map[string]bool)
	rules := 0
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			rules++
			if r.Health != "ok" {
				p.t.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
			}
			for _, a := range r.Alerts {
				summaries[a.Annotations["summary"]] = true
			}
		}
	}
	if want := len(readAlerts(p.t).all()); rules != want {
		p.t.Errorf("Prometheus has %d rules of %d", rules, want)
	}
	var address string
	for _, s := range p.query(`tank_running{job="default", exported_instance="ticker"}`) {
		address = s.Metric["instance"]
	}
	for _, want := range []string{"tank ticker on " + address + " takes no connections", "tank ticker takes no connections"} {
		if !summaries[want] {
			p.t.Errorf("no alert says %q; there are %v", want, summaries)
		}
	}
}

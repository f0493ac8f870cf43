package natsbroker

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	tank "github.com/fanqie/tank-websocket-go-server"
)

// Some tests have several processes: the test binary starts itself again, as a NATS server or as a program with an instance.

// processEnv names the environment variable that makes this binary one of them: its value is a processConfig.
const processEnv = "NATSBROKER_PROCESS"

// processConfig is what a process is.
type processConfig struct {
	Server *server.Options // nil: an instance
	// What JSON leaves out of Server.
	Store, Cluster, Advertise string
	Routes                    []*url.URL

	URL        string
	Mode       Mode
	Stream     StreamOptions
	MaxPending int
	Listen     string // the address; empty: any that is free
	Number     int    // of the instance, which begins all of its publications
}

// serverConfig is a process with a NATS server.
func serverConfig(o *server.Options) processConfig {
	return processConfig{Server: o, Store: o.StoreDir, Cluster: o.Cluster.Name, Advertise: o.Cluster.Advertise, Routes: o.Routes}
}

// process is the main function of such a process. It ends with its standard input, so that it does not outlive the tests, and an
// instance shuts down when it is asked to terminate.
func process(config string) int {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	var c processConfig
	var shutdown func(context.Context) error
	err := json.Unmarshal([]byte(config), &c)
	if err == nil && c.Server != nil {
		err = c.serveNATS()
	} else if err == nil {
		shutdown, err = c.serveInstance()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	orphaned := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(orphaned)
	}()
	select {
	case <-orphaned:
	case <-asked:
		if err := shutdown(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}

func (c processConfig) serveNATS() error {
	c.Server.StoreDir, c.Server.Cluster.Name, c.Server.Cluster.Advertise, c.Server.Routes = c.Store, c.Cluster, c.Advertise, c.Routes
	s, err := server.NewServer(c.Server)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		return fmt.Errorf("no server after %v", patience)
	}
	fmt.Println(s.Addr())
	return nil
}

// topicNames are what instances publish to. Those that begin with "kept" have a history.
var topicNames = []string{"a.b", "kept"}

// serveInstance returns how to end it.
func (c processConfig) serveInstance() (shutdown func(context.Context) error, err error) {
	o := Options{URL: c.URL, Mode: c.Mode, Stream: c.Stream, MaxPending: c.MaxPending, Logger: slog.New(slog.DiscardHandler)}
	if c.Mode == JetStream {
		o.Stream.Messages = 50_000
	}
	b, err := New(o)
	if err != nil {
		return nil, err
	}
	m := tank.NewInstance(tank.WithBroker(b),
		tank.WithTopics("kept*", tank.TopicOptions{History: tank.History{Messages: 20_000, Bytes: 16 << 20, Age: time.Hour}}),
		tank.WithPublishAuthorizer(func(*tank.Client, *tank.Publication) error { return nil }),
		tank.WithLogger(slog.New(slog.DiscardHandler)),
		tank.WithLimits(tank.Limits{Subscriptions: 10_000, MessagesPerSecond: 1 << 30, MessageBurst: 1 << 30, OutboxBytes: 64 << 20}))
	go m.Start()
	l, err := net.Listen("tcp", cmp.Or(c.Listen, "127.0.0.1:0"))
	if err != nil {
		return nil, err
	}
	p := &publishers{manager: m, number: c.Number}
	mux := http.NewServeMux()
	mux.Handle("/ws", m)
	mux.HandleFunc("/begin", p.begin)
	mux.HandleFunc("/end", p.end)
	mux.HandleFunc("/publish", func(w http.ResponseWriter, r *http.Request) {
		answer(w, errorText(m.Publish(r.Context(), r.FormValue("topic"), r.FormValue("data"))))
	})
	mux.HandleFunc("/post", func(w http.ResponseWriter, r *http.Request) {
		at, err := m.PublishMessage(r.Context(), tank.Publication{Topic: r.FormValue("topic"), Data: r.FormValue("data"), Key: r.FormValue("key")})
		answer(w, posted{at, errorText(err)})
	})
	mux.HandleFunc("/stats", func(w http.ResponseWriter, _ *http.Request) { answer(w, m.Stats()) })
	go func() { _ = http.Serve(l, mux) }()
	fmt.Println(l.Addr())
	return m.Shutdown, nil
}

// posted is the answer to a publication that may have a key.
type posted struct {
	At    tank.Position
	Error string
}

func answer(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// publishers publish numbers, one goroutine to each of topicNames.
type publishers struct {
	manager *tank.Manager
	number  int
	stop    chan struct{}
	wg      sync.WaitGroup

	mu     sync.Mutex
	result published
}

// published is what publishers have done.
type published struct {
	Taken  map[string][]int // numbers whose Publish returned nil, by topic
	Failed map[string]int   // errors, by text
	Slow   time.Duration    // the longest call
}

// begin has the form values every, a duration, and burst, how many publications there are each time.
func (p *publishers) begin(_ http.ResponseWriter, r *http.Request) {
	every, _ := time.ParseDuration(r.FormValue("every"))
	var burst int
	_, _ = fmt.Sscan(r.FormValue("burst"), &burst)
	p.stop, p.result = make(chan struct{}), published{Taken: make(map[string][]int), Failed: make(map[string]int)}
	for _, topic := range topicNames {
		p.wg.Go(func() { p.run(topic, every, burst) })
	}
}

func (p *publishers) run(topic string, every time.Duration, burst int) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for number := 1; ; {
		select {
		case <-tick.C:
		case <-p.stop:
			return
		}
		for range burst {
			begun := time.Now()
			err := p.manager.Publish(context.Background(), topic, fmt.Sprintf("%d %d", p.number, number))
			p.note(topic, number, err, time.Since(begun))
			number++
		}
	}
}

func (p *publishers) note(topic string, number int, err error, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.result.Slow = max(p.result.Slow, took)
	if err == nil {
		p.result.Taken[topic] = append(p.result.Taken[topic], number)
	} else {
		p.result.Failed[err.Error()]++
	}
}

func (p *publishers) end(w http.ResponseWriter, _ *http.Request) {
	close(p.stop)
	p.wg.Wait()
	answer(w, p.result)
}

// child is a process, seen from the test.
type child struct {
	t     testing.TB
	cmd   *exec.Cmd
	stdin io.Closer
	addr  string // that it serves
}

func startChild(t testing.TB, c processConfig) *child {
	t.Helper()
	config, err := json.Marshal(c)
	must(t, err)
	name, err := os.Executable()
	must(t, err)
	p := &child{t: t, cmd: exec.Command(name)}
	p.cmd.Env = append(os.Environ(), processEnv+"="+string(config))
	p.cmd.Stderr = os.Stderr
	p.stdin, err = p.cmd.StdinPipe()
	must(t, err)
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	must(t, p.cmd.Start())
	t.Cleanup(p.kill)
	if _, err := fmt.Fscanln(bufio.NewReader(out), &p.addr); err != nil {
		t.Fatalf("a process did not begin: %v", err)
	}
	return p
}

// kill is kill -9.
func (p *child) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		_ = p.stdin.Close()
	}
}

// terminate asks an instance to end, and returns when it has.
func (p *child) terminate() {
	p.t.Helper()
	must(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("a process was asked to end: %v", err)
	}
	_ = p.stdin.Close()
}

// get asks an instance.
func (p *child) get(path string, into any) {
	p.t.Helper()
	resp, err := http.Get("http://" + p.addr + path)
	must(p.t, err)
	defer resp.Body.Close()
	if into != nil {
		must(p.t, json.NewDecoder(resp.Body).Decode(into))
	} else {
		_, _ = io.Copy(io.Discard, resp.Body)
	}
}

func (p *child) stats() tank.BrokerStats {
	var s tank.Stats
	p.get("/stats", &s)
	return s.Broker
}

// publish returns whether the instance has published.
func (p *child) publish(topic, data string) bool {
	var failed string
	resp, err := http.PostForm("http://"+p.addr+"/publish", url.Values{"topic": {topic}, "data": {data}})
	must(p.t, err)
	defer resp.Body.Close()
	must(p.t, json.NewDecoder(resp.Body).Decode(&failed))
	return failed == ""
}

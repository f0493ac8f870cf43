package suite

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/contender"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/payload"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/setup"
)

// tiny is every kind of scenario with next to nothing to do: enough for each delivery to be counted.
func tiny() []*scenario {
	size := burstSize{20, 50, 128}
	return []*scenario{
		burst("burst", size, 1),
		burst("burst-16", burstSize{5, 50, 16}, 1),
		burst("burst-70000", burstSize{3, 3, 70_000}, 1),
		steady(steadySize{10, 100, 1}, 1),
		topics("topics", topicsSize{20, 2, 3}, 1),
		churn(churnSize{5, 20}, 1),
		receive(receiveSize{5, 16, 1000, 100, 50}, 1),
		receive(receiveSize{5, 16 << 10, 100, 100, 5}, 1),
		hot(hotSize{2, 3, 100, 50}, 1),
		frozen(frozenSize{5, 2, 4 << 10, 100, 4}, 1),
		idle(20, 1),
		topicMemory(2, 10, 1),
		compression(burstSize{20, 10, 1024}, 1),
	}
}

// server is the name of the server program, built once for all tests.
var server string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		panic(err)
	}
	root, err := setup.Root()
	if err == nil {
		server, err = setup.BuildServer(context.Background(), root, dir)
	}
	if err != nil {
		panic(err)
	}
	burstTime = 100 * time.Millisecond
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func programs(names ...string) []Contender {
	return slices.DeleteFunc(GoContenders(server), func(c Contender) bool { return !slices.Contains(names, c.Name) })
}

// TestEveryDeliveryIsCounted runs everything end to end with tank and the floor.
func TestEveryDeliveryIsCounted(t *testing.T) {
	for _, c := range programs("tank", "floor") {
		for _, s := range tiny() {
			if !s.includes(c.Name) {
				continue
			}
			t.Run(c.Name+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				run(t, s, c)
			})
		}
	}
}

// run measures and expects every metric.
func run(t *testing.T, s *scenario, c Contender) {
	t.Helper()
	v, err := s.run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.metrics {
		if _, ok := v[m.Key]; !ok {
			t.Errorf("%s was not measured", m.Key)
		}
	}
}

// TestResume is the scenarios of clients that resume.
func TestResume(t *testing.T) {
	for _, c := range programs(resumers...) {
		for _, s := range []*scenario{resume(resumeSize{10, 50, 2}, 1), resumeFlooded(resumeFloodedSize{3, 5}, 1)} {
			t.Run(c.Name+"/"+s.name, func(t *testing.T) { run(t, s, c) })
		}
	}
}

// TestResumeNoticesWhatIsNotKept has more messages missed than there are.
func TestResumeNoticesWhatIsNotKept(t *testing.T) {
	for _, c := range programs(resumers...) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := measureResume(ctx, c, resumeSize{2, keptMessages + 1, 1})
			if err == nil || !strings.Contains(err.Error(), "not recovered") && !strings.Contains(err.Error(), `recovered\":false`) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestVariants is what tank's variants do.
func TestVariants(t *testing.T) {
	for _, c := range TankVariants(server) {
		for _, s := range []*scenario{burst("burst", burstSize{20, 50, 128}, 1), steady(steadySize{10, 100, 1}, 1)} {
			t.Run(c.Name+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				run(t, s, c)
			})
		}
	}
}

// TestEveryGoContenderDelivers is a burst, plain and compressed, with each of the others.
func TestEveryGoContenderDelivers(t *testing.T) {
	size := burstSize{10, 30, 1024}
	for _, c := range programs("gws", "gorilla", "melody", "centrifuge", "coder") {
		for name, config := range map[string]contender.Config{
			"plain":      size.queueFor(),
			"compressed": {Queue: size.queueFor().Queue, Compression: true},
		} {
			t.Run(c.Name+"/"+name, func(t *testing.T) {
				t.Parallel()
				v, err := measureBurst(t.Context(), c, size, payload.JSON(size.bytes), config, mostBursts)
				if err != nil {
					t.Fatal(err)
				}
				if compressed := v["wire"] < float64(size.bytes); compressed != config.Compression {
					t.Errorf("%.0f bytes per delivery", v["wire"])
				}
			})
		}
	}
}

// TestEveryGoContenderReceives has each of the others count what clients send, of both sizes.
func TestEveryGoContenderReceives(t *testing.T) {
	list := append(programs("gws", "gorilla", "melody", "centrifuge", "coder"), TankVariants(server)[0])
	for _, c := range list {
		for _, s := range []*scenario{receive(receiveSize{5, 16, 1000, 100, 50}, 1), receive(receiveSize{5, 16 << 10, 100, 100, 5}, 1)} {
			t.Run(c.Name+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				run(t, s, c)
			})
		}
	}
}

// TestMessagesThatAreNotReceivedAreNoticed has a client send a command, which no application counts, among two messages.
func TestMessagesThatAreNotReceivedAreNoticed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	b, err := newBench(ctx, programs("tank")[0], contender.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	f, err := b.connect(1)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.received(2, func() error { return f.SendAll(0, []string{"one", "sub:news", "two", "three"}) })
	if err == nil || !strings.Contains(err.Error(), "2 messages sent, 3 received") {
		t.Errorf("a surplus message: %v", err)
	}
	if _, err := b.received(2, func() error { return f.SendAll(0, []string{"one", "sub:sport"}) }); err == nil {
		t.Error("a command was counted as a message")
	}
}

// TestDroppedMessagesAreNoticed has a contender drop most of a burst, by its own policy for slow subscribers.
func TestDroppedMessagesAreNoticed(t *testing.T) {
	for _, c := range programs("melody") {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		size := burstSize{50, 2000, 1024}
		_, err := measureBurst(ctx, c, size, payload.Plain(size.bytes), contender.Config{Queue: size.warmUp()}, mostBursts)
		if err == nil {
			t.Error("a burst into small queues was delivered in full")
		}
	}
}

func TestRunKeepsToTheDeadlineAndLeavesNothing(t *testing.T) {
	list := programs("floor")
	pidfile := filepath.Join(t.TempDir(), "pid")
	script := `echo $$ > ` + pidfile + `; exec "$0" "$@"`
	list[0].Command = append([]string{"sh", "-c", script}, list[0].Command...)
	r := Run(t.Context(), Config{
		Mode: Quick, Contenders: list, Scenarios: []string{"churn"}, Rounds: 2,
		Deadline: time.Now().Add(time.Minute), Progress: func(line string) { t.Log(line) },
	})
	if len(r.Failures) > 0 || !r.Complete || len(r.Scenarios) != 1 {
		t.Errorf("failures %v, complete: %v, %d scenarios", r.Failures, r.Complete, len(r.Scenarios))
	}
	if n := len(r.Scenarios[0].Results["floor"].Samples["changes"]); n != 2 {
		t.Errorf("%d results, want 2", n)
	}
	if alive(t, pidfile) {
		t.Error("the server still runs")
	}
	late := Run(t.Context(), Config{Mode: Quick, Contenders: list, Deadline: time.Now(), Progress: func(string) {}})
	if late.Complete || len(late.Scenarios[0].Results) > 0 {
		t.Error("ran past the deadline")
	}
}

func alive(t *testing.T, pidfile string) bool {
	t.Helper()
	text, err := os.ReadFile(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	pid := 0
	for _, digit := range strings.TrimSpace(string(text)) {
		pid = pid*10 + int(digit-'0')
	}
	return syscall.Kill(pid, 0) == nil
}

// TestGoalsAreMeasured: what a goal is about is measured by a scenario of the full mode.
func TestGoalsAreMeasured(t *testing.T) {
	r := &report.Results{}
	for _, s := range scenarios(Full) {
		one := &report.Scenario{Name: s.name, Metrics: s.metrics, Results: make(map[string]*report.Result)}
		for _, name := range report.Order {
			if !s.includes(name) {
				continue
			}
			one.Results[name] = &report.Result{}
			for _, m := range s.metrics {
				one.Results[name].Add(values{m.Key: 1})
			}
		}
		r.Scenarios = append(r.Scenarios, one)
	}
	r.Judge()
	for _, b := range r.Bars {
		if b.Got == "" {
			t.Errorf("%s: %s", b.Goal, b.Verdict)
		}
	}
}

func TestCheckScenarios(t *testing.T) {
	for _, parts := range [][]string{nil, {"burst"}, {"idle", "topics"}} {
		if err := CheckScenarios(Quick, parts); err != nil {
			t.Errorf("%q: %v", parts, err)
		}
	}
	if err := CheckScenarios(Full, []string{"burst", "nope"}); err == nil || !strings.Contains(err.Error(), `"nope"; there are burst-1000`) {
		t.Errorf("got %v", err)
	}
}

// TestGroups is servers that NATS connects. Redis need not be there.
func TestGroups(t *testing.T) {
	for _, c := range Groups(server, false) {
		for _, s := range []*scenario{groupBurst(burstSize{12, 50, 128}, 1), groupLatency(steadySize{6, 100, 1}, 1), groupTopics(3, 10, 1)} {
			t.Run(c.Name+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				run(t, s, c)
			})
		}
	}
}

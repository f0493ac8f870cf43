package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// example is a run with two rounds.
func example() *Results {
	tank, tank2, bun, gws, floor := &Result{}, &Result{}, &Result{}, &Result{}, &Result{}
	for _, round := range []float64{1, 1.2} {
		tank.Add(map[string]float64{"deliveries": 8e6 * round, "cpu": 100})
		bun.Add(map[string]float64{"deliveries": 1e6 * round, "cpu": 300})
		gws.Add(map[string]float64{"deliveries": 4e5 * round, "cpu": 3000})
		tank2.Add(map[string]float64{"deliveries": 4e6 * round, "cpu": 110})
		floor.Add(map[string]float64{"deliveries": 9e6 * round, "cpu": 90})
	}
	return &Results{
		Mode: "full", Started: time.Unix(1700000000, 0).UTC(), Complete: true,
		Versions: map[string]string{"gws": "v1"}, Skipped: map[string]string{"coder": "reasons"},
		Failures: []Failure{},
		Scenarios: []*Scenario{{
			Name: "burst-1000", Title: "Burst", Detail: "much", Rounds: 2,
			Metrics: []Metric{
				{Key: "deliveries", Title: "deliveries", Unit: "/s", MoreBetter: true},
				{Key: "cpu", Title: "CPU", Unit: "ns"},
			},
			Results: map[string]*Result{"tank": tank, "tank2": tank2, "bun": bun, "gws": gws, "floor": floor},
		}},
	}
}

func TestVerdicts(t *testing.T) {
	r := example()
	r.Judge()
	verdicts := make(map[string]string)
	for _, b := range r.Bars {
		verdicts[b.Goal] = b.Verdict
	}
	for goal, want := range map[string]string{
		"burst to 1,000: at least 4x Bun's deliveries/s":                           pass,
		"burst to 1,000: at least 10x the best Go contender's deliveries/s":        pass,
		"burst to 1,000: at most 1/4 of Bun's CPU per delivery":                    fail,
		"burst to 1,000: at most 1/15 of the best Go contender's CPU per delivery": pass,
		"burst to 10,000: at least 2.5x Bun's deliveries/s":                        notMeasured,
		"idle: at most 5.5 KiB resident per connection":                            notMeasured,
	} {
		if verdicts[goal] != want {
			t.Errorf("%s: %q, want %s", goal, verdicts[goal], want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	r := example()
	r.Judge()
	page := r.Markdown([]string{"cpu.svg"})
	for _, want := range []string{
		"`burst-1000`: much. Medians of 2 rounds.",
		"| tank | 8.80 M/s | 100 ns |  |\n| tank2 | 4.40 M/s | 110 ns | 2.00x |\n| bun |",
		"| gws | 440 k/s | 3.00 µs | 20.00x |",
		"![cpu](cpu.svg)",
		"| coder | left out: reasons |",
		"none was missing",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	r.Failures = append(r.Failures, Failure{"burst-1000", "gws", 1, "3 messages missing"})
	if page := r.Markdown(nil); !strings.Contains(page, "- `burst-1000` gws, round 1: 3 messages missing") || strings.Contains(page, "none was missing") {
		t.Error("the failure is not told")
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	r := example()
	r.Judge()
	if err := r.Write(dir); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back Results
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&back, r) {
		t.Errorf("wrote %+v\nread %+v", r, back)
	}
	for _, name := range []string{"results.md", "deliveries.svg", "cpu.svg"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if svg, err := os.ReadFile(filepath.Join(dir, "cpu.svg")); err != nil || strings.Contains(string(svg), "tank2") {
		t.Errorf("a chart has a variant, or %v", err)
	}
}

func TestFigure(t *testing.T) {
	for _, test := range []struct {
		v    float64
		unit string
		want string
	}{
		{70.4, "ns", "70.4 ns"},
		{2700, "ns", "2.70 µs"},
		{9.4e6, "/s", "9.40 M/s"},
		{8192, "bytes", "8.00 KiB"},
		{999.9, "ns", "1.00 µs"},
		{1.5, "x", "1.50x"},
		{0, "ns", "0 ns"},
	} {
		if got := Figure(test.v, test.unit); got != test.want {
			t.Errorf("%v %s: %q, want %q", test.v, test.unit, got, test.want)
		}
	}
}

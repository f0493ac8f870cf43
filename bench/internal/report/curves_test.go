package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// growing is a run of a mode with two points of one curve.
func growing(mode string) *Results {
	metrics := []Metric{
		{Key: "cpu", Title: "server CPU", Unit: "ns"},
		{Key: "deliveries", Title: "deliveries", Unit: "/s", MoreBetter: true},
		{Key: "load", Title: "busy"},
	}
	r := &Results{Mode: mode, Complete: true, Failures: []Failure{}}
	for i, point := range []string{"100", "1000"} {
		tank, gws := &Result{}, &Result{}
		tank.Add(map[string]float64{"cpu": 100 * float64(1+i), "deliveries": 1000 * float64(1+2*i), "load": 1})
		s := &Scenario{
			Name: "subscribers-" + point, Title: "More", Detail: "much", Rounds: 1, Metrics: metrics, Results: map[string]*Result{"tank": tank},
			Curve: "subscribers", Axis: "subscribers", Point: point,
		}
		if i == 0 {
			gws.Add(map[string]float64{"cpu": 1e6, "deliveries": 5, "load": 1})
			s.Results["gws"] = gws
		}
		r.Scenarios = append(r.Scenarios, s)
	}
	return r
}

func expect(t *testing.T, page string, parts ...string) {
	t.Helper()
	for _, want := range parts {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}

func TestCurvesPage(t *testing.T) {
	page := growing("curves-quick").Markdown(nil)
	expect(t, page,
		"# How cost grows",
		"`subscribers`: much. Medians of 1 round.",
		"Server CPU by subscribers:\n\n| contender | 100 | 1000 |\n| --- | ---: | ---: |\n| tank | 100 ns | 200 ns |\n| gws | 1.00 ms | - |\n",
		"| tank | 1.00 k/s | 3.00 k/s |\n")
	if strings.Contains(page, "## Goals") || strings.Count(page, "## More") != 1 {
		t.Errorf("goals, or not one section for the curve, in\n%s", page)
	}
}

func TestCoresPage(t *testing.T) {
	r := growing("cores")
	r.Layouts = []Layout{{"100", "0", "0", true}, {"1000", "0-1", "2,3", false}}
	expect(t, r.Markdown(nil),
		"# More cores",
		"| 100 | 0 | 0 | **both share the same cores**",
		"| 1000 | 0-1 | 2,3 | each has its own |",
		"| scenario | figure | column | tank | gws |\n| --- | --- | --- | ---: | ---: |\n| `subscribers` | server CPU | 1000 | 0.50x | - |",
		"| tank | 100 ns | 200 ns (0.50x) |", // twice the cost is half as good
		"| tank | 1.00 k/s | 3.00 k/s (3.00x) |",
		"| gws | 5.00 /s | - |",
		"| tank | 1.00 | 1.00 |") // how busy the load generator was is neither good nor bad
}

func TestCurvesAreWritten(t *testing.T) {
	dir := t.TempDir()
	if err := growing("curves").Write(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"curves.md", "curves.json", "curves-subscribers-cpu.svg", "curves-subscribers-deliveries.svg"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	cores := growing("cores")
	for _, s := range cores.Scenarios {
		s.Name = "burst-" + s.Point
	}
	if err := cores.Write(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "cores.md")); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"results.md", "deliveries.svg"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s, which is the full mode's, was overwritten", name)
		}
	}
}

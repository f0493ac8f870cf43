package report_test

import (
	"bytes"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/soak/internal/load"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/report"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/server"
)

func results(samples ...server.Sample) *load.Results {
	return &load.Results{Config: load.Config{Seed: 7}, Server: &server.End{Errors: map[string]int{"1013 slow client": 3}}, Samples: samples}
}

func TestReportIsWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	r := results(server.Sample{Seconds: 1, Heap: 5 << 20, Resident: 30 << 20, Clients: 200}, server.Sample{Seconds: 400, Heap: 6 << 20})
	if err := report.Write(dir, r); err != nil {
		t.Fatal(err)
	}
	for name, part := range map[string]string{"soak.md": "| 1013 slow client | 3 |", "soak.svg": "seed 7", "soak.json": `"samples"`} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(b), part) {
			t.Errorf("%s: %v, without %s in\n%s", name, err, part, b)
		}
	}
}

func TestProblemsAreNamed(t *testing.T) {
	r := results(server.Sample{})
	if text := report.Markdown(r); !strings.Contains(text, "passed") {
		t.Errorf("got %s", text)
	}
	r.Problems = []string{"something is wrong"}
	if text := report.Markdown(r); !strings.Contains(text, "FAILED") || !strings.Contains(text, "- something is wrong") {
		t.Errorf("got %s", text)
	}
}

func TestChartIsWellFormed(t *testing.T) {
	for _, samples := range [][]server.Sample{{{}}, {{Seconds: 0.5, Clients: 1}}, {{Seconds: 1}, {Seconds: 4000, Heap: 1 << 40, Clients: 9999}}} {
		svg, err := report.Chart(results(samples...))
		if err == nil {
			err = xml.Unmarshal(svg, new(struct{}))
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
			t.Errorf("a figure is not a number in\n%s", svg)
		}
	}
}

package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/chart"
)

// chartFile is a chart and the name of its file.
type chartFile struct{ name, svg string }

// charts draws what there are results for.
func (r *Results) charts() []chartFile {
	switch {
	case r.is(curvesMode):
		return r.curveCharts()
	case r.is(coresMode): // two columns are no chart
		return nil
	}
	var list []chartFile
	if svg := r.deliveries(); svg != "" {
		list = append(list, chartFile{"deliveries.svg", svg})
	}
	for _, c := range []struct {
		file, scenario, title string
		metrics               []string
		labels                []string
	}{
		{"cpu.svg", "burst-1000", "Server CPU per delivery in a burst", []string{"cpu"}, []string{""}},
		{"cpu-steady.svg", "steady", "Server CPU per delivery in a steady stream", []string{"cpu"}, []string{""}},
		{"memory.svg", "idle", "Resident memory per idle connection", []string{"memory"}, []string{""}},
		{"latency.svg", "steady", "Latency in a steady stream", []string{"p50", "p99", "p99.9"}, []string{"p50", "p99", "p99.9"}},
	} {
		s := r.Scenario(c.scenario)
		if s == nil || len(s.Results) == 0 {
			continue
		}
		unit, _ := s.metric(c.metrics[0])
		list = append(list, chartFile{c.file, chart.Bars{
			Title:    c.title,
			Subtitle: r.subtitle(s.Detail),
			Labels:   c.labels,
			Series:   series(s, c.metrics),
			Format:   func(v float64) string { return Figure(v, unit) },
		}.SVG()})
	}
	return list
}

func (r *Results) subtitle(detail string) string {
	detail, _, _ = strings.Cut(detail, ";")
	return fmt.Sprintf("%s. %s, %d cores", detail, r.Machine.CPU, r.Machine.Cores)
}

// series are the contenders with figures.
func series(s *Scenario, metrics []string) []chart.Series {
	var list []chart.Series
	for _, name := range s.Contenders() {
		if slices.Contains(Variants, name) || slices.Contains(Groups, name) {
			continue
		}
		one := chart.Series{Name: name, Colour: slices.Index(Order, name)}
		for _, m := range metrics {
			v, ok := s.Median(name, m)
			if !ok {
				v = -1
			}
			one.Values = append(one.Values, v)
		}
		list = append(list, one)
	}
	return list
}

// deliveries has the bursts of different numbers of subscribers.
func (r *Results) deliveries() string {
	l := chart.Lines{
		Title:    "Deliveries per second in a burst",
		Subtitle: fmt.Sprintf("messages of 128 bytes to all subscribers of one topic; the vertical axis is logarithmic. %s, %d cores", r.Machine.CPU, r.Machine.Cores),
		Axis:     "subscribers",
		Format:   func(v float64) string { return Figure(v, "/s") },
	}
	var bursts []*Scenario
	for _, s := range r.Scenarios {
		if number, ok := strings.CutPrefix(s.Name, "burst-"); ok && len(s.Results) > 0 {
			bursts = append(bursts, s)
			l.Labels = append(l.Labels, number)
		}
	}
	for _, name := range Order {
		one := chart.Series{Name: name, Colour: slices.Index(Order, name)}
		for _, s := range bursts {
			v, _ := s.Median(name, "deliveries")
			one.Values = append(one.Values, v)
		}
		if slices.ContainsFunc(one.Values, func(v float64) bool { return v > 0 }) {
			l.Series = append(l.Series, one)
		}
	}
	if len(l.Series) == 0 {
		return ""
	}
	return l.SVG()
}

package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/chart"
)

// The modes whose scenarios are points of curves. Each has a quick variant, whose name begins with it.
const (
	curvesMode = "curves"
	coresMode  = "cores"
)

func (r *Results) is(mode string) bool { return strings.HasPrefix(r.Mode, mode) }

// hasCurves reports whether the scenarios are points of curves.
func (r *Results) hasCurves() bool { return r.is(curvesMode) || r.is(coresMode) }

// curve is the scenarios that are its points, in order.
type curve struct{ points []*Scenario }

// curves gathers the points of each curve.
func (r *Results) curves() (list []curve) {
	place := make(map[string]int)
	for _, s := range r.Scenarios {
		at, ok := place[s.Curve]
		if !ok {
			at = len(list)
			place[s.Curve] = at
			list = append(list, curve{})
		}
		list[at].points = append(list[at].points, s)
	}
	return list
}

// contenders are those with a figure at any point.
func (c curve) contenders() []string {
	return slices.DeleteFunc(Names(), func(name string) bool {
		return !slices.ContainsFunc(c.points, func(s *Scenario) bool { return s.Results[name] != nil })
	})
}

// write has a table for each metric, with a column for each point. ratios has each figure compared with the contender's at the first
// point.
func (c curve) write(b *strings.Builder, ratios bool) {
	first := c.points[0]
	fmt.Fprintf(b, "\n## %s\n\n`%s`: %s. Medians of %s.\n", first.Title, first.Curve, first.Detail, plural(first.Rounds, "round"))
	for _, m := range first.Metrics {
		title := strings.ToUpper(m.Title[:1]) + m.Title[1:]
		fmt.Fprintf(b, "\n%s by %s:\n\n| contender |", title, first.Axis)
		rule := "| --- |"
		for _, s := range c.points {
			fmt.Fprintf(b, " %s |", s.Point)
			rule += " ---: |"
		}
		b.WriteString("\n" + rule + "\n")
		for _, name := range c.contenders() {
			fmt.Fprintf(b, "| %s |", name)
			for i, s := range c.points {
				cell := s.cell(name, m)
				if g, ok := c.growth(i, name, m); ok && ratios && i > 0 {
					cell += fmt.Sprintf(" (%.2fx)", g)
				}
				fmt.Fprintf(b, " %s |", cell)
			}
			b.WriteString("\n")
		}
	}
}

// growth is how many times as good a contender's figure is at a point as at the first one.
func (c curve) growth(point int, contender string, m Metric) (float64, bool) {
	from, ok1 := c.points[0].Median(contender, m.Key)
	to, ok2 := c.points[point].Median(contender, m.Key)
	if !ok1 || !ok2 || from == 0 || to == 0 || m.Unit == "" {
		return 0, false
	}
	if m.MoreBetter {
		return to / from, true
	}
	return from / to, true
}

// curveCharts has a chart for each curve and metric.
func (r *Results) curveCharts() (list []chartFile) {
	for _, c := range r.curves() {
		for _, m := range c.points[0].Metrics {
			if svg := r.curveChart(c, m); svg != "" {
				list = append(list, chartFile{fmt.Sprintf("curves-%s-%s.svg", c.points[0].Curve, m.Key), svg})
			}
		}
	}
	return list
}

func (r *Results) curveChart(c curve, m Metric) string {
	first := c.points[0]
	l := chart.Lines{
		Title:    first.Title + ": " + m.Title,
		Subtitle: fmt.Sprintf("the vertical axis is logarithmic. %s, %d cores", r.Machine.CPU, r.Machine.Cores),
		Axis:     first.Axis,
		Format:   func(v float64) string { return Figure(v, m.Unit) },
	}
	for _, s := range c.points {
		l.Labels = append(l.Labels, s.Point)
	}
	for i, name := range c.contenders() {
		one := chart.Series{Name: name, Colour: slices.Index(Order, name)}
		if one.Colour < 0 { // a variant, which has no colour of its own
			one.Colour = i
		}
		for _, s := range c.points {
			v, _ := s.Median(name, m.Key)
			one.Values = append(one.Values, v)
		}
		l.Series = append(l.Series, one)
	}
	if len(l.Series) == 0 {
		return ""
	}
	return l.SVG()
}

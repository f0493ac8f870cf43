package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Markdown writes the results as a page. charts are names of files beside it.
func (r *Results) Markdown(charts []string) string {
	var b strings.Builder
	title := "Benchmark results"
	switch {
	case r.is(curvesMode):
		title = "How cost grows"
	case r.is(coresMode):
		title = "More cores"
	}
	fmt.Fprintf(&b, "# %s\n\nWritten by `go run ./cmd/bench -mode %s`; [README](../README.md) says how it is measured.\n\n", title, r.Mode)
	r.conditions(&b)
	for _, name := range charts {
		fmt.Fprintf(&b, "\n![%s](%s)\n", strings.TrimSuffix(name, ".svg"), name)
	}
	if r.hasCurves() {
		if r.is(coresMode) {
			r.writeLayouts(&b)
			r.writeGrowth(&b)
		}
		for _, c := range r.curves() {
			c.write(&b, r.is(coresMode))
		}
	} else {
		for _, s := range r.Scenarios {
			s.table(&b)
		}
		r.bars(&b)
	}
	r.failures(&b)
	return b.String()
}

// disturbed is the share that others may have of the machine before it shows.
const disturbed = 0.05

func (r *Results) conditions(b *strings.Builder) {
	m := r.Machine
	fmt.Fprintf(b, "Absolute figures are this machine's and no other's: %s, %d cores, %s of memory, Linux %s, %s %s, "+
		"servers and load generator on the same machine, over loopback. Run on %s in %.0f s, during which other programs and machines took %.0f %% of its processors.\n",
		m.CPU, m.Cores, Figure(float64(m.Memory), "bytes"), m.Kernel, m.Go, m.Arch, r.Started.Format("2006-01-02"), r.Seconds, 100*r.Others)
	if r.Others > disturbed {
		b.WriteString("\n**Disturbed**: that is enough to change the figures, and the order of those that are close.\n")
	}
	if !r.Complete {
		b.WriteString("\n**Not complete**: there was no time for all rounds, or something was left out on purpose.\n")
	}
	b.WriteString("\n| contender | version |\n| --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(b, "| %s | %s |\n", name, r.Versions[name])
	}
	for _, name := range slices.Sorted(maps.Keys(r.Skipped)) {
		fmt.Fprintf(b, "| %s | left out: %s |\n", name, r.Skipped[name])
	}
}

// table has a row for each contender, with medians, and how the first metric compares with tank's.
func (s *Scenario) table(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n`%s`: %s. Medians of %s.\n\n", s.Title, s.Name, s.Detail, plural(s.Rounds, "round"))
	head, rule := "| contender |", "| --- |"
	for _, m := range s.Metrics {
		head += " " + m.Title + " |"
		rule += " ---: |"
	}
	fmt.Fprintf(b, "%s %s: tank ahead by |\n%s ---: |\n", head, s.Metrics[0].Title, rule)
	for _, name := range s.Contenders() {
		row := "| " + name + " |"
		for _, m := range s.Metrics {
			row += " " + s.cell(name, m) + " |"
		}
		fmt.Fprintf(b, "%s %s |\n", row, s.compare(name))
	}
}

func (s *Scenario) cell(contender string, m Metric) string {
	v, ok := s.Median(contender, m.Key)
	if !ok {
		return "-"
	}
	return Figure(v, m.Unit)
}

// compare says how many times better tank is than a contender; below 1, tank is behind.
func (s *Scenario) compare(contender string) string {
	m := s.Metrics[0]
	own, ok1 := s.Median("tank", m.Key)
	other, ok2 := s.Median(contender, m.Key)
	if contender == "tank" || !ok1 || !ok2 || own == 0 || other == 0 {
		return ""
	}
	if m.MoreBetter {
		return fmt.Sprintf("%.2fx", own/other)
	}
	return fmt.Sprintf("%.2fx", other/own)
}

func (r *Results) bars(b *strings.Builder) {
	b.WriteString("\n## Goals\n\n")
	if r.Mode != "full" && r.Mode != groupMode {
		b.WriteString("The goals are for the full mode; with smaller workloads they are only a hint.\n\n")
	}
	b.WriteString("| goal | measured | verdict |\n| --- | --- | --- |\n")
	for _, bar := range r.Bars {
		fmt.Fprintf(b, "| %s | %s | %s |\n", bar.Goal, bar.Got, bar.Verdict)
	}
}

func (r *Results) failures(b *strings.Builder) {
	if len(r.Failures) == 0 {
		b.WriteString("\nEvery delivery of these measurements was counted: none was missing, none came twice.\n")
		return
	}
	b.WriteString("\n## Failures\n\nThese measurements are void.\n\n")
	for _, f := range r.Failures {
		fmt.Fprintf(b, "- `%s` %s, round %d: %s\n", f.Scenario, f.Contender, f.Round, strings.ReplaceAll(f.Error, "\n", "; "))
	}
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

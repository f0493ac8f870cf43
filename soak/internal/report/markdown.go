// Package report says in words, figures and a picture what came of a run.
package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fanqie/tank-websocket-go-server/soak/internal/load"
)

// Markdown is the summary of a run.
func Markdown(r *load.Results) string {
	var b strings.Builder
	verdict := "passed"
	if r.Err() != nil {
		verdict = "FAILED"
	}
	c, s := r.Counts, r.Server
	fmt.Fprintf(&b, "# Soak run: %s\n\n", verdict)
	fmt.Fprintf(&b, "Began %s, ended %s later. %d healthy clients, %d topics, %d messages published per second, seed %d.\n",
		r.Began.UTC().Format(time.RFC3339), r.Took.Round(time.Second), r.Config.Clients, r.Config.Topics, r.Config.Rate, r.Config.Seed)
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "\n- %s", strings.ReplaceAll(p, "\n", "\n      ")) // a stack has several lines
	}
	if len(r.Problems) > 0 {
		b.WriteString("\n")
	}
	first, last := r.Samples[0], r.Samples[len(r.Samples)-1]
	most := first
	for _, sample := range r.Samples {
		most.Resident = max(most.Resident, sample.Resident)
		most.Goroutines = max(most.Goroutines, sample.Goroutines)
	}
	table(&b, []string{"delivery", "count"}, [][]string{
		{"deliveries checked", fmt.Sprint(c.Deliveries)},
		{"gaps", fmt.Sprint(c.Gaps)},
		{"duplicates", fmt.Sprint(c.Duplicates)},
		{"inversions", fmt.Sprint(c.Inversions)},
		{"subscribers that saw something else than the topic's witness", fmt.Sprint(c.Divergences)},
		{"messages outside of a subscription", fmt.Sprint(c.Strays)},
		{"other faults seen by healthy clients", fmt.Sprint(c.Others)},
		{"healthy clients that saw everything up to close 1001", fmt.Sprint(r.Stayed)},
	})
	table(&b, []string{"server", "figure"}, [][]string{
		{"messages published by itself, and taken", fmt.Sprint(s.PublishedTotal)},
		{"the same, not taken in time", fmt.Sprint(s.Busy)},
		{"connection attempts, and connections", fmt.Sprintf("%d, %d", r.Connections, s.Connections)},
		{"slow clients evicted", fmt.Sprint(s.Evicted)},
		{"messages of clients that had to wait", fmt.Sprint(s.Throttled)},
		{"panics provoked in callbacks, and recovered", fmt.Sprintf("%d, %d", s.PanicsProvoked, s.PanicsRecovered)},
		{"events that nobody read in time", fmt.Sprint(s.EventsDropped)},
		{"live heap before Start, and after Shutdown", fmt.Sprintf("%.2f MiB, %.2f MiB", mib(s.HeapBefore), mib(s.HeapAfter))},
		{"resident memory in the first sample, at most, in the last", fmt.Sprintf("%.1f MiB, %.1f MiB, %.1f MiB", mib(first.Resident), mib(most.Resident), mib(last.Resident))},
		{"goroutines before Start, at most, after Shutdown", fmt.Sprintf("%d, %d, %d", s.GoroutinesStart, most.Goroutines, s.GoroutinesEnd)},
		{"time that Shutdown took", s.ShutdownTook.Round(10 * time.Millisecond).String()},
	})
	var faults [][]string
	for _, f := range r.Faults {
		n := 0
		for _, count := range f.Outcomes {
			n += count
		}
		faults = append(faults, []string{f.Name, f.What, fmt.Sprint(n), list(f.Outcomes)})
	}
	table(&b, []string{"fault", "what the client does", "count", "what came of it"}, faults)
	table(&b, []string{"error event", "count"}, counts(s.Errors))
	table(&b, []string{"disconnected with", "count"}, counts(s.Disconnects))
	return b.String()
}

func list(outcomes map[string]int) string {
	var parts []string
	for _, o := range slices.Sorted(maps.Keys(outcomes)) {
		parts = append(parts, fmt.Sprintf("%s: %d", o, outcomes[o]))
	}
	return strings.Join(parts, "; ")
}

func counts(m map[string]int) (rows [][]string) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		rows = append(rows, []string{name, fmt.Sprint(m[name])})
	}
	return rows
}

func table(b *strings.Builder, head []string, rows [][]string) {
	fmt.Fprintf(b, "\n| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat(" --- |", len(head)))
	for _, row := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
}

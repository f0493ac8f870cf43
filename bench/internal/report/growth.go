package report

import (
	"fmt"
	"strings"
)

// writeGrowth has a table with what each column of a curve is to its first one, by the metric that tells most.
func (r *Results) writeGrowth(b *strings.Builder) {
	names := r.contenders()
	b.WriteString("\n## Growth\n\nHow many times as good a figure is as the same contender's with one core. The tables below have this in parentheses, for all figures.\n\n| scenario | figure | column |")
	rule := "| --- | --- | --- |"
	for _, name := range names {
		fmt.Fprintf(b, " %s |", name)
		rule += " ---: |"
	}
	b.WriteString("\n" + rule + "\n")
	for _, c := range r.curves() {
		m := c.points[0].Metrics[0]
		for i := 1; i < len(c.points); i++ {
			fmt.Fprintf(b, "| `%s` | %s | %s |", c.points[0].Curve, m.Title, c.points[i].Point)
			for _, name := range names {
				cell := "-"
				if g, ok := c.growth(i, name, m); ok {
					cell = fmt.Sprintf("%.2fx", g)
				}
				fmt.Fprintf(b, " %s |", cell)
			}
			b.WriteString("\n")
		}
	}
}

// contenders are those with any figure.
func (r *Results) contenders() []string { return curve{r.Scenarios}.contenders() }

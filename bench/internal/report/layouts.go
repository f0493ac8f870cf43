package report

import (
	"fmt"
	"strings"
)

// Layout is on which cores a server and the load generator run.
type Layout struct {
	Name   string `json:"name"`
	Server string `json:"server"` // numbers of cores, as taskset has them
	Load   string `json:"load"`
	Shared bool   `json:"shared"` // the two run on the same cores
}

// writeLayouts says what shares cores with what.
func (r *Results) writeLayouts(b *strings.Builder) {
	b.WriteString("\nThe server, and the load generator with its clients, are bound to cores with `taskset`.\n\n")
	b.WriteString("| column | the server's cores | the load generator's cores | |\n| --- | --- | --- | --- |\n")
	for _, l := range r.Layouts {
		how := "each has its own"
		if l.Shared {
			how = "**both share the same cores**: the load generator's work takes from the server's"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", l.Name, l.Server, l.Load, how)
	}
}

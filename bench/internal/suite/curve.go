package suite

import (
	"context"
	"strings"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
)

// curve is one kind of work done in several sizes, or on several numbers of cores. Each is a scenario of its own, with the same
// metrics for all.
type curve struct {
	name, title, detail string
	axis                string   // what grows
	lines               []string // contenders
	rounds              int
	metrics             []report.Metric
}

// at is one point of the curve.
func (c curve) at(point string, run func(context.Context, Contender) (values, error)) *scenario {
	return &scenario{
		name:   c.name + "-" + inNames.Replace(point),
		title:  c.title,
		detail: c.detail,
		rounds: c.rounds,
		only:   c.lines,

		curve: c.name,
		axis:  c.axis,
		point: point,

		metrics: c.metrics,
		run:     run,
	}
}

// inNames is for what the command line names a point.
var inNames = strings.NewReplacer(" ", "-", ",", "")

// costMetrics are what a delivery costs.
var costMetrics = []report.Metric{
	{Key: "cpu", Title: "server CPU per delivery", Unit: "ns"},
	{Key: "deliveries", Title: "deliveries", Unit: "/s", MoreBetter: true},
}

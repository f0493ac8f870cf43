package suite

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/proc"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
)

// coreLines are the contenders of the mode cores: those of curves, and what the machine itself makes of more cores.
var coreLines = append(slices.Clone(curveLines), "floor")

// work is a scenario to be done on different cores, and what of its figures is shown, the one that tells most first.
type work struct {
	*scenario
	figures []figure
}

// figure is a metric, with a title that can stand alone; "": it has one.
type figure struct{ key, title string }

// coreSizes is how much the mode cores does.
type coreSizes struct {
	burst   burstSize
	steady  steadySize
	topics  topicsSize
	churn   churnSize
	hot     hotSize
	receive receiveSize
	rounds  int
}

var (
	fullCores = coreSizes{
		burst:   burstSize{1000, 500, messageBytes},
		steady:  steadySize{500, 100, 2},
		topics:  topicsSize{2000, 1, 20},
		churn:   churnSize{200, 300},
		hot:     hotSize{10, 50, 100, 150},
		receive: receiveSize{500, 16, 20_000, 1000, 1000},
		rounds:  2,
	}
	quickCores = coreSizes{
		burst:   burstSize{200, 200, messageBytes},
		steady:  steadySize{100, 100, 1},
		topics:  topicsSize{200, 1, 10},
		churn:   churnSize{50, 50},
		hot:     hotSize{5, 20, 100, 50},
		receive: receiveSize{100, 16, 5000, 300, 100},
		rounds:  1,
	}
)

// coreWorks are what the mode cores has done.
func coreWorks(sizes coreSizes) []work {
	rounds := sizes.rounds
	return []work{
		{burst("burst", sizes.burst, rounds).withLoad(), []figure{{"deliveries", ""}, {"cpu", ""}, {"cores", ""}, {"load", ""}}},
		{steady(sizes.steady, rounds), []figure{{"p50", ""}, {"p99", "latency p99"}, {"cpu", ""}}},
		{topics("topics", sizes.topics, rounds), []figure{{"publishes64", ""}, {"publishes1", ""}}},
		{churn(sizes.churn, rounds), []figure{{"changes", ""}}},
		{hot(sizes.hot, rounds), []figure{{"deliveries", ""}, {"flooded", "p99 of the other topic, flooded"}}},
		{receive(sizes.receive, rounds), []figure{{"burst rate", "messages received at once"}, {"cpu", ""}}},
	}
}

// metrics are the figures' metrics, in their order.
func (w work) metrics() (list []report.Metric) {
	for _, f := range w.figures {
		for _, m := range w.scenario.metrics {
			if m.Key == f.key {
				m.Title = cmp.Or(f.title, m.Title)
				list = append(list, m)
			}
		}
	}
	return list
}

// withLoad has how busy the load generator was among the figures.
func (s *scenario) withLoad() *scenario {
	s.metrics = append(s.metrics, report.Metric{Key: "load", Title: "load generator's processors busy"})
	return s
}

// onCores are the scenarios of the mode cores.
func onCores(works []work, layouts []layout) (list []*scenario) {
	for _, w := range works {
		c := curve{
			name: w.name, title: w.title, detail: w.detail, rounds: w.rounds, lines: coreLines,
			axis:    "cores of the server",
			metrics: w.metrics(),
		}
		for _, l := range layouts {
			list = append(list, c.at(l.name(), l.bind(w.run)))
		}
	}
	return list
}

// bind has a measurement run on the layout's cores.
func (l layout) bind(run func(context.Context, Contender) (values, error)) func(context.Context, Contender) (values, error) {
	return func(ctx context.Context, c Contender) (v values, err error) {
		before, err := proc.Cores()
		if err != nil {
			return nil, err
		}
		if err := proc.Bind(ctx, l.load); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, proc.Bind(context.WithoutCancel(ctx), before)) }()
		c.Command = proc.On(l.server, c.Command)
		return run(ctx, c)
	}
}

package suite

import (
	"context"
	"slices"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
)

// values are what a measurement found, by metric.
type values = map[string]float64

// scenario is something to do with every contender.
type scenario struct {
	name    string
	title   string
	detail  string
	rounds  int
	only    []string // contenders; nil: all
	without []string // contenders that cannot do it

	variants bool // tank's variants do it, too
	groups   bool // only the contenders of Groups do it

	// Of a point of a curve; otherwise empty.
	curve, axis, point string

	metrics []report.Metric
	run     func(ctx context.Context, c Contender) (values, error)
}

func (s *scenario) includes(contender string) bool {
	if s.groups || s.curve != "" {
		return s.only == nil || slices.Contains(s.only, contender)
	}
	if slices.Contains(report.CurveVariants, contender) {
		return false
	}
	if slices.Contains(report.Variants, contender) {
		return s.variants && !slices.Contains(s.without, contender)
	}
	return (s.only == nil || slices.Contains(s.only, contender)) && !slices.Contains(s.without, contender)
}

// withVariants has tank's variants do it, too.
func (s *scenario) withVariants() *scenario {
	s.variants = true
	return s
}

// forGroups has groups do it.
func (s *scenario) forGroups() *scenario {
	s.groups = true
	return s
}

// The modes.
const (
	Quick = "quick"
	Full  = "full"
	Group = "groups"

	Curves      = "curves"
	QuickCurves = "curves-quick"

	Cores      = "cores"
	QuickCores = "cores-quick"
)

// Does reports whether a contender has anything to do in a mode.
func Does(mode, contender string) bool {
	return slices.ContainsFunc(scenarios(mode), func(s *scenario) bool { return s.includes(contender) })
}

// scenarios returns what is done in a mode.
func scenarios(mode string) []*scenario {
	switch mode {
	case Group:
		return []*scenario{
			groupBurst(burstSize{200, 4000, messageBytes}, 5),
			steady(steadySize{200, 200, 2}, 5).forGroups(),
			groupLatency(steadySize{6, 200, 2}, 5),
			groupTopics(20, 500, 5),
			interest(5),
		}
	case Curves:
		return curves(fullCurves)
	case QuickCurves:
		return curves(quickCurves)
	case Cores:
		return onCores(coreWorks(fullCores), machineLayouts())
	case QuickCores:
		return onCores(coreWorks(quickCores), machineLayouts())
	case Full:
		return []*scenario{
			burst("burst-1000", burstSize{1000, 1000, 128}, 3).withVariants(),
			burst("burst-5000", burstSize{5000, 200, 128}, 2),
			burst("burst-10000", burstSize{10_000, 100, 128}, 3),
			burst("growth", burstSize{1000, 100, 128}, 3), // the same messages as to 10,000
			steady(steadySize{500, 200, 4}, 3).withVariants(),
			burst("payload-16", burstSize{1000, 500, 16}, 2),
			burst("payload-1024", burstSize{1000, 200, 1 << 10}, 2),
			burst("payload-16384", burstSize{1000, 30, 16 << 10}, 2),
			topics("topics-10000x1", topicsSize{10_000, 1, 10}, 2),
			topics("topics-1000x10", topicsSize{1000, 10, 10}, 2),
			churn(churnSize{200, 500}, 5),
			receive(receiveSize{500, 16, 40_000, 2000, 1000}, 2).withVariants(),
			receive(receiveSize{500, 16 << 10, 4000, 2000, 20}, 2),
			hot(hotSize{10, 50, 100, 250}, 5),
			frozen(frozenSize{4000, 1000, 4 << 10, 5, 15}, 2),
			idle(10_000, 2),
			topicMemory(100, 1000, 2),
			compression(burstSize{1000, 100, 1 << 10}, 2),
			resume(resumeSize{2000, 100, 5}, 3),
			resumeFlooded(resumeFloodedSize{10, 200}, 2),
		}
	}
	return []*scenario{
		burst("burst-1000", burstSize{1000, 200, 128}, 1).withVariants(),
		burst("burst-4000", burstSize{4000, 20, 128}, 1),
		steady(steadySize{500, 200, 1}, 1).withVariants(),
		burst("payload-16384", burstSize{100, 30, 16 << 10}, 1),
		topics("topics-2000x1", topicsSize{2000, 1, 10}, 1),
		churn(churnSize{100, 100}, 1),
		receive(receiveSize{500, 16, 40_000, 300, 200}, 1),
		receive(receiveSize{100, 16 << 10, 4000, 200, 20}, 1),
		hot(hotSize{10, 50, 100, 60}, 1),
		frozen(frozenSize{400, 100, 4 << 10, 40, 5}, 1),
		idle(2000, 1),
		topicMemory(20, 1000, 1),
		compression(burstSize{500, 20, 1 << 10}, 1),
		resume(resumeSize{200, 100, 3}, 1),
		resumeFlooded(resumeFloodedSize{10, 50}, 1),
	}
}

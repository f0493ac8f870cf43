package report

import (
	"cmp"
	"fmt"
)

// Bar is a goal that tank is to reach, and whether it did.
type Bar struct {
	Goal    string `json:"goal"`
	Got     string `json:"got"`     // what was measured
	Verdict string `json:"verdict"` // PASS, FAIL, or why neither
}

// The verdicts.
const (
	pass        = "PASS"
	fail        = "FAIL"
	notMeasured = "not measured"
)

// A goal is: ratio of tank's figure to the rival's at most (or at least) factor.
type goal struct {
	of       string // whose figure; "": that of tank
	title    string
	scenario string
	metric   string
	rival    rival
	factor   float64
	atLeast  bool                   // otherwise at most
	absolute bool                   // the figure itself is compared with factor
	unless   func(*Scenario) string // why the figure means nothing, or ""; nil: it always does
}

// A rival picks whose figure tank is compared with.
type rival func(s *Scenario, metric string, more bool) (name string, v float64, ok bool)

// named is one contender.
func named(name string) rival {
	return func(s *Scenario, metric string, _ bool) (string, float64, bool) {
		v, ok := s.Median(name, metric)
		return name, v, ok
	}
}

// best is the best of the contenders.
func best(names ...string) rival {
	return func(s *Scenario, metric string, more bool) (name string, v float64, ok bool) {
		for _, n := range names {
			if got, measured := s.Median(n, metric); measured && (!ok || (got > v) == more) {
				name, v, ok = n, got, true
			}
		}
		return name, v, ok
	}
}

var goContenders = []string{"centrifuge", "melody", "gws", "gorilla", "coder"}

var (
	bun    = named("bun")
	floor  = named("floor")
	bestGo = best(goContenders...)
	// The floor is no contender: it does nothing of what makes a server.
	bestOfAll = best(append([]string{"bun"}, goContenders...)...)
)

// groupMode is the mode with several servers.
const groupMode = "groups"

func groupGoals() []goal {
	alone := named("tank")
	return []goal{
		{title: "burst through NATS, 1 publisher: at least 0.6 of one instance alone", of: "tank-nats", scenario: "group-burst", metric: "deliveries1", rival: alone, factor: 0.6, atLeast: true},
		{title: "burst through NATS, 256 publishers: at least 0.6 of one instance alone", of: "tank-nats", scenario: "group-burst", metric: "deliveries256", rival: alone, factor: 0.6, atLeast: true},
		{title: "burst through JetStream, 256 publishers: at least 0.4 of one instance alone", of: "tank-jetstream", scenario: "group-burst", metric: "deliveries256", rival: alone, factor: 0.4, atLeast: true},
		{title: "latency through NATS: p50 at most 6x that of one instance alone", of: "tank-nats", scenario: "group-latency", metric: "p50", rival: alone, factor: 6},
		{title: "latency through JetStream: p50 at most 8x that of one instance alone", of: "tank-jetstream", scenario: "group-latency", metric: "p50", rival: alone, factor: 8},
		{title: "many topics: at most 2 KiB on the heap per topic", of: "tank-nats", scenario: "group-topics", metric: "heap", factor: 2048, absolute: true},
		{title: "many topics: in force within 1 s", of: "tank-nats", scenario: "group-topics", metric: "force", factor: 1e9, absolute: true},
	}
}

func goals() []goal {
	return []goal{
		{title: "burst to 1,000: at least 4x Bun's deliveries/s", scenario: "burst-1000", metric: "deliveries", rival: bun, factor: 4, atLeast: true},
		{title: "burst to 1,000: at least 10x the best Go contender's deliveries/s", scenario: "burst-1000", metric: "deliveries", rival: bestGo, factor: 10, atLeast: true},
		{title: "burst to 10,000: at least 2.5x Bun's deliveries/s", scenario: "burst-10000", metric: "deliveries", rival: bun, factor: 2.5, atLeast: true},
		{title: "burst to 10,000: at least 8x the best Go contender's deliveries/s", scenario: "burst-10000", metric: "deliveries", rival: bestGo, factor: 8, atLeast: true},
		{title: "burst to 1,000: at most 1/4 of Bun's CPU per delivery", scenario: "burst-1000", metric: "cpu", rival: bun, factor: 0.25},
		{title: "burst to 1,000: at most 1/15 of the best Go contender's CPU per delivery", scenario: "burst-1000", metric: "cpu", rival: bestGo, factor: 1.0 / 15},
		{title: "burst to 1,000: no allocation per delivery, but for 1 in 20 at most", scenario: "burst-1000", metric: "allocs", factor: 0.05, absolute: true},
		{title: "many topics: at most 4 allocations per publish, those of its delivery included", scenario: "topics-10000x1", metric: "allocs", factor: 4, absolute: true},
		{title: "steady: at most 1.08x the floor's CPU per delivery", scenario: "steady", metric: "cpu", rival: floor, factor: 1.08},
		{title: "steady: at most every Go contender's CPU per delivery", scenario: "steady", metric: "cpu", rival: bestGo, factor: 1},
		{title: "steady: p99 at most 1.1x the best contender's", scenario: "steady", metric: "p99", rival: bestOfAll, factor: 1.1},
		{title: "many topics, 1 publisher: at least 2x the best Go contender's publishes/s", scenario: "topics-10000x1", metric: "publishes1", rival: bestGo, factor: 2, atLeast: true},
		{title: "many topics, 64 publishers: at least 2x the best Go contender's publishes/s", scenario: "topics-10000x1", metric: "publishes64", rival: bestGo, factor: 2, atLeast: true},
		{title: "1,000 topics of 10, 1 publisher: at least 2x the best Go contender's publishes/s", scenario: "topics-1000x10", metric: "publishes1", rival: bestGo, factor: 2, atLeast: true},
		{title: "1,000 topics of 10, 64 publishers: at least 2x the best Go contender's publishes/s", scenario: "topics-1000x10", metric: "publishes64", rival: bestGo, factor: 2, atLeast: true},
		{title: "hot topic: the other topic's p99 at most doubles", scenario: "hot", metric: "ratio", factor: 2, absolute: true},
		{title: "frozen subscribers: the others' p99 at most doubles", scenario: "frozen", metric: "ratio", factor: 2, absolute: true},
		{title: "idle: at most 5.5 KiB resident per connection", scenario: "idle", metric: "memory", factor: 5632, absolute: true},
		{title: "idle: at most 3 KiB resident per connection as soon as it is open", scenario: "idle", metric: "fresh", factor: 3072, absolute: true},
		{title: "idle: at most 3.5 KiB resident per connection after a burst", scenario: "idle", metric: "used", factor: 3584, absolute: true},
		{title: "idle: below every Go contender's resident memory per connection", scenario: "idle", metric: "memory", rival: bestGo, factor: 1},
		{title: "topic actor with one subscriber: at most 3 KiB", scenario: "topic-memory", metric: "memory", factor: 3072, absolute: true},
		{title: "compression: at most 1.3x the CPU per delivery of uncompressed", scenario: "compression", metric: "ratio", factor: 1.3, absolute: true, unless: uncompressed},
	}
}

// Judge sets the bars.
func (r *Results) Judge() {
	r.Bars = nil
	if r.hasCurves() {
		return
	}
	if r.Mode == groupMode {
		for _, g := range groupGoals() {
			r.Bars = append(r.Bars, g.judge(r.Scenario(g.scenario)))
		}
		return
	}
	for _, g := range goals() {
		r.Bars = append(r.Bars, g.judge(r.Scenario(g.scenario)))
	}
	r.Bars = append(r.Bars,
		r.growth("growth: at most 1.6x the CPU per delivery at 10,000 that it is at 1,000, 100 and 1,000 messages to each", "burst-1000"),
		r.growth("growth: the same with 100 messages to each at 1,000, too", "growth"))
}

func (g goal) judge(s *Scenario) Bar {
	b := Bar{Goal: g.title, Verdict: notMeasured}
	own, ok := s.Median(cmp.Or(g.of, "tank"), g.metric)
	if !ok {
		return b
	}
	if g.unless != nil {
		if why := g.unless(s); why != "" {
			b.Got, b.Verdict = why, fail
			return b
		}
	}
	unit, more := s.metric(g.metric)
	value, limit := own, "at most"
	if g.atLeast {
		limit = "at least"
	}
	if g.absolute {
		b.Got = fmt.Sprintf("%s (%s %s)", Figure(own, unit), limit, Figure(g.factor, unit))
		if other, ok := s.Median("floor", g.metric); ok {
			b.Got += "; the floor has " + Figure(other, unit)
		}
	} else {
		name, other, ok := g.rival(s, g.metric, more)
		if !ok || other == 0 {
			return b
		}
		value = own / other
		b.Got = fmt.Sprintf("%.3gx: %s, %s has %s (%s %.3gx)", value, Figure(own, unit), name, Figure(other, unit), limit, g.factor)
	}
	b.Verdict = verdict(value >= g.factor == g.atLeast || value == g.factor)
	return b
}

// uncompressed says that what went over the wire was not smaller than without compression.
func uncompressed(s *Scenario) string {
	wire, _ := s.Median("tank", "wire")
	if plain, _ := s.Median("tank", "plain wire"); wire < plain {
		return ""
	}
	return fmt.Sprintf("nothing was compressed: %s per delivery", Figure(wire, "bytes"))
}

func verdict(ok bool) string {
	if ok {
		return pass
	}
	return fail
}

// growth compares a burst to 1,000 with the one to 10,000, which no other goal does.
func (r *Results) growth(title, few string) Bar {
	const most = 1.6
	b := Bar{Goal: title, Verdict: notMeasured}
	from, to := r.Scenario(few), r.Scenario("burst-10000")
	ratio, ok := quotient(from, to, "tank")
	if !ok {
		return b
	}
	b.Got = fmt.Sprintf("%.3gx (at most %.3gx)", ratio, most)
	if own, ok := quotient(from, to, "floor"); ok {
		b.Got += fmt.Sprintf("; the floor has %.3gx", own)
	}
	b.Verdict = verdict(ratio <= most)
	return b
}

func quotient(from, to *Scenario, contender string) (float64, bool) {
	few, ok1 := from.Median(contender, "cpu")
	many, ok2 := to.Median(contender, "cpu")
	return many / few, ok1 && ok2
}

func (s *Scenario) metric(key string) (unit string, more bool) {
	for _, m := range s.Metrics {
		if m.Key == key {
			return m.Unit, m.MoreBetter
		}
	}
	return "", false
}

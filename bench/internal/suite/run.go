package suite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/proc"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
)

// Config is what to run.
type Config struct {
	Mode       string
	Contenders []Contender
	Scenarios  []string // parts of names; nil: all
	Rounds     int      // of each scenario; 0: its own
	Deadline   time.Time
	Progress   func(line string)
}

// measurementTime bounds one measurement, so that a contender that hangs costs no more.
const measurementTime = time.Minute

// Run runs the scenarios. Within a round the contenders take turns, beginning with another one each time. When the
// context ends, or the deadline comes, what was measured until then is returned, marked as incomplete.
func Run(ctx context.Context, c Config) *report.Results {
	r := &report.Results{
		Mode:     c.Mode,
		Started:  time.Now(),
		Complete: true,
		Machine:  proc.ThisMachine(),
		Versions: make(map[string]string),
		Skipped:  make(map[string]string),
		Failures: []report.Failure{},
	}
	if c.Mode == Cores || c.Mode == QuickCores {
		for _, l := range machineLayouts() {
			r.Layouts = append(r.Layouts, l.report())
		}
	}
	chosen := slices.DeleteFunc(scenarios(c.Mode), func(s *scenario) bool { return !matches(s.name, c.Scenarios) })
	if c.Rounds > 0 {
		for _, s := range chosen {
			s.rounds = c.Rounds
		}
	}
	before := proc.NowLoad()
	rounds := 0
	for _, s := range chosen {
		r.Scenarios = append(r.Scenarios, &report.Scenario{
			Name: s.name, Title: s.title, Detail: s.detail, Rounds: s.rounds, Metrics: s.metrics, Results: make(map[string]*report.Result),
			Curve: s.curve, Axis: s.axis, Point: s.point,
		})
		rounds = max(rounds, s.rounds)
	}
	for round := range rounds {
		for i, s := range chosen {
			if round < s.rounds {
				c.round(ctx, round, s, r.Scenarios[i], r)
			}
		}
	}
	r.Seconds = time.Since(r.Started).Seconds()
	r.Others = proc.NowLoad().Others(before, r.Machine.Cores)
	return r
}

// CheckScenarios says which part of a name matches no scenario of the mode, if there is one.
func CheckScenarios(mode string, parts []string) error {
	var names []string
	for _, s := range scenarios(mode) {
		names = append(names, s.name)
	}
	for _, part := range parts {
		if !slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, part) }) {
			return fmt.Errorf("no scenario matches %q; there are %s", part, strings.Join(names, ", "))
		}
	}
	return nil
}

func matches(name string, parts []string) bool {
	return len(parts) == 0 || slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(name, part) })
}

func (c Config) round(ctx context.Context, round int, s *scenario, into *report.Scenario, r *report.Results) {
	for turn := range c.Contenders {
		who := c.Contenders[(turn+round)%len(c.Contenders)]
		if !s.includes(who.Name) {
			continue
		}
		if ctx.Err() != nil || time.Now().After(c.Deadline) {
			r.Complete = false
			return
		}
		start := time.Now()
		v, err := measure(ctx, s, who)
		switch {
		case ctx.Err() != nil:
			r.Complete = false
			return
		case err != nil:
			r.Failures = append(r.Failures, report.Failure{Scenario: s.name, Contender: who.Name, Round: round + 1, Error: err.Error()})
		default:
			if into.Results[who.Name] == nil {
				into.Results[who.Name] = &report.Result{}
			}
			into.Results[who.Name].Add(v)
		}
		c.Progress(fmt.Sprintf("%4.0fs  round %d/%d  %-15s %-11s %5.1fs  %s",
			time.Since(r.Started).Seconds(), round+1, s.rounds, s.name, who.Name, time.Since(start).Seconds(), outcome(s, v, err)))
	}
}

func measure(ctx context.Context, s *scenario, c Contender) (values, error) {
	ctx, cancel := context.WithTimeout(ctx, measurementTime)
	defer cancel()
	return s.run(ctx, c)
}

// outcome is a measurement in a few words.
func outcome(s *scenario, v values, err error) string {
	if err != nil {
		return "FAILED: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	var words []string
	for _, m := range s.metrics[:min(2, len(s.metrics))] {
		words = append(words, m.Title+" "+report.Figure(v[m.Key], m.Unit))
	}
	return strings.Join(words, ", ")
}

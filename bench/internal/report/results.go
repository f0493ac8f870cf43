// Package report holds the results of a run and writes them down: a table to read, a file for machines, and charts.
package report

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/proc"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/stats"
)

// Metric is something that a scenario measures.
type Metric struct {
	Key        string `json:"key"`
	Title      string `json:"title"`
	Unit       string `json:"unit"`
	MoreBetter bool   `json:"more_is_better"`
}

// Scenario is what was done and what came of it.
type Scenario struct {
	Name    string             `json:"name"`
	Title   string             `json:"title"`
	Detail  string             `json:"detail"`
	Rounds  int                `json:"rounds"`
	Metrics []Metric           `json:"metrics"`
	Results map[string]*Result `json:"results"` // by contender

	// Of a point of a curve: what the curve is called, what grows along it, and how much of that there is.
	Curve string `json:"curve,omitempty"`
	Axis  string `json:"axis,omitempty"`
	Point string `json:"point,omitempty"`
}

// Result is what one contender achieved: for each metric a value per round.
type Result struct {
	Samples map[string][]float64
}

// Add adds a round.
func (r *Result) Add(values map[string]float64) {
	if r.Samples == nil {
		r.Samples = make(map[string][]float64)
	}
	for key, v := range values {
		r.Samples[key] = append(r.Samples[key], v)
	}
}

// Median returns a metric's median over the rounds. ok is false when it was not measured.
func (r *Result) Median(metric string) (v float64, ok bool) {
	if r == nil || len(r.Samples[metric]) == 0 {
		return 0, false
	}
	return stats.Median(r.Samples[metric]), true
}

// sampled is a metric in JSON.
type sampled struct {
	Median  float64   `json:"median"`
	Samples []float64 `json:"samples"`
}

// MarshalJSON puts the medians beside the samples, for readers without statistics.
func (r *Result) MarshalJSON() ([]byte, error) {
	m := make(map[string]sampled)
	for key, samples := range r.Samples {
		m[key] = sampled{stats.Median(samples), samples}
	}
	return json.Marshal(m)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Result) UnmarshalJSON(b []byte) error {
	var m map[string]sampled
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	r.Samples = make(map[string][]float64)
	for key, s := range m {
		r.Samples[key] = s.Samples
	}
	return nil
}

// Failure is a measurement that is void, because a message was missing, came twice, or came wrong, or because the
// server did not do what it was told.
type Failure struct {
	Scenario  string `json:"scenario"`
	Contender string `json:"contender"`
	Round     int    `json:"round"`
	Error     string `json:"error"`
}

// Results are all of a run.
type Results struct {
	Mode      string            `json:"mode"`
	Started   time.Time         `json:"started"`
	Seconds   float64           `json:"seconds"`
	Complete  bool              `json:"complete"` // all rounds of all scenarios were run
	Machine   proc.Machine      `json:"machine"`
	Others    float64           `json:"others"` // share of the machine's processor time that others took during the run
	Versions  map[string]string `json:"versions"`
	Skipped   map[string]string `json:"skipped,omitempty"` // contenders, and why
	Layouts   []Layout          `json:"layouts,omitempty"` // of the mode cores
	Scenarios []*Scenario       `json:"scenarios"`
	Failures  []Failure         `json:"failures"`
	Bars      []Bar             `json:"bars"`
}

// Order is in which order contenders are shown.
var Order = []string{"tank", "bun", "centrifuge", "melody", "gws", "gorilla", "coder", "floor"}

// Variants are tank with subscribers that speak tank.v2, without and with history. They are in tables behind tank, and
// not in charts.
var Variants = []string{"tank2", "tank2-history"}

// Groups are servers that a broker connects; how many, the number says. They are in tables of their own mode.
var Groups = []string{"tank-nats", "tank-nats-2", "tank-nats-3", "tank-confirmed", "tank-jetstream", "tank-jetstream-2", "centrifuge-redis", "centrifuge-redis-2"}

// CurveVariants are tank with a history, and with clients of both protocols. They are in the mode curves alone.
var CurveVariants = []string{"tank-history", "tank-mixed"}

// Names are all contenders, in the order of tables.
func Names() []string {
	return slices.Concat(slices.Insert(slices.Clone(Order), 1, slices.Concat(Variants, CurveVariants)...), Groups)
}

// Scenario returns a scenario by name, or nil.
func (r *Results) Scenario(name string) *Scenario {
	for _, s := range r.Scenarios {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Contenders lists those with results, in order.
func (s *Scenario) Contenders() []string {
	return slices.DeleteFunc(Names(), func(name string) bool { return s.Results[name] == nil })
}

// Median returns the median of a contender's metric. ok is false when it was not measured, also for a nil scenario.
func (s *Scenario) Median(contender, metric string) (v float64, ok bool) {
	if s == nil {
		return 0, false
	}
	return s.Results[contender].Median(metric)
}

// Measured reports whether there is anything to report, a failure included.
func (r *Results) Measured() bool {
	return len(r.Failures) > 0 || slices.ContainsFunc(r.Scenarios, func(s *Scenario) bool { return len(s.Results) > 0 })
}

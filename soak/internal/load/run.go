// Package load is everything that happens to the server: healthy clients that check what they receive, and faulty ones.
package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fanqie/tank-websocket-go-server/soak/internal/check"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/server"
)

// Config of a run.
type Config struct {
	For      time.Duration `json:"for"`
	Clients  int           `json:"clients"` // healthy ones at a time
	Topics   int           `json:"topics"`
	Rate     int           `json:"rate"` // messages that the server publishes per second
	Seed     uint64        `json:"seed"`
	Progress func(string)  `json:"-"`
}

// Fault is what came of one kind of fault.
type Fault struct {
	Name       string         `json:"name"`
	What       string         `json:"what"`
	Outcomes   map[string]int `json:"outcomes"`
	Unexpected []string       `json:"unexpected"` // of the outcomes
}

// Results of a run.
type Results struct {
	Config      Config          `json:"config"`
	Began       time.Time       `json:"began"`
	Took        time.Duration   `json:"took"`
	Counts      check.Counts    `json:"counts"`
	Connections uint64          `json:"connections"` // attempts of clients
	Stayed      int             `json:"stayed"`      // healthy clients that saw the shutdown
	Faults      []Fault         `json:"faults"`
	Problems    []string        `json:"problems"` // why the run failed; empty: it passed
	Server      *server.End     `json:"server"`
	Samples     []server.Sample `json:"samples"`
}

// run is one in progress.
type run struct {
	config  Config
	server  *server.Process
	until   context.Context // ends when the server has: then nobody waits any more
	topics  []string
	tally   *check.Tally
	ledger  *check.Ledger
	results *Results

	connections, users atomic.Uint64

	mu       sync.Mutex
	outcomes map[string]map[outcome]int // by fault
	current  server.Sample
}

// Run puts a server under load. An error means that there are no results.
func Run(ctx context.Context, config Config) (*Results, error) {
	r := &run{config: config, tally: &check.Tally{}, ledger: check.NewLedger(), outcomes: make(map[string]map[outcome]int)}
	for i := range config.Topics {
		r.topics = append(r.topics, fmt.Sprint("topic ", i))
	}
	r.results = &Results{Config: config, Began: time.Now()}
	var err error
	r.server, err = server.Spawn(server.Config{
		Topics: r.topics,
		Seed:   config.Seed,
		Rate:   config.Rate,
		Sample: min(time.Second, max(config.For/100, 100*time.Millisecond)),
	})
	if err != nil {
		return nil, err
	}
	defer r.server.Stop()
	var over context.CancelFunc
	r.until, over = context.WithCancel(context.Background())
	defer over()

	type report struct {
		end *server.End
		err error
	}
	reported := make(chan report, 1)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		end, err := r.server.Follow(r.sampled)
		stop() // if that came too early
		reported <- report{end, err}
		time.AfterFunc(patience, over) // what the server sent may not be read yet
	}()
	witnesses, err := r.witnesses()
	if err != nil {
		return nil, err
	}
	if err := r.server.Tell(server.Publish); err != nil {
		return nil, err
	}
	stayed, faulty := r.act(ctx)
	_ = r.server.Tell(server.Shutdown) // a server that does not hear it has ended, which its report says
	last := <-reported
	if last.err != nil {
		return nil, last.err
	}
	for _, w := range witnesses {
		<-w.over
	}
	for _, c := range stayed {
		<-c.over
		c.finish(r.ledger, last.end)
	}
	for _, w := range witnesses {
		w.finish(r.ledger, last.end)
	}
	over()
	faulty.Wait()
	r.results.Stayed = len(stayed) + len(witnesses)
	r.conclude(last.end)
	return r.results, nil
}

// act has clients behave and misbehave for the time of the run, and returns when the healthy ones have come to rest.
func (r *run) act(ctx context.Context) (stayed []*client, faulty *sync.WaitGroup) {
	acting, cancel := context.WithTimeout(ctx, r.config.For)
	defer cancel()
	go r.progress(acting)
	faulty = &sync.WaitGroup{}
	for slot := range max(len(faults), r.config.Clients/5) {
		faulty.Go(func() { r.misbehave(acting, slot) })
	}
	var healthy sync.WaitGroup
	all := make([]*client, r.config.Clients)
	for slot := range all {
		healthy.Go(func() { all[slot] = r.healthy(acting, slot) })
	}
	healthy.Wait()
	return slices.DeleteFunc(all, func(c *client) bool { return c == nil }), faulty
}

// note takes down what came of a fault.
func (r *run) note(f fault, o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outcomes[f.name] == nil {
		r.outcomes[f.name] = make(map[outcome]int)
	}
	r.outcomes[f.name][o]++
}

func (r *run) sampled(s server.Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results.Samples = append(r.results.Samples, s)
	r.current = s
}

// progress says every few seconds how it goes.
func (r *run) progress(acting context.Context) {
	tick := time.NewTicker(min(10*time.Second, max(time.Second, r.config.For/20)))
	defer tick.Stop()
	for {
		select {
		case <-acting.Done():
			return
		case <-tick.C:
			r.mu.Lock()
			s, done := r.current, 0
			for _, outcomes := range r.outcomes {
				for _, n := range outcomes {
					done += n
				}
			}
			r.mu.Unlock()
			c := r.tally.Counts()
			r.config.Progress(fmt.Sprintf("%4.0fs  %d clients, %d connections, %d deliveries, %d gaps, %d duplicates, %d inversions, %d other; "+
				"%d faults, %d evicted; heap %.1f MiB, resident %.1f MiB, %d goroutines",
				time.Since(r.results.Began).Seconds(), s.Clients, r.connections.Load(), c.Deliveries, c.Gaps, c.Duplicates, c.Inversions,
				c.Divergences+c.Strays+c.Others, done, s.Evicted, mib(s.Heap), mib(s.Resident), s.Goroutines))
		}
	}
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// conclude completes the results.
func (r *run) conclude(end *server.End) {
	res := r.results
	res.Took = time.Since(res.Began)
	res.Server, res.Counts, res.Connections = end, r.tally.Counts(), r.connections.Load()
	res.Problems = r.tally.Examples()
	problem := func(wrong bool, format string, args ...any) {
		if wrong {
			res.Problems = append(res.Problems, fmt.Sprintf(format, args...))
		}
	}
	for _, f := range faults {
		counted := Fault{Name: f.name, What: f.what, Outcomes: make(map[string]int)}
		for o, n := range r.outcomes[f.name] {
			counted.Outcomes[string(o)] = n
			if !slices.Contains(f.may, o) && o != closed(1001) {
				counted.Unexpected = append(counted.Unexpected, string(o))
				problem(true, "a client that %s was %s", f.what, o)
			}
		}
		res.Faults = append(res.Faults, counted)
	}
	problem(res.Counts.Deliveries == 0, "nothing was delivered")
	problem(end.PublishedTotal == 0, "nothing was published")
	problem(end.Shutdown != "", "Shutdown returned %q", end.Shutdown)
	problem(end.Leaked != "", "goroutines are left in the server: %s", end.Leaked)
	for _, p := range end.Panics[:min(len(end.Panics), 3)] {
		problem(true, "the library panicked: %s", p)
	}
	problem(end.PanicsRecovered != end.PanicsProvoked, "%d panics were recovered, but callbacks panicked %d times", end.PanicsRecovered, end.PanicsProvoked)
}

// Err says whether the run failed.
func (r *Results) Err() error {
	if len(r.Problems) == 0 {
		return nil
	}
	return errors.New("the run failed: " + r.Problems[0])
}

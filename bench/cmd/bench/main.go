// Command bench compares tank with other WebSocket servers. See the README of this module.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/proc"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/setup"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/suite"
)

// most is how long a run of each mode takes at most, preparations included.
var most = map[string]time.Duration{
	suite.Quick: 2 * time.Minute,
	suite.Full:  30 * time.Minute,
	suite.Group: 10 * time.Minute,

	suite.Curves:      10 * time.Minute,
	suite.QuickCurves: 2 * time.Minute,

	suite.Cores:      time.Duration(suite.CountLayouts()) * 5 * time.Minute,
	suite.QuickCores: time.Duration(suite.CountLayouts()) * time.Minute,
}

// published are the modes whose complete runs go to the directory results.
var published = []string{suite.Full, suite.Curves, suite.Cores}

// options are the command line's.
type options struct {
	mode       string
	contenders string
	scenarios  string
	out        string
	rounds     int
}

func main() {
	var o options
	flag.StringVar(&o.mode, "mode", suite.Quick, "quick (under 2 minutes), full (under 30), groups: several servers and a broker (under 10), curves: what more work costs (under 10; curves-quick: under 2), or cores: what more cores bring (under 5 for each number of cores; cores-quick: under 1)")
	flag.StringVar(&o.contenders, "contenders", "", "comma-separated names; by default all that the mode has, of "+strings.Join(report.Names(), ","))
	flag.StringVar(&o.scenarios, "scenarios", "", "comma-separated parts of scenarios' names, listed when none matches; by default all that the mode has")
	flag.IntVar(&o.rounds, "rounds", 0, "rounds of each scenario; by default as many as the mode has")
	flag.StringVar(&o.out, "out", "", "directory for results; by default results for a complete run of full, curves or cores, else .cache/results")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	limit, ok := most[o.mode]
	if !ok {
		return fmt.Errorf("no mode %q; there are %s", o.mode, strings.Join(slices.Sorted(maps.Keys(most)), ", "))
	}
	if err := suite.CheckScenarios(o.mode, split(o.scenarios)); err != nil {
		return err
	}
	deadline := time.Now().Add(limit - 10*time.Second) // what has begun by then may end
	if err := proc.RaiseOpenFiles(); err != nil {
		return err
	}
	root, err := setup.Root()
	if err != nil {
		return err
	}
	cache := filepath.Join(root, ".cache")
	contenders, versions, skipped, err := prepare(ctx, root, cache, o.mode, split(o.contenders))
	if err != nil {
		return err
	}
	results := suite.Run(ctx, suite.Config{
		Mode:       o.mode,
		Contenders: contenders,
		Scenarios:  split(o.scenarios),
		Rounds:     o.rounds,
		Deadline:   deadline,
		Progress:   func(line string) { fmt.Fprintln(os.Stderr, line) },
	})
	results.Versions, results.Skipped = versions, skipped
	results.Complete = results.Complete && o.contenders == "" && o.scenarios == "" && o.rounds == 0
	results.Judge()
	if !results.Measured() && ctx.Err() == nil {
		return errors.New("nothing was measured")
	}
	fmt.Print(results.Markdown(nil))
	out := cmp.Or(o.out, filepath.Join(cache, "results"))
	if o.out == "" && slices.Contains(published, o.mode) && results.Complete {
		out = filepath.Join(root, "results")
	}
	if err := results.Write(out); err != nil {
		return err
	}
	fmt.Printf("\nIn full in %s.\n", out)
	return verdict(ctx, results)
}

// verdict is what the exit status says.
func verdict(ctx context.Context, r *report.Results) error {
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case len(r.Failures) > 0:
		return fmt.Errorf("%d measurements failed", len(r.Failures))
	}
	return nil
}

// prepare builds and installs what is needed for the contenders that are wanted.
func prepare(ctx context.Context, root, cache, mode string, wanted []string) (list []suite.Contender, versions, skipped map[string]string, err error) {
	for _, name := range wanted {
		if !slices.Contains(report.Names(), name) {
			return nil, nil, nil, fmt.Errorf("no contender %q; there are %s", name, strings.Join(report.Names(), ", "))
		}
	}
	if strings.HasPrefix(mode, suite.Cores) {
		if _, err := exec.LookPath(proc.TasksetProgram); err != nil {
			return nil, nil, nil, fmt.Errorf("the mode cores needs taskset of util-linux: %w", err)
		}
	}
	server, err := setup.BuildServer(ctx, root, cache)
	if err != nil {
		return nil, nil, nil, err
	}
	if versions, err = setup.Versions(server); err != nil {
		return nil, nil, nil, err
	}
	list, skipped = slices.Concat(suite.GoContenders(server), suite.TankVariants(server), suite.CurveVariants(server)), make(map[string]string)
	if mode == suite.Group {
		_, err := exec.LookPath(setup.RedisProgram)
		if err != nil {
			skipped["centrifuge-redis"] = err.Error()
		}
		list = suite.Groups(server, err == nil)
		for _, c := range list {
			versions[c.Name] = cmp.Or(versions[c.Name], versions[strings.SplitN(c.Name, "-", 2)[0]]) + c.Described()
		}
	} else if len(wanted) == 0 || slices.Contains(wanted, "bun") {
		if bun, version, err := setup.InstallBun(ctx, cache); err != nil {
			fmt.Fprintln(os.Stderr, "bun is left out:", err)
			skipped["bun"] = err.Error()
		} else {
			list = append(list, suite.BunContender(bun, filepath.Join(root, "bun", "server.js")))
			versions["bun"] = "Bun " + version
		}
	}
	list = slices.DeleteFunc(list, func(c suite.Contender) bool {
		return len(wanted) > 0 && !slices.Contains(wanted, c.Name) || !suite.Does(mode, c.Name)
	})
	for name := range versions {
		if !slices.ContainsFunc(list, func(c suite.Contender) bool { return c.Name == name }) {
			delete(versions, name)
		}
	}
	return list, versions, skipped, nil
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

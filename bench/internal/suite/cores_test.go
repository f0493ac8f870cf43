package suite

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/proc"
	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
)

func TestLayouts(t *testing.T) {
	for n, want := range map[int][]report.Layout{
		1: {{Name: "1 core, shared", Server: "0", Load: "0", Shared: true}},
		2: {
			{Name: "1 core, shared", Server: "0", Load: "0", Shared: true},
			{Name: "2 cores, shared", Server: "0-1", Load: "0-1", Shared: true},
		},
		3: {
			{Name: "1 core", Server: "0", Load: "1-2"},
			{Name: "3 cores, shared", Server: "0-2", Load: "0-2", Shared: true},
		},
		4: {
			{Name: "1 core", Server: "0", Load: "2-3"},
			{Name: "2 cores", Server: "0-1", Load: "2-3"},
			{Name: "4 cores, shared", Server: "0-3", Load: "0-3", Shared: true},
		},
		8: {
			{Name: "1 core", Server: "0", Load: "4-7"},
			{Name: "2 cores", Server: "0-1", Load: "4-7"},
			{Name: "4 cores", Server: "0-3", Load: "4-7"},
			{Name: "8 cores, shared", Server: "0-7", Load: "0-7", Shared: true},
		},
	} {
		cores := make([]int, n)
		for i := range cores {
			cores[i] = i
		}
		var got []report.Layout
		for _, l := range layouts(cores) {
			got = append(got, l.report())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d cores: %+v", n, got)
		}
	}
}

// TestCores measures on one core, and has the server say on which ones it runs.
func TestCores(t *testing.T) {
	all, err := proc.Cores()
	if err != nil {
		t.Fatal(err)
	}
	l := layout{server: all[:1], load: all[len(all)-1:]}
	for _, w := range coreWorks(quickCores) {
		for _, s := range onCores([]work{w}, []layout{l}) {
			t.Run(s.name, func(t *testing.T) {
				if len(s.metrics) != len(w.figures) {
					t.Errorf("%d metrics, want %v", len(s.metrics), w.figures)
				}
				run(t, s, programs("tank")[0])
			})
		}
	}
	c := Contender{Command: []string{"sh"}}
	_, err = l.bind(func(_ context.Context, c Contender) (values, error) {
		if own, err := proc.Cores(); err != nil || !slices.Equal(own, l.load) {
			t.Errorf("the load generator runs on %v, %v", own, err)
		}
		if want := fmt.Sprintf("[taskset -c %d sh]", l.server[0]); fmt.Sprint(c.Command) != want {
			t.Errorf("%v, want %s", c.Command, want)
		}
		return nil, nil
	})(t.Context(), c)
	if after, _ := proc.Cores(); err != nil || !slices.Equal(after, all) {
		t.Errorf("bound to %v afterwards, %v", after, err)
	}
}

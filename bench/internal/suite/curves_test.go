package suite

import (
	"slices"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/bench/internal/report"
)

// TestCurves is a point of each curve of the quick mode's kind, with those of its contenders that need no installation.
func TestCurves(t *testing.T) {
	list := slices.Concat(programs("tank", "gws"), TankVariants(server), CurveVariants(server))
	sizes := curveSizes{
		subscribers: []int{20}, messages: 50, topics: []int{1, 5, 50}, clients: 10, deliveries: 100,
		payloads: []int{16, 64 << 10}, bytes: 128 << 10, tank: []int{7}, rounds: 1,
	}
	for _, s := range curves(sizes) {
		for _, c := range list {
			if !s.includes(c.Name) {
				continue
			}
			t.Run(c.Name+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				run(t, s, c)
			})
		}
	}
}

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		spread
		each, messages int
		names          []string // of client 3
	}{
		{spread{10, 1, 100}, 1, 10, []string{"user"}},
		{spread{10, 5, 100}, 1, 10, []string{"user-3"}},
		{spread{10, 30, 100}, 3, 3, []string{"user-3", "user-13", "user-23"}},
		{spread{10, 1000, 100}, 100, 1, nil},
	} {
		if test.spread.each() != test.each || test.spread.messages() != test.messages {
			t.Errorf("%+v: %d topics each, %d messages", test.spread, test.spread.each(), test.spread.messages())
		}
		if names := test.spread.names(3); test.names != nil && !slices.Equal(names, test.names) {
			t.Errorf("%+v: %q", test.spread, names)
		}
	}
	for _, sizes := range []curveSizes{fullCurves, quickCurves} {
		for _, n := range sizes.topics {
			if n%sizes.clients != 0 && sizes.clients%n != 0 {
				t.Errorf("%d connections cannot share out %d topics", sizes.clients, n)
			}
		}
	}
}

// TestCurveVariantsHaveTheirMode: the variants for curves do nothing elsewhere, and are known to the report.
func TestCurveVariantsHaveTheirMode(t *testing.T) {
	for _, c := range CurveVariants(server) {
		if Does(Full, c.Name) || Does(Quick, c.Name) || !Does(Curves, c.Name) || !slices.Contains(report.Names(), c.Name) {
			t.Errorf("%s is in another mode, or unknown", c.Name)
		}
	}
	if Does(Curves, "gorilla") || !Does(Curves, "bun") {
		t.Error("curves are not those of tank, Bun and gws")
	}
}

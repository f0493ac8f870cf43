package tankprometheus_test

import (
	"io"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	tank "github.com/fanqie/tank-websocket-go-server"
	tankprometheus "github.com/fanqie/tank-websocket-go-server/metrics/prometheus"
)

func collectorOfOne(b *testing.B) *tankprometheus.Collector {
	c := tankprometheus.NewCollector()
	if err := c.Add("chat", tank.NewInstance()); err != nil {
		b.Fatal(err)
	}
	return c
}

// BenchmarkCollect is this package's part of a scrape of one instance.
func BenchmarkCollect(b *testing.B) {
	c := collectorOfOne(b)
	metrics := make(chan prometheus.Metric, 100)
	b.ReportAllocs()
	for b.Loop() {
		c.Collect(metrics)
		for len(metrics) > 0 {
			<-metrics
		}
	}
}

// BenchmarkScrape is all of it: collected, checked and sorted by the registry, and written as text.
func BenchmarkScrape(b *testing.B) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectorOfOne(b))
	b.ReportAllocs()
	for b.Loop() {
		families, err := registry.Gather()
		if err != nil {
			b.Fatal(err)
		}
		for _, family := range families {
			if _, err := expfmt.MetricFamilyToText(io.Discard, family); err != nil {
				b.Fatal(err)
			}
		}
	}
}

package metrics_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/fanqie/tank-websocket-go-server/internal/metrics"
)

func TestValuesFallIntoBucketsUpToAndIncludingTheirBounds(t *testing.T) {
	h := metrics.NewHistogram(0, 10, 100)
	for _, v := range []int64{-1, 0, 1, 10, 11, 100, 101, 1 << 40} {
		h.Observe(v)
	}
	if got, want := h.Counts(), []uint64{2, 2, 2, 2}; !slices.Equal(got, want) {
		t.Errorf("counts are %v, want %v", got, want)
	}
	if got, want := h.Sum(), int64(222+1<<40); got != want {
		t.Errorf("the sum is %d, want %d", got, want)
	}
}

func TestObservationsOfManyGoroutinesAreAllCounted(t *testing.T) {
	h := metrics.NewHistogram(1, 2)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for v := range int64(3000) {
				h.Observe(v%3 + 1)
			}
		})
	}
	wg.Wait()
	if got, want := h.Counts(), []uint64{8000, 8000, 8000}; !slices.Equal(got, want) || h.Sum() != 48000 {
		t.Errorf("counts are %v and the sum %d, want %v and 48000", got, h.Sum(), want)
	}
}

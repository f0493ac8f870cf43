package stats

import (
	"math"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{3, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := Median(test.values); got != test.want {
			t.Errorf("median of %v is %v, want %v", test.values, got, test.want)
		}
	}
	if got := Median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v", got)
	}
	values := []float64{3, 1, 2}
	if Median(values); values[0] != 3 {
		t.Error("Median sorts its argument")
	}
}

func TestPercentile(t *testing.T) {
	var values []int
	for i := range 1000 {
		values = append(values, i+1)
	}
	for _, test := range []struct {
		p    float64
		want int
	}{{0, 1}, {50, 500}, {99, 990}, {99.9, 999}, {100, 1000}} {
		if got := Percentile(values, test.p); got != test.want {
			t.Errorf("p%v is %d, want %d", test.p, got, test.want)
		}
	}
	if got := Percentile([]int(nil), 50); got != 0 {
		t.Errorf("percentile of nothing is %d", got)
	}
}

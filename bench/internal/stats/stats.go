// Package stats holds the few statistics that the report needs.
package stats

import (
	"cmp"
	"math"
	"slices"
)

// Median returns the middle of the values, or the mean of the two in the middle; NaN when there are none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Percentile returns the smallest value that at least p percent of the values do not exceed, the nearest-rank
// definition; the zero value when there are none. The values must be sorted.
func Percentile[T cmp.Ordered](sorted []T, p float64) T {
	if len(sorted) == 0 {
		var zero T
		return zero
	}
	rank := int(math.Ceil(p*float64(len(sorted))/100 - 1e-9)) // 99.9 is not quite 99.9
	return sorted[min(max(rank, 1), len(sorted))-1]
}

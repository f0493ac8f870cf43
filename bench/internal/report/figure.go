package report

import (
	"fmt"
	"math"
)

// Figure writes a value of a unit with three digits, which is more than two runs agree on.
func Figure(v float64, unit string) string {
	switch unit {
	case "ns":
		return scaled(v, 1000, "ns", "µs", "ms", "s")
	case "bytes":
		return scaled(v, 1024, "B", "KiB", "MiB", "GiB")
	case "/s":
		return scaled(v, 1000, "/s", "k/s", "M/s", "G/s")
	case "x":
		return digits(v) + "x"
	}
	return digits(v) + unit
}

func scaled(v, step float64, units ...string) string {
	i := 0
	for math.Abs(v) >= step*0.9995 && i < len(units)-1 {
		v /= step
		i++
	}
	return digits(v) + " " + units[i]
}

// digits writes three significant digits, or the whole number when it has more.
func digits(v float64) string {
	switch a := math.Abs(v); {
	case a >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case a >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case a == 0:
		return "0"
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/fanqie/tank-websocket-go-server/soak/internal/load"
)

// The measures of the chart in pixels.
const (
	width, height = 760, 420
	left, right   = 64.0, 690.0
	top, bottom   = 84.0, 360.0
)

// style has the colours for light and for dark pages. The chart has no background of its own.
const style = `<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}
.title{font-size:16px;font-weight:600}.small{font-size:11px;fill:#59636e}
.grid{stroke:#d1d9e0;stroke-width:1}
.line{fill:none;stroke-width:2}
.s0{stroke:#d1480f}.s1{stroke:#5b8def}.s2{stroke:#8c959f}
.f0{fill:#d1480f}.f1{fill:#5b8def}.f2{fill:#8c959f}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.grid{stroke:#3d444d}
.s0{stroke:#ff7b46}.s1{stroke:#79a8ff}.s2{stroke:#9198a1}
.f0{fill:#ff7b46}.f1{fill:#79a8ff}.f2{fill:#9198a1}}
</style>
`

// series is a line of the chart, belonging to one of its vertical axes.
type series struct {
	name   string
	values []float64
	axis   *axis
}

// axis is a vertical axis: it begins at zero, and ends at or above the highest figure.
type axis struct{ step, most float64 }

// lines is how many lines of the grid there are above zero.
const lines = 4

// fit makes an axis whose steps are round.
func fit(highest float64) *axis {
	step := 1.0
	for step*lines < highest {
		switch lead := step / math.Pow(10, math.Floor(math.Log10(step)+1e-9)); {
		case lead < 1.5: // 1, 2, 5, 10, ...
			step *= 2
		case lead < 3:
			step *= 2.5
		default:
			step *= 2
		}
	}
	return &axis{step, step * lines}
}

func (a *axis) y(v float64) float64 { return bottom - (bottom-top)*v/a.most }

// Chart draws the server's memory and its clients over time, as SVG.
func Chart(r *load.Results) string {
	var seconds, heap, resident, clients []float64
	for _, s := range r.Samples {
		seconds = append(seconds, s.Seconds)
		heap = append(heap, mib(s.Heap))
		resident = append(resident, mib(s.Resident))
		clients = append(clients, float64(s.Clients))
	}
	memory, count := fit(max(highest(heap), highest(resident))), fit(highest(clients))
	var b strings.Builder
	title := "Memory of the server, and its clients"
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n%s", title, style)
	text(&b, 16, 24, "title", "start", title)
	text(&b, 16, 42, "small", "start", fmt.Sprintf("%d healthy clients, %d topics, %d messages published per second, %d deliveries; seed %d",
		r.Config.Clients, r.Config.Topics, r.Config.Rate, r.Counts.Deliveries, r.Config.Seed))
	for i := range lines + 1 {
		v := memory.step * float64(i)
		line(&b, left, memory.y(v), right, memory.y(v))
		text(&b, left-8, memory.y(v)+4, "small", "end", fmt.Sprintf("%g", v))
		text(&b, right+8, memory.y(v)+4, "small", "start", fmt.Sprintf("%g", count.step*float64(i)))
	}
	text(&b, left-8, top-12, "small", "end", "MiB")
	text(&b, right+8, top-12, "small", "start", "clients")
	x := timeAxis(&b, highest(seconds))
	all := []series{{"resident memory", resident, memory}, {"live heap", heap, memory}, {"clients (right)", clients, count}}
	for i := len(all) - 1; i >= 0; i-- { // the first is drawn last, on top
		s := all[i]
		var d strings.Builder
		for j, v := range s.values {
			fmt.Fprintf(&d, "%c%.1f %.1f", "ML"[min(j, 1)], x(seconds[j]), s.axis.y(v))
		}
		fmt.Fprintf(&b, `<path d="%s" class="line s%d"/>`+"\n", d.String(), i)
		at := left + 8 + 150*float64(i)
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="10" height="10" rx="2" class="f%d"/>`+"\n", at, top-21, i)
		text(&b, at+16, top-12, "small", "start", s.name)
	}
	return b.String() + "</svg>\n"
}

// timeAxis draws the horizontal axis and returns where a second is on it.
func timeAxis(b *strings.Builder, seconds float64) (x func(float64) float64) {
	unit, size := "seconds", 1.0
	if seconds > 180 {
		unit, size = "minutes", 60
	}
	steps := fit(max(seconds/size, 1) / 2) // about twice as many
	x = func(s float64) float64 { return left + (right-left)*s/max(seconds, 1) }
	for v := 0.0; v*size <= seconds; v += steps.step {
		text(b, x(v*size), bottom+20, "small", "middle", fmt.Sprintf("%g", v))
	}
	text(b, (left+right)/2, bottom+42, "small", "middle", unit+" since the server began")
	return x
}

func highest(values []float64) float64 {
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	return most
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func line(b *strings.Builder, x1, y1, x2, y2 float64) {
	fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="grid"/>`+"\n", x1, y1, x2, y2)
}

func text(b *strings.Builder, x, y float64, class, anchor, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, s)
}

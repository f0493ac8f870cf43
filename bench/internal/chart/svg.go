// Package chart draws simple charts as SVG. They have no background of their own and follow the reader's light or dark
// theme.
package chart

import (
	"fmt"
	"strings"
)

// Series is one contender's figures, one for each category. A negative figure is missing.
type Series struct {
	Name   string
	Colour int // the same number has the same colour in all charts; 0 is the one that stands out
	Values []float64
}

// style has the colours for light and for dark pages.
const style = `<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}
.title{font-size:16px;font-weight:600}.small{font-size:11px;fill:#59636e}
.grid{stroke:#d1d9e0;stroke-width:1}
.f0{fill:#d1480f}.f1{fill:#5b8def}.f2{fill:#8250df}.f3{fill:#2da44e}.f4{fill:#bf8700}.f5{fill:#0f9a9a}.f6{fill:#a0748c}.f7{fill:#8c959f}
.l{fill:none;stroke-width:2}
.s0{stroke:#d1480f}.s1{stroke:#5b8def}.s2{stroke:#8250df}.s3{stroke:#2da44e}.s4{stroke:#bf8700}.s5{stroke:#0f9a9a}.s6{stroke:#a0748c}.s7{stroke:#8c959f}
.l.s0{stroke-width:4}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.grid{stroke:#3d444d}
.f0{fill:#ff7b46}.f1{fill:#79a8ff}.f2{fill:#b392f0}.f3{fill:#56d364}.f4{fill:#e3b341}.f5{fill:#4fd1d1}.f6{fill:#d2a8c0}
.s0{stroke:#ff7b46}.s1{stroke:#79a8ff}.s2{stroke:#b392f0}.s3{stroke:#56d364}.s4{stroke:#e3b341}.s5{stroke:#4fd1d1}.s6{stroke:#d2a8c0}}
</style>
`

// colours is how many there are; higher numbers begin again.
const colours = 8

// canvas gathers the elements of a picture. Sizes are in pixels at the natural size.
type canvas struct {
	b             strings.Builder
	width, height int
}

func newCanvas(width, height int, title, subtitle string) *canvas {
	c := &canvas{width: width, height: height}
	fmt.Fprintf(&c.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&c.b, "<title>%s</title>\n%s", escape(title), style)
	c.text(margin, 24, "title", "start", title)
	c.text(margin, 42, "small", "start", subtitle)
	return c
}

func (c *canvas) String() string { return c.b.String() + "</svg>\n" }

func (c *canvas) text(x, y float64, class, anchor, text string) {
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, escape(text))
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&c.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
}

func (c *canvas) rect(x, y, width, height float64, colour int) {
	fmt.Fprintf(&c.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2" class="f%d"/>`+"\n", x, y, width, height, colour%colours)
}

func (c *canvas) dot(x, y float64, colour int) {
	fmt.Fprintf(&c.b, `<circle cx="%.1f" cy="%.1f" r="4" class="f%d"/>`+"\n", x, y, colour%colours)
}

func (c *canvas) path(points [][2]float64, colour int) {
	var d strings.Builder
	for i, p := range points {
		fmt.Fprintf(&d, "%c%.1f %.1f", "ML"[min(i, 1)], p[0], p[1])
	}
	fmt.Fprintf(&c.b, `<path d="%s" class="l s%d"/>`+"\n", d.String(), colour%colours)
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

func escape(s string) string { return escaper.Replace(s) }

// The measures of a picture in pixels.
const (
	margin = 16.0
	top    = 64.0 // below the titles
	full   = 760
)

package chart

import (
	"math"
	"slices"
)

// Lines is a chart with a line for each series. The vertical axis is logarithmic.
type Lines struct {
	Title, Subtitle string
	Axis            string   // what the labels are
	Labels          []string // of the points, which stand at equal distances
	Series          []Series
	Format          func(float64) string
}

const (
	linesLeft  = 80.0
	linesRight = 640.0
	linesBelow = 380.0
)

// SVG draws it.
func (l Lines) SVG() string {
	c := newCanvas(full, linesBelow+52, l.Title, l.Subtitle)
	low, high := l.decades()
	y := func(v float64) float64 {
		return linesBelow - (linesBelow-top)*(math.Log10(v)-low)/(high-low)
	}
	for d := low; d <= high; d++ {
		v := math.Pow(10, d)
		c.line(linesLeft, y(v), linesRight, y(v), "grid")
		c.text(linesLeft-8, y(v)+4, "small", "end", l.Format(v))
	}
	for i, text := range l.Labels {
		c.text(l.x(i), linesBelow+22, "small", "middle", text)
	}
	c.text((linesLeft+linesRight)/2, linesBelow+40, "small", "middle", l.Axis)
	l.draw(c, y)
	return c.String()
}

// draw draws the lines, and their names where they end, moved apart where they would cover each other.
func (l Lines) draw(c *canvas, y func(float64) float64) {
	type name struct {
		text   string
		y      float64
		colour int
	}
	var names []name
	for i := len(l.Series) - 1; i >= 0; i-- { // the first is drawn last, on top
		var points [][2]float64
		for j, v := range l.Series[i].Values {
			if v > 0 {
				points = append(points, [2]float64{l.x(j), y(v)})
			}
		}
		if len(points) == 0 {
			continue
		}
		c.path(points, l.Series[i].Colour)
		for _, p := range points {
			c.dot(p[0], p[1], l.Series[i].Colour)
		}
		names = append(names, name{l.Series[i].Name, points[len(points)-1][1], l.Series[i].Colour})
	}
	slices.SortFunc(names, func(a, b name) int { return int(math.Copysign(1, a.y-b.y)) })
	const height = 15
	for k := range names {
		if k > 0 {
			names[k].y = max(names[k].y, names[k-1].y+height)
		}
		c.rect(linesRight+14, names[k].y-5, 10, 10, names[k].colour)
		c.text(linesRight+30, names[k].y+4, "", "start", names[k].text)
	}
}

func (l Lines) x(i int) float64 {
	if len(l.Labels) == 1 {
		return (linesLeft + linesRight) / 2
	}
	return linesLeft + 30 + (linesRight-linesLeft-60)*float64(i)/float64(len(l.Labels)-1)
}

// decades returns the powers of ten between which all figures are.
func (l Lines) decades() (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, s := range l.Series {
		for _, v := range s.Values {
			if v > 0 {
				low, high = min(low, math.Floor(math.Log10(v))), max(high, math.Ceil(math.Log10(v)))
			}
		}
	}
	if math.IsInf(low, 0) {
		return 0, 1
	}
	return low, max(high, low+1)
}

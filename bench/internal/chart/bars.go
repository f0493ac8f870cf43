package chart

// Bars is a chart with a horizontal bar for each figure, in groups of one for each series.
type Bars struct {
	Title, Subtitle string
	Labels          []string // of the bars in a group; one empty label when there is one bar
	Series          []Series
	Format          func(float64) string
}

// SVG draws it.
func (b Bars) SVG() string {
	const (
		thick, gap  = 18.0, 14.0
		left, right = 110.0, 110.0 // for the names, and for the figures
	)
	group := thick*float64(len(b.Labels)) + gap
	c := newCanvas(full, int(top+group*float64(len(b.Series))+margin), b.Title, b.Subtitle)
	most := 0.0
	for _, s := range b.Series {
		for _, v := range s.Values {
			most = max(most, v)
		}
	}
	if most == 0 {
		most = 1
	}
	for i, s := range b.Series {
		y := top + group*float64(i)
		c.text(left-8, y+thick*float64(len(b.Labels))/2+5, "", "end", s.Name)
		for j, v := range s.Values {
			if v < 0 {
				continue
			}
			width := max(1, (full-left-right-margin)*v/most)
			at := y + thick*float64(j)
			c.rect(left, at+1, width, thick-2, s.Colour)
			c.text(left+width+6, at+thick-5, "small", "start", label(b.Labels[j], b.Format(v)))
		}
	}
	return c.String()
}

func label(name, figure string) string {
	if name == "" {
		return figure
	}
	return name + " " + figure
}

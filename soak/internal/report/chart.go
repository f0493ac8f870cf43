package report

import (
	"bytes"
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/fanqie/tank-websocket-go-server/soak/internal/load"
	"github.com/fanqie/tank-websocket-go-server/soak/internal/server"
)

// The measures of the chart.
const width, height, margin = vg.Length(600), vg.Length(400), vg.Length(8)

func init() {
	plot.DefaultFont.Variant = "Sans"
	plotter.DefaultFont.Variant = "Sans"
}

// Chart draws the server's memory over time, and its clients below, as SVG on a white background.
func Chart(r *load.Results) ([]byte, error) {
	unit, size := "seconds", 1.0
	if r.Samples[len(r.Samples)-1].Seconds > 180 {
		unit, size = "minutes", 60
	}
	memory, clients := plot.New(), plot.New()
	memory.Title.Text, memory.Title.Padding = "Memory of the server, and its clients", 8
	memory.Title.TextStyle.Font.Size, memory.Title.TextStyle.Font.Weight = 13, 2 // bold
	memory.Y.Label.Text, clients.Y.Label.Text = "MiB", "clients"
	clients.X.Label.Text = fmt.Sprintf("%s since the server began\n%d healthy clients, %d topics, %d messages published per second, %d deliveries; seed %d",
		unit, r.Config.Clients, r.Config.Topics, r.Config.Rate, r.Counts.Deliveries, r.Config.Seed)
	for _, line := range []struct {
		p      *plot.Plot
		name   string
		colour color.RGBA
		value  func(server.Sample) float64
	}{
		{memory, "resident memory", color.RGBA{0xd1, 0x48, 0x0f, 255}, func(s server.Sample) float64 { return mib(s.Resident) }},
		{memory, "live heap", color.RGBA{0x5b, 0x8d, 0xef, 255}, func(s server.Sample) float64 { return mib(s.Heap) }},
		{clients, "clients", color.RGBA{0x59, 0x63, 0x6e, 255}, func(s server.Sample) float64 { return float64(s.Clients) }},
	} {
		points := make(plotter.XYs, len(r.Samples))
		for i, s := range r.Samples {
			points[i] = plotter.XY{X: s.Seconds / size, Y: line.value(s)}
		}
		drawn, err := plotter.NewLine(points)
		if err != nil {
			return nil, err
		}
		drawn.Color, drawn.Width = line.colour, 1.5
		line.p.Add(drawn)
		line.p.Legend.Add(line.name, drawn)
	}
	return svg(memory, clients)
}

// svg draws plots one below the other, with axes that begin at 0. Where the font is missing, one with letters of the same
// widths takes its place.
func svg(plots ...*plot.Plot) ([]byte, error) {
	canvas := vgsvg.New(width, height)
	all := draw.New(canvas)
	all.SetColor(color.White)
	all.Fill(all.Rectangle.Path())
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = color.Gray{0xdd}, color.Gray{0xdd}
	var rows [][]*plot.Plot
	for _, p := range plots {
		p.X.Min, p.Y.Min, p.X.Max, p.Y.Max = 0, 0, max(p.X.Max, 1), max(p.Y.Max, 1)*1.4 // the legend stands above the lines
		p.Add(grid)
		p.X.Label.TextStyle.Font.Size, p.Y.Label.TextStyle.Font.Size, p.Legend.TextStyle.Font.Size = 9, 9, 9
		p.Legend.Top, p.Legend.Left, p.Legend.XOffs = true, true, 8
		rows = append(rows, []*plot.Plot{p})
	}
	tiles := draw.Tiles{Rows: len(rows), Cols: 1, PadY: 8}
	for i, row := range plot.Align(rows, tiles, draw.Crop(all, margin, -margin, margin, -margin)) {
		plots[i].Draw(row[0])
	}
	var b bytes.Buffer
	_, err := canvas.WriteTo(&b)
	return bytes.ReplaceAll(b.Bytes(), []byte("Liberation Sans"), []byte("Liberation Sans,Arial,Helvetica,sans-serif")), err
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

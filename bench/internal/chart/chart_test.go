package chart

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func figure(v float64) string { return fmt.Sprintf("%g <&\">", v) }

func TestChartsAreWellFormed(t *testing.T) {
	series := []Series{{"tank", 0, []float64{1e7, 5e6, 4e6}}, {"a<b>&c", 1, []float64{4e5, -1, 0}}, {"none", 9, []float64{-1, -1, -1}}}
	for name, svg := range map[string]string{
		"bars":     Bars{"<title>", "a & b", []string{"p50", "p99", "p99.9"}, series, figure}.SVG(),
		"lines":    Lines{"<title>", "a & b", "<x>", []string{"1", "2", "3"}, series, figure}.SVG(),
		"empty":    Bars{Labels: []string{""}, Format: figure}.SVG(),
		"nothing":  Lines{Format: figure}.SVG(),
		"one dot":  Lines{Labels: []string{"1"}, Series: []Series{{"x", 0, []float64{10}}}, Format: figure}.SVG(),
		"zero bar": Bars{Labels: []string{""}, Series: []Series{{"x", 0, []float64{0}}}, Format: figure}.SVG(),
	} {
		t.Run(name, func(t *testing.T) {
			d := xml.NewDecoder(strings.NewReader(svg))
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%v in\n%s", err, svg)
				}
			}
			if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
				t.Error("a figure is not a number")
			}
			if !strings.Contains(svg, "prefers-color-scheme:dark") {
				t.Error("no colours for dark pages")
			}
		})
	}
}

func TestBarsAreInProportion(t *testing.T) {
	svg := Bars{Labels: []string{""}, Series: []Series{{"a", 0, []float64{10}}, {"b", 1, []float64{5}}}, Format: figure}.SVG()
	var doc struct {
		Rects []struct {
			Width float64 `xml:"width,attr"`
		} `xml:"rect"`
	}
	if err := xml.Unmarshal([]byte(svg), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Rects) != 2 || doc.Rects[0].Width != 2*doc.Rects[1].Width {
		t.Errorf("rectangles %+v", doc.Rects)
	}
}

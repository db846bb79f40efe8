// Package chart draws figures as SVG that is readable on a light and on a dark page: its colours are CSS variables.
package chart

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Series is a line.
type Series struct {
	Name   string
	Points []Point
}

// Point is a point of a line.
type Point struct{ X, Y float64 }

// Mark is a moment, or another place on the horizontal axis, at which something happened.
type Mark struct {
	X     float64
	Label string // short: the number in a list of events
}

// Lines is a chart of lines.
type Lines struct {
	X, Y   string // what the axes are, with the unit
	Series []Series
	Marks  []Mark
	// Percentiles says that X is a percentile: the axis has as much room for 90 to 99 as for 99 to 99.9.
	Percentiles bool
	// LogY gives 1 to 10 as much room as 10 to 100, where lines are of very different heights.
	LogY bool
}

// Size of a chart in points. Pages scale it.
const (
	width       = 660 * vg.Length(1)
	height      = 260 * vg.Length(1)
	legendWidth = 110 * vg.Length(1)
)

// The colours of a chart, in the order of its series; after the last comes the first again, dashed. They can be told apart
// by people who don't see red and green, on light and on dark (after Okabe and Ito).
var palette = []struct{ light, dark string }{
	{"#0072b2", "#56b4e9"}, {"#b84a00", "#ff8f3c"}, {"#00735a", "#35d0a5"}, {"#a0418b", "#e8a0d0"}, {"#7a6200", "#f0d050"},
	{"#5b5b5b", "#c0c0c0"},
}

// Sentinels are colours that stand in the drawing until variables take their place.
var (
	ink  = color.RGBA{1, 2, 3, 255}
	grid = color.RGBA{4, 5, 6, 255}
)

// #nosec G115 -- the palette is short
func series(i int) color.Color { return color.RGBA{7, 8, uint8(i % len(palette)), 255} }

func dashes(i int) []vg.Length {
	if i < len(palette) {
		return nil
	}
	return []vg.Length{vg.Points(float64(3 * (i / len(palette)))), vg.Points(2)}
}

// SVG draws the chart for a page that has the variables of Style.
func (l Lines) SVG() ([]byte, error) {
	p := newPlot(l.X, l.Y)
	p.Add(gridLines())
	low, high := l.heights()
	p.Y.Min, p.Y.Max = 0, high*headroom
	if l.LogY {
		p.Y.Min, p.Y.Scale, p.Y.Tick.Marker = low, plot.LogScale{}, powerTicks{}
	}
	legend := newLegend()
	for i, s := range l.Series {
		points := make(plotter.XYs, len(s.Points))
		for j, point := range s.Points {
			points[j] = plotter.XY{X: l.place(point.X), Y: max(point.Y, p.Y.Min)}
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, fmt.Errorf("drawing %s: %w", s.Name, err)
		}
		line.Color, line.Width, line.Dashes = series(i), vg.Points(1.75), dashes(i)
		p.Add(line)
		legend.Add(s.Name, line)
	}
	if l.Percentiles {
		p.X.Tick.Marker = percentileTicks{}
		p.X.Min = 0
	}
	if err := l.addMarks(p); err != nil {
		return nil, err
	}
	return draws(p, legend)
}

// heights are the lowest above 0 and the highest of all points, and never equal.
func (l Lines) heights() (low, high float64) {
	low = math.Inf(1)
	for _, s := range l.Series {
		for _, point := range s.Points {
			high = max(high, point.Y)
			if point.Y > 0 {
				low = min(low, point.Y)
			}
		}
	}
	if high == 0 {
		return 0.1, 1
	}
	return min(low, high/10), high
}

// place is where X lies on the axis.
func (l Lines) place(x float64) float64 {
	if l.Percentiles {
		return -math.Log10(1 - min(x, 99.99999)/100)
	}
	return x
}

// addMarks draws a line at each mark. Where several are too close together to be labelled, one label is of all.
func (l Lines) addMarks(p *plot.Plot) error {
	labels := plotter.XYLabels{}
	last := math.Inf(-1)
	for _, mark := range l.Marks {
		x := l.place(mark.X)
		line, err := plotter.NewLine(plotter.XYs{{X: x, Y: p.Y.Min}, {X: x, Y: p.Y.Max}})
		if err != nil {
			return fmt.Errorf("marking %s: %w", mark.Label, err)
		}
		line.Color, line.Width, line.Dashes = ink, vg.Points(0.75), []vg.Length{vg.Points(2), vg.Points(2)}
		p.Add(line)
		if n := len(labels.Labels) - 1; n >= 0 && x-last < labelRoom*(p.X.Max-p.X.Min) {
			first, _, _ := strings.Cut(labels.Labels[n], "–")
			labels.Labels[n], labels.XYs[n].X = first+"–"+mark.Label, x
			continue
		}
		last = x
		labels.XYs = append(labels.XYs, plotter.XY{X: x, Y: p.Y.Max})
		labels.Labels = append(labels.Labels, mark.Label)
	}
	if len(l.Marks) == 0 {
		return nil
	}
	texts, err := plotter.NewLabels(labels)
	if err != nil {
		return fmt.Errorf("labelling what happened: %w", err)
	}
	for i := range texts.TextStyle {
		texts.TextStyle[i] = style(8)
		texts.TextStyle[i].XAlign, texts.TextStyle[i].YAlign = draw.XLeft, draw.YTop
	}
	texts.Offset = vg.Point{X: 2}
	p.Add(texts)
	return nil
}

// headroom is for the labels of marks, above the highest point.
const headroom = 1.12

// labelRoom is what a label needs of the axis.
const labelRoom = 0.045

// plainTicks writes 50 and not 50.00.
type plainTicks struct{}

func (plainTicks) Ticks(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i, tick := range ticks {
		if tick.Label != "" {
			ticks[i].Label = strconv.FormatFloat(tick.Value, 'g', 6, 64)
		}
	}
	return ticks
}

// percentileTicks names 50 and the nines.
type percentileTicks struct{}

func (percentileTicks) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for _, name := range []string{"0", "50", "90", "99", "99.9", "99.99", "99.999"} {
		var percent float64
		_, _ = fmt.Sscan(name, &percent)
		if at := (Lines{Percentiles: true}).place(percent); low <= at && at <= high+1e-9 {
			ticks = append(ticks, plot.Tick{Value: at, Label: name})
		}
	}
	return ticks
}

func newLegend() plot.Legend {
	l := plot.NewLegend()
	l.TextStyle, l.Top, l.Left, l.Padding = style(9), true, true, vg.Points(3)
	l.TextStyle.XAlign = draw.XLeft
	return l
}

func newPlot(x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = color.Transparent
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Color, axis.Tick.Color = ink, ink
		axis.Label.TextStyle, axis.Tick.Label = style(10), retick(axis.Tick.Label)
	}
	p.Y.Tick.Marker, p.X.Tick.Marker = plainTicks{}, plainTicks{}
	return p
}

func gridLines() *plotter.Grid {
	g := plotter.NewGrid()
	g.Horizontal.Color, g.Vertical.Width = grid, 0
	return g
}

func style(size float64) text.Style {
	return text.Style{
		Color: ink, Font: font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(size)},
		Handler: plot.DefaultTextHandler, XAlign: draw.XCenter,
	}
}

// retick gives the labels of an axis our colour and type, and leaves them where they are.
func retick(tick text.Style) text.Style {
	s := style(9)
	s.XAlign, s.YAlign, s.Rotation = tick.XAlign, tick.YAlign, tick.Rotation
	return s
}

// draws draws the plot, with the legend to its right, and puts the variables in.
func draws(p *plot.Plot, legend plot.Legend) ([]byte, error) {
	canvas := vgsvg.New(width, height)
	whole := draw.New(canvas)
	p.Draw(draw.Crop(whole, 0, -legendWidth, 0, 0))
	legend.Draw(draw.Crop(whole, width-legendWidth+vg.Points(8), 0, 0, 0))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("drawing a chart: %w", err)
	}
	svg := b.String()
	svg = svg[strings.Index(svg, "<svg"):]
	for of, name := range variables() {
		svg = strings.ReplaceAll(svg, of, "var(--"+name+")")
	}
	svg = strings.ReplaceAll(svg, "font-family:Liberation Sans;", "font-family:system-ui,Liberation Sans,Arial,sans-serif;")
	return []byte(svg), nil
}

// variables are the names of the CSS variables by the colours that they replace.
func variables() map[string]string {
	names := map[string]string{hex(ink): "chart-ink", hex(grid): "chart-grid"}
	for i := range palette {
		names[hex(series(i))] = fmt.Sprintf("chart-%d", i+1)
	}
	return names
}

func hex(c color.Color) string {
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02X%02X%02X", r>>8, g>>8, b>>8)
}

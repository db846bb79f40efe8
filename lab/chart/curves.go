package chart

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Curves is a chart of lines over several powers of ten, in both directions. All X are above 0. A Y of 0, which has no place
// there, lies on the lower edge.
type Curves struct {
	X, Y   string // what the axes are, with the unit
	Series []Series
	Rings  []Ring
}

// Ring is a place that the text beside the chart speaks of.
type Ring struct {
	X, Y  float64
	Label string // short; the number in a table, for instance
}

// SVG draws the chart for a page that has the variables of Style.
func (c Curves) SVG() ([]byte, error) {
	p := newPlot(c.X, c.Y)
	lines := gridLines()
	lines.Vertical.Color, lines.Vertical.Width = grid, lines.Horizontal.Width
	p.Add(lines)
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = powerTicks{}, powerTicks{}
	legend := newLegend()
	low, high := c.heights()
	for i, s := range c.Series {
		points := make(plotter.XYs, len(s.Points))
		for j, point := range s.Points {
			points[j] = plotter.XY{X: point.X, Y: max(point.Y, low)}
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, fmt.Errorf("drawing %s: %w", s.Name, err)
		}
		line.Color, line.Width, line.Dashes = series(i), vg.Points(1.75), dashes(i)
		p.Add(line)
		legend.Add(s.Name, line)
	}
	p.Y.Min, p.Y.Max = low, high
	if err := c.addRings(p); err != nil {
		return nil, err
	}
	return draws(p, legend)
}

// heights are the lowest above 0 and the highest of all points, or bounds around them where they are equal.
func (c Curves) heights() (low, high float64) {
	low = math.Inf(1)
	for _, s := range c.Series {
		for _, point := range s.Points {
			high = max(high, point.Y)
			if point.Y > 0 {
				low = min(low, point.Y)
			}
		}
	}
	switch {
	case high == 0:
		return 0.1, 1
	case low == high:
		return low / 2, high * 2
	}
	return low, high
}

func (c Curves) addRings(p *plot.Plot) error {
	if len(c.Rings) == 0 {
		return nil
	}
	labels := plotter.XYLabels{}
	for _, ring := range c.Rings {
		labels.XYs = append(labels.XYs, plotter.XY{X: ring.X, Y: max(ring.Y, p.Y.Min)})
		labels.Labels = append(labels.Labels, ring.Label)
	}
	rings, err := plotter.NewScatter(labels.XYs)
	if err != nil {
		return fmt.Errorf("drawing rings: %w", err)
	}
	rings.GlyphStyle = draw.GlyphStyle{Color: ink, Radius: vg.Points(3.5), Shape: draw.RingGlyph{}}
	texts, err := plotter.NewLabels(labels)
	if err != nil {
		return fmt.Errorf("drawing the labels of rings: %w", err)
	}
	for i := range texts.TextStyle {
		texts.TextStyle[i] = style(9)
		texts.TextStyle[i].YAlign = draw.YBottom
	}
	texts.Offset = vg.Point{Y: 5}
	p.Add(rings, texts)
	return nil
}

// powerTicks names 1, 2 and 5 of each power of ten.
type powerTicks struct{}

func (powerTicks) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for power := math.Floor(math.Log10(low)); power <= math.Log10(high); power++ {
		for _, digit := range []float64{1, 2, 5} {
			if at := digit * math.Pow(10, power); low <= at*(1+1e-9) && at <= high*(1+1e-9) {
				ticks = append(ticks, plot.Tick{Value: at, Label: fmt.Sprintf("%.6g", at)})
			}
		}
	}
	return ticks
}

// Package chart draws charts as SVG. Fill in a Chart; SVG draws its lines for an HTML page, File for an SVG file, and
// Columns draws stacked columns. The colours are CSS variables, which Style defines for light and for dark pages.
package chart

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Chart is a chart with one line for each series.
type Chart struct {
	Title  string // a description for screen readers
	X, Y   Axis
	Series []Series
	Marks  []Mark
	Rings  []Ring
}

// Series is one line of a chart, or one layer of stacked columns.
type Series struct {
	Name   string
	Points []Point
	Class  string // for Columns: the CSS class that sets the layer's colour
}

// Point is a point of a line.
type Point struct{ X, Y float64 }

// Mark is a labelled vertical line, such as the time of an event.
type Mark struct {
	X     float64
	Label string // a few characters, such as the event's number in a list; Columns shows it as a tooltip
}

// Ring is a labelled circle around a point to which the text beside the chart refers.
type Ring struct {
	X, Y  float64
	Label string // a few characters, such as a number in a table
}

// The layout of a chart, in the units of its view box. Pages scale the picture.
const (
	width, height   = 660, 260
	narrowWidth     = 280
	left, top       = 50.0, 14.0
	bottom          = height - 32.0
	legendWidth     = 110.0
	maxLegendWidth  = 220.0
	characterWidth  = 5.2 // of a legend, on average
	legendLine      = 14.0
	labelRoom       = 30.0 // the width of a mark's label
	headroom        = 1.05 // the height of the vertical axis, as a multiple of the highest point
	ySteps, xSteps  = 5, 6 // the most between the ticks of a linear axis
	legendLineWidth = 18.0
)

// palette has the colours of the lines, in the order of the series. Further series repeat them with dashed lines. The
// colours follow Okabe and Ito, so that colour-blind readers can distinguish them, on light and on dark pages.
var palette = []struct{ light, dark string }{
	{"#0072b2", "#56b4e9"}, {"#b84a00", "#ff8f3c"}, {"#00735a", "#35d0a5"}, {"#a0418b", "#e8a0d0"}, {"#7a6200", "#f0d050"},
	{"#5b5b5b", "#c0c0c0"},
}

// Style returns the CSS variables that the charts of a page use, for light and for dark pages.
func Style() string {
	var light, dark strings.Builder
	for i, c := range palette {
		fmt.Fprintf(&light, "--chart-%d:%s;", i+1, c.light)
		fmt.Fprintf(&dark, "--chart-%d:%s;", i+1, c.dark)
	}
	return ":root{color-scheme:light dark;--chart-ink:#1c1c1c;--chart-grid:#d5d5d5;" + light.String() + "}\n" +
		"@media (prefers-color-scheme:dark){:root{--chart-ink:#e6e6e6;--chart-grid:#454545;" + dark.String() + "}}\n"
}

// SVG draws the chart for an HTML page, which must include Style.
func (c Chart) SVG() string { return c.draw("", false) }

// Narrow draws the chart like SVG for the screen of a phone, with the legend below.
func (c Chart) Narrow() string { return c.draw("", true) }

// File draws the chart as a complete SVG file, which includes Style.
func (c Chart) File() string {
	return c.draw("<title>"+html.EscapeString(c.Title)+"</title>\n<style>"+Style()+"</style>\n", false)
}

// picture builds an SVG.
type picture struct{ strings.Builder }

func (p *picture) add(format string, arguments ...any) { fmt.Fprintf(p, format+"\n", arguments...) }

func (p *picture) text(x, y float64, anchor, text string) {
	p.add(`<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(text))
}

func (c Chart) draw(head string, narrow bool) string {
	var p picture
	x, y := c.scales(narrow)
	w, h := width, height
	if narrow {
		w, h = narrowWidth, height+int(legendLine)*len(c.Series)
	}
	p.add(`<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="%s" width="%dpt" height="%dpt" viewBox="0 0 %[2]d %[3]d">`,
		html.EscapeString(c.Title), w, h)
	p.WriteString(head)
	p.add(`<g font-family="system-ui,Liberation Sans,Arial,sans-serif" font-size="9" fill="var(--chart-ink)" stroke-linejoin="round">`)
	c.drawAxes(&p, x, y)
	c.drawMarks(&p, x)
	for i, s := range c.Series {
		from, line := x.to+16, top+4+float64(i)*legendLine
		if narrow {
			from, line = left, height+5+float64(i)*legendLine
		}
		c.drawSeries(&p, s, i, x, y, from, line)
	}
	for _, ring := range c.Rings {
		p.add(`<circle cx="%.1f" cy="%.1f" r="3.5" fill="none" stroke="var(--chart-ink)" stroke-width=".75"/>`, x.at(ring.X), y.at(ring.Y))
		p.text(x.at(ring.X), y.at(ring.Y)-6, "middle", ring.Label)
	}
	p.WriteString("</g>\n</svg>\n")
	return p.String()
}

// drawAxes draws the axes with their ticks and labels, and the grid.
func (c Chart) drawAxes(p *picture, x, y scale) {
	const grid = `<path d="M%.1f %.1f%c%.1f" stroke="var(--chart-grid)" stroke-width=".5"/>`
	for _, tick := range y.ticks(ySteps) {
		p.add(grid, left, y.at(tick), 'H', x.to)
		p.text(left-6, y.at(tick)+3, "end", number(tick))
	}
	for _, tick := range x.ticks(xSteps) {
		if x.Kind == Log {
			p.add(grid, x.at(tick), bottom, 'V', top)
		}
		p.add(`<path d="M%.1f %.1fv4" stroke="var(--chart-ink)" stroke-width=".5"/>`, x.at(tick), bottom)
		if power := math.Log10(tick); x.Kind != Log || x.to > narrowWidth || math.Abs(power-math.Round(power)) < 1e-9 {
			p.text(x.at(tick), bottom+13, "middle", number(tick))
		}
	}
	p.add(`<path d="M%.1f %.1fV%.1fH%.1f" fill="none" stroke="var(--chart-ink)" stroke-width=".5"/>`, left, top, bottom, x.to)
	p.text((left+x.to)/2, height-5, "middle", c.X.Label)
	p.add(`<g transform="rotate(-90)">`)
	p.text(-(top+bottom)/2, 10, "middle", c.Y.Label)
	p.add(`</g>`)
}

// drawMarks draws a line at each mark. Marks that are too close together for separate labels share one, such as 2–4.
func (c Chart) drawMarks(p *picture, x scale) {
	const line = `<path d="M%.1f %.1fV%.1f" stroke="var(--chart-ink)" stroke-width=".75" stroke-dasharray="2 2"/>`
	for i := 0; i < len(c.Marks); {
		at, label, last := x.at(c.Marks[i].X), c.Marks[i].Label, i
		for ; i < len(c.Marks) && x.at(c.Marks[i].X) < at+labelRoom; i++ {
			p.add(line, x.at(c.Marks[i].X), bottom, top)
			if i > last {
				label = c.Marks[last].Label + "–" + c.Marks[i].Label
			}
		}
		p.text(at-2, top-4, "start", label)
	}
}

// drawSeries draws the line of series i and its entry in the legend, which begins at the given point.
func (c Chart) drawSeries(p *picture, s Series, i int, x, y scale, from, line float64) {
	style := fmt.Sprintf(`fill="none" stroke="var(--chart-%d)" stroke-width="1.75"`, i%len(palette)+1)
	if round := i / len(palette); round > 0 {
		style += fmt.Sprintf(` stroke-dasharray="%d 2"`, 3*round)
	}
	places := make([]string, len(s.Points))
	for j, point := range s.Points {
		places[j] = fmt.Sprintf("%.1f,%.1f", x.at(point.X), y.at(point.Y))
	}
	p.add(`<polyline points="%s" %s/>`, strings.Join(places, " "), style)
	p.add(`<path d="M%.1f %.1fh%.1f" %s/>`, from, line, legendLineWidth, style)
	p.text(from+legendLineWidth+4, line+3, "start", s.Name)
}

// scales returns the axes with their bounds. No axis has length 0, even if the chart is empty.
func (c Chart) scales(narrow bool) (x, y scale) {
	legend := legendWidth
	for _, s := range c.Series {
		legend = max(legend, 16+legendLineWidth+4+characterWidth*float64(len([]rune(s.Name))))
	}
	x = scale{c.X, math.Inf(1), math.Inf(-1), left, width - min(legend, maxLegendWidth)}
	if narrow {
		x.to = narrowWidth - left/2
	}
	lowest, highest := math.Inf(1), 0.0 // of the positive values
	for _, s := range c.Series {
		for _, point := range s.Points {
			x.low, x.high = min(x.low, point.X), max(x.high, point.X)
			highest = max(highest, point.Y)
			if point.Y > 0 {
				lowest = min(lowest, point.Y)
			}
		}
	}
	for _, mark := range c.Marks {
		x.low, x.high = min(x.low, mark.X), max(x.high, mark.X)
	}
	if c.X.Kind == Percentile {
		x.low = 0
	}
	if math.IsInf(x.low, 0) {
		x.low, x.high = 1, 1
	}
	if x.low == x.high {
		x.high++
	}
	if highest == 0 {
		highest = 1
	}
	y = scale{c.Y, 0, highest * headroom, bottom, top}
	if c.Y.Kind == Log {
		y.low = min(lowest, highest/10)
	}
	return x, y
}

// number formats n with at most six digits, without trailing zeros.
func number(n float64) string { return strconv.FormatFloat(n, 'g', 6, 64) }

package chart

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The layout of stacked columns, in the units of the view box.
const (
	columnWidth   = 10
	columnGap     = 1.5
	columnsHeight = 100
	minTop        = 10 // the least value that the full height means
)

// Columns draws the series as layers of n stacked columns. The X of a point is the index of its column, from 0. The picture
// has no text, so that a page can stretch it. The page sets the colours of the classes and labels the vertical axis, which
// ends at top.
func (c Chart) Columns(n int) (svg string, top float64) {
	layers := make([]strings.Builder, len(c.Series))
	sums := make([]float64, n)
	for _, s := range c.Series {
		for _, point := range s.Points {
			sums[int(point.X)] += point.Y
		}
	}
	highest := minTop + 0.0
	for _, sum := range sums {
		highest = max(highest, sum)
	}
	step := roundUp(highest / ySteps)
	top = math.Ceil(highest/step) * step
	clear(sums)
	for i, s := range c.Series {
		for _, point := range s.Points {
			if height := point.Y / top * columnsHeight; height > 0 {
				sums[int(point.X)] += height
				fmt.Fprintf(&layers[i], "M%.1f %.2fh%.1fv%.2fh-%.1fz", point.X*columnWidth, columnsHeight-sums[int(point.X)],
					columnWidth-columnGap, height, columnWidth-columnGap)
			}
		}
	}
	var p picture
	p.add(`<svg viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="%s">`,
		n*columnWidth, columnsHeight, html.EscapeString(c.Title))
	add := func(class, path, title string) {
		p.add(`<path class="%s" d="%s"><title>%s</title></path>`, class, path, html.EscapeString(title))
	}
	lines := ""
	for line := step; line <= top; line += step {
		lines += fmt.Sprintf("M0 %.2fH%d", max(0.5, columnsHeight*(1-line/top)), n*columnWidth)
	}
	p.add(`<path class="lines" d="%s"/>`, lines)
	for i, s := range c.Series {
		add(s.Class, layers[i].String(), s.Name)
	}
	for _, mark := range c.Marks {
		add("mark", fmt.Sprintf("M%.1f 0V%d", mark.X*columnWidth, columnsHeight), mark.Label)
	}
	p.WriteString("</svg>")
	return p.String(), top
}

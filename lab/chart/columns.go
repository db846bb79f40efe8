package chart

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The units of a picture of columns.
const (
	columnWidth   = 10
	columnGap     = 1.5
	columnsHeight = 100
	lowestTop     = 10
)

// Columns draws the series as layers of n columns. The X of a point is the number of its column, from 0. The picture has no
// text: a page stretches it to its own width, gives the classes their colours, and writes beside it what the height means,
// which is top.
func (c Chart) Columns(n int) (svg string, top float64) {
	layers := make([]strings.Builder, len(c.Series))
	sums := make([]float64, n)
	for _, s := range c.Series {
		for _, point := range s.Points {
			sums[int(point.X)] += point.Y
		}
	}
	highest := lowestTop + 0.0
	for _, sum := range sums {
		highest = max(highest, sum)
	}
	step := roundUp(highest / yTicks)
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

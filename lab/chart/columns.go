package chart

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The layout of stacked columns, in the units of the view box.
const (
	columnWidth   = 10
	columnGap     = 1.5
	columnsHeight = 100
	minTop        = 10 // the least value that the full height means
)

// The layout of the labels of marks.
const (
	labelLanes  = 3
	laneHeight  = 14.0 // pixels
	labelColumn = 0.6  // the width of a character, as a share of a column, on a wide page with 60 columns
)

// Columns draws the series as layers of n stacked columns. The X of a point is the index of its column, from 0. A page can
// stretch the picture in both directions. It sets the colours of the classes. The vertical axis ends at top.
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
	var ticks []Point
	for line := step; line <= top; line += step {
		ticks = append(ticks, Point{X: line, Y: columnsHeight * (1 - line/top)})
	}
	return c.stretched(n, layers, ticks), top
}

// Lines draws the series as lines over n columns, like Columns, with a logarithmic vertical axis. A line has a gap at each
// column without a point.
func (c Chart) Lines(n int) string {
	y := scale{Axis{Kind: Log}, 1, 10, columnsHeight, 0}
	for _, s := range c.Series {
		for _, point := range s.Points {
			for ; point.Y > y.high; y.high *= 10 {
			}
			for ; point.Y > 0 && point.Y < y.low; y.low /= 10 {
			}
		}
	}
	lines := make([]strings.Builder, len(c.Series))
	for i, s := range c.Series {
		next := -1.0
		for _, point := range s.Points {
			move := "L%.1f %.2f"
			if point.X != next {
				move = "M%.1f %.2fh0" // h0 makes a point of a line without a second column
			}
			fmt.Fprintf(&lines[i], move, point.X*columnWidth+columnWidth/2, y.at(point.Y))
			next = point.X + 1
		}
	}
	var ticks []Point
	for tick := y.low; tick <= y.high; tick *= 10 {
		ticks = append(ticks, Point{X: tick, Y: y.at(tick)})
	}
	return c.stretched(n, lines, ticks)
}

// stretched draws paths, one for each series, over labelled ticks. Y of a tick is its height in the view box.
func (c Chart) stretched(n int, paths []strings.Builder, ticks []Point) string {
	var p picture
	p.add(`<svg role="img" aria-label="%s"><svg viewBox="0 0 %d %d" preserveAspectRatio="none">`,
		html.EscapeString(c.Title), n*columnWidth, columnsHeight)
	add := func(class, path, title string) {
		p.add(`<path class="%s" d="%s"><title>%s</title></path>`, class, path, html.EscapeString(title))
	}
	lines := ""
	for _, tick := range ticks {
		lines += fmt.Sprintf("M0 %.2fH%d", max(0.5, tick.Y), n*columnWidth)
	}
	p.add(`<path class="lines" d="%s"/>`, lines)
	for i, s := range c.Series {
		add(s.Class, paths[i].String(), s.Name)
	}
	for _, mark := range c.Marks {
		add("mark", fmt.Sprintf("M%.1f 0V%d", mark.X*columnWidth, columnsHeight), mark.Label)
	}
	p.add(`</svg>`)
	for _, tick := range ticks {
		if tick.Y < columnsHeight { // the label is below its line
			p.add(`<text y="%.2f%%" dx="4" dy="1em">%s</text>`, tick.Y, html.EscapeString(strings.TrimSpace(number(tick.X)+" "+c.Y.Label)))
		}
	}
	p.WriteString("</svg>")
	return p.String()
}

// Labels draws the labels of the marks, to be placed above Columns of n columns. Where there is no room for a label, only its
// first word is there, such as the event's number in a list; marks that are earlier in the list come first. The other words have
// the class wide, so that a narrow page can hide them.
func (c Chart) Labels(n int) string {
	var p picture
	p.add(`<svg aria-hidden="true" width="100%%" height="%g">`, labelLanes*laneHeight)
	var taken [labelLanes][]Point // the columns from X to Y that have a label
	place := func(mark Mark, label string) bool {
		from, to, anchor := mark.X, mark.X+float64(len([]rune(label))+1)*labelColumn, "start"
		if to > float64(n) {
			from, to, anchor = 2*from-to, from, "end"
		}
		lane := slices.IndexFunc(taken[:], func(labels []Point) bool {
			return !slices.ContainsFunc(labels, func(other Point) bool { return from < other.Y && to > other.X })
		})
		if lane < 0 {
			return false
		}
		taken[lane] = append(taken[lane], Point{from, to})
		first, others, _ := strings.Cut(label, " ")
		p.add(`<text x="%.2f%%" y="%g" text-anchor="%s">%s <tspan class="wide">%s</tspan></text>`, mark.X/float64(n)*100,
			float64(lane+1)*laneHeight-3, anchor, html.EscapeString(first), html.EscapeString(others))
		return true
	}
	for _, mark := range c.Marks {
		if first, _, _ := strings.Cut(mark.Label, " "); !place(mark, mark.Label) {
			place(mark, first)
		}
	}
	p.WriteString("</svg>")
	return p.String()
}

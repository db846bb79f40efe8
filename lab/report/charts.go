package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"stateless-servers/lab/chart"
	"stateless-servers/lab/load"
)

// latencyCurve returns a chart of the latency and the service time by percentile.
func latencyCurve(r load.Result) (chart.Chart, error) {
	due, err := LatencyLine("from due", r.Histograms.Latency)
	if err != nil {
		return chart.Chart{}, err
	}
	sent, err := LatencyLine("from sent", r.Histograms.Service)
	return chart.Chart{
		Title: "Latency by percentile. The table has its figures.",
		X:     chart.Axis{Label: "percentile", Kind: chart.Percentile}, Y: chart.Axis{Label: "ms"},
		Series: []chart.Series{due, sent},
	}, err
}

// LatencyLine returns a line of latency, in milliseconds, by percentile. It returns an error if the histogram, which a
// load.Result has, can't be read.
func LatencyLine(name, histogram string) (chart.Series, error) {
	points, err := load.Percentiles(histogram)
	s := chart.Series{Name: name}
	for _, point := range points {
		s.Points = append(s.Points, chart.Point{X: point.Percent, Y: point.Milliseconds})
	}
	return s, err
}

// overTime returns a chart over time with the events of the run as marks.
func overTime(r load.Result, title, y string) chart.Chart {
	c := chart.Chart{Title: title, X: chart.Axis{Label: "seconds from the start"}, Y: chart.Axis{Label: y}}
	for i, event := range r.Events {
		c.Marks = append(c.Marks, chart.Mark{X: event.T, Label: fmt.Sprint(i + 1)})
	}
	return c
}

// latencyOverTime returns a chart of the latency in each span of the run.
func latencyOverTime(r load.Result) chart.Chart {
	lines := overTime(r, "Latency over time. The table of seconds has its figures.", "ms")
	for _, part := range []struct {
		name string
		of   func(load.Span) float64
	}{
		{"p50", func(s load.Span) float64 { return s.P50 }},
		{"p99", func(s load.Span) float64 { return s.P99 }},
		{"max", func(s load.Span) float64 { return s.Max }},
	} {
		lines.Series = append(lines.Series, line(part.name, r.Series, part.of))
	}
	return lines
}

// Servers returns a chart titled title of how many requests per second each server answered correctly, with the failed ones on
// top.
func Servers(r load.Result, title string) chart.Chart {
	layers := overTime(r, title, "requests per second")
	layers.Stacked = true
	spans, length := r.Series, 1.0
	if len(spans) > 1 {
		length = spans[1].T - spans[0].T
		spans = spans[:len(spans)-1] // the last span may be incomplete
	}
	add := func(name, class string, of func(load.Span) int64) {
		s := line(name, spans, func(s load.Span) float64 { return float64(of(s)) / length })
		s.Class = class
		layers.Series = append(layers.Series, s)
	}
	for i, name := range serverNames(r.Series) {
		add(name, chart.ServerClass(cmp.Or(chart.ServerNumber(name), i+1)), func(s load.Span) int64 { return s.Servers[name] - s.Failed[name] })
	}
	if r.OK < r.Requests {
		add("failed", chart.FailedClass, func(s load.Span) int64 { return s.Errors })
	}
	return layers
}

func line(name string, spans []load.Span, of func(load.Span) float64) chart.Series {
	s := chart.Series{Name: name}
	for _, span := range spans {
		s.Points = append(s.Points, chart.Point{X: span.T, Y: of(span)})
	}
	return s
}

// serverNames returns the names of the servers, server-2 before server-10.
func serverNames(spans []load.Span) []string {
	seen := map[string]bool{}
	for _, span := range spans {
		for name := range span.Servers {
			seen[name] = true
		}
	}
	return slices.SortedFunc(maps.Keys(seen), chart.CompareNames)
}

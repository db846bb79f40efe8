package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stateless-servers/lab/chart"
	"stateless-servers/lab/load"
)

// Curve is the latency by percentile: from when requests were due, and from when they were sent.
func Curve(r load.Result) (chart.Lines, error) {
	lines := chart.Lines{X: "percentile", Y: "ms", Percentiles: true}
	for _, part := range []struct{ name, histogram string }{
		{"from due", r.Histograms.Latency}, {"from sent", r.Histograms.Service},
	} {
		points, err := load.Percentiles(part.histogram)
		if err != nil {
			return lines, err
		}
		lines.Series = append(lines.Series, chart.Series{Name: part.name, Points: percentiles(points)})
	}
	return lines, nil
}

func percentiles(points []load.Percentile) []chart.Point {
	list := make([]chart.Point, len(points))
	for i, point := range points {
		list[i] = chart.Point{X: point.Percent, Y: point.Milliseconds}
	}
	return list
}

// OverTime is the latency of what was answered in each span of the run.
func OverTime(r load.Result) chart.Lines {
	lines := chart.Lines{X: "seconds from the start", Y: "ms", Marks: marks(r.Events)}
	for _, part := range []struct {
		name string
		of   func(load.Span) float64
	}{
		{"p50", func(s load.Span) float64 { return s.P50 }},
		{"p99", func(s load.Span) float64 { return s.P99 }},
		{"longest", func(s load.Span) float64 { return s.Max }},
	} {
		lines.Series = append(lines.Series, line(part.name, r.Series, part.of))
	}
	return lines
}

// Servers is how many requests a second each server answered, and how many failed.
func Servers(r load.Result) chart.Lines {
	lines := chart.Lines{X: "seconds from the start", Y: "requests a second", Marks: marks(r.Events)}
	spans, length := r.Series, 1.0
	if len(spans) > 1 {
		length = spans[1].T - spans[0].T
		spans = spans[:len(spans)-1] // the last is a part of one
	}
	failed := int64(0)
	for _, span := range spans {
		failed += span.Errors
	}
	for _, name := range serverNames(r.Series) {
		lines.Series = append(lines.Series, line(name, spans, func(s load.Span) float64 {
			return float64(s.Servers[name]) / length
		}))
	}
	if failed > 0 {
		lines.Series = append(lines.Series, line("failed", spans, func(s load.Span) float64 {
			return float64(s.Errors) / length
		}))
	}
	return lines
}

func line(name string, spans []load.Span, of func(load.Span) float64) chart.Series {
	s := chart.Series{Name: name}
	for _, span := range spans {
		s.Points = append(s.Points, chart.Point{X: span.T, Y: of(span)})
	}
	return s
}

// serverNames are those that answered, server-2 before server-10.
func serverNames(spans []load.Span) []string {
	seen := map[string]bool{}
	for _, span := range spans {
		for name := range span.Servers {
			seen[name] = true
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
}

// marks are the numbers of the events, where they happened.
func marks(events []load.Event) []chart.Mark {
	list := make([]chart.Mark, len(events))
	for i, event := range events {
		list[i] = chart.Mark{X: event.T, Label: fmt.Sprint(i + 1)}
	}
	return list
}

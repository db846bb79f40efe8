package experiment

import (
	"maps"
	"slices"

	"stateless-servers/lab/chart"
	"stateless-servers/lab/load"
)

// ServersOverTime is a chart of the requests that each server answered a second.
func ServersOverTime(r load.Result, marks []chart.Mark) chart.Lines {
	lines := chart.Lines{X: "seconds from the start", Y: "requests a second", Marks: marks}
	seen := map[string]bool{}
	for _, span := range r.Series {
		for name := range span.Servers {
			seen[name] = true
		}
	}
	spans := r.Series
	if len(spans) > 1 {
		spans = spans[:len(spans)-1] // the last is a part of one
	}
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		line := chart.Series{Name: name}
		for _, span := range spans {
			line.Points = append(line.Points, chart.Point{X: span.T, Y: float64(span.Servers[name])})
		}
		lines.Series = append(lines.Series, line)
	}
	return lines
}

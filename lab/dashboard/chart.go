package dashboard

import (
	"fmt"
	"hash/fnv"
	"html/template"
	"slices"
	"strings"

	"stateless-servers/lab/chart"
)

// A chartView is the chart of the last minute: a column for each second, stacked from the rates of the servers.
type chartView struct {
	SVG    template.HTML
	Top    float64 // value at the top of the chart, in requests per second
	Legend []legendEntry
	Failed bool // whether any request failed at the load balancer
	Marked bool // whether any event is marked
}

// A legendEntry explains the colour of a server.
type legendEntry struct {
	marker
	Name string
}

// A marker is the colour and letter that distinguish a server. The page of the sample application uses the same ones.
type marker struct {
	Colour int `json:"-"`
}

// colours is the number of classes server-0, server-1 … in files/lab.css.
const colours = 8

func markerOf(name string) marker {
	hash := fnv.New32a()
	hash.Write([]byte(name))
	return marker{int(hash.Sum32() % colours)}
}

// Letter returns a letter that distinguishes the server without colour.
func (i marker) Letter() string { return string(rune('A' + i.Colour)) }

// draw makes the chart of the samples, with a mark for each event in their time.
func draw(samples []sample, events []Event) chartView {
	var p chartView
	highest, now := 0.0, 0.0
	var names []string
	for _, s := range samples {
		now = s.total()
		highest = max(highest, now)
		p.Failed = p.Failed || s.failed > 0
		for name, rate := range s.requests {
			if rate > 0 && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.SortFunc(names, compareNatural)
	c := chart.Chart{
		Title: fmt.Sprintf("Requests per second over the last minute: %.0f now, %.0f at most. The table has the rate of each server.", now, highest),
	}
	first := maxSamples - len(samples) // the newest column is at the right edge
	layer := func(class, name string, rate func(sample) float64) {
		s := chart.Series{Name: name, Class: class}
		for i, sample := range samples {
			s.Points = append(s.Points, chart.Point{X: float64(first + i), Y: rate(sample)})
		}
		c.Series = append(c.Series, s)
	}
	for _, name := range names {
		b := legendEntry{markerOf(name), name}
		p.Legend = append(p.Legend, b)
		layer(fmt.Sprintf("server-%d", b.Colour), name, func(s sample) float64 { return s.requests[name] })
	}
	layer("failed", "failed at the load balancer", func(s sample) float64 { return s.failed })
	for _, event := range events {
		i := slices.IndexFunc(samples, func(s sample) bool { return !s.at.Before(event.At) })
		if i > 0 || i == 0 && samples[0].at.Sub(event.At) < sampleInterval {
			c.Marks = append(c.Marks, chart.Mark{X: float64(first + i), Label: event.Clock() + " " + event.Text})
		}
	}
	svg, top := c.Columns(maxSamples)
	p.SVG, p.Top, p.Marked = template.HTML(svg), top, len(c.Marks) > 0 // #nosec G203 -- package chart escapes all texts
	return p
}

// compareNatural orders server-2 before server-10.
func compareNatural(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

package dashboard

import (
	"fmt"
	"hash/fnv"
	"html/template"
	"slices"
	"strings"

	"stateless-servers/lab/chart"
)

// picture is the chart of the last minute: a column for each second, made of the requests of each server.
type picture struct {
	SVG    template.HTML
	Top    float64 // what the height of the chart means, in requests a second
	Bands  []band
	Failed bool // no server answered some request
	Marked bool // something happened
}

// band is what one server answered.
type band struct {
	identity
	Name string
}

// identity is how a server is told from others at a glance. The application's page shows the same of servers whose names
// end with a digit of their own.
type identity struct {
	Colour int `json:"-"`
}

// colours is how many classes server-0, server-1 … files/lab.css has.
const colours = 8

func identify(name string) identity {
	hash := fnv.New32a()
	hash.Write([]byte(name))
	return identity{int(hash.Sum32() % colours)}
}

// Letter tells servers apart without colour.
func (i identity) Letter() string { return string(rune('A' + i.Colour)) }

// draw makes the chart of the samples.
func draw(samples []sample, events []Event) picture {
	var p picture
	highest, now := 0.0, 0.0
	var names []string
	for _, s := range samples {
		now = s.total()
		highest = max(highest, now)
		p.Failed = p.Failed || s.failed > 0
		for name, rate := range s.answered {
			if rate > 0 && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.SortFunc(names, naturally)
	c := chart.Chart{
		Title: fmt.Sprintf("Requests a second over the last minute: %.0f now, %.0f at most. The table has the rate of each server.", now, highest),
	}
	first := keptSamples - len(samples) // the newest column is at the right edge
	layer := func(class, name string, of func(sample) float64) {
		s := chart.Series{Name: name, Class: class}
		for i, sample := range samples {
			s.Points = append(s.Points, chart.Point{X: float64(first + i), Y: of(sample)})
		}
		c.Series = append(c.Series, s)
	}
	for _, name := range names {
		b := band{identify(name), name}
		p.Bands = append(p.Bands, b)
		layer(fmt.Sprintf("server-%d", b.Colour), name, func(s sample) float64 { return s.answered[name] })
	}
	layer("failed", "answered by no server", func(s sample) float64 { return s.failed })
	for _, event := range events { // of the time that the chart shows
		i := slices.IndexFunc(samples, func(s sample) bool { return !s.at.Before(event.At) })
		if i > 0 || i == 0 && samples[0].at.Sub(event.At) < sampleEvery {
			c.Marks = append(c.Marks, chart.Mark{X: float64(first + i), Label: event.Clock() + " " + event.Text})
		}
	}
	svg, top := c.Columns(keptSamples)
	p.SVG, p.Top, p.Marked = template.HTML(svg), top, len(c.Marks) > 0 // #nosec G203 -- package chart escapes all texts
	return p
}

// naturally puts server-2 before server-10.
func naturally(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

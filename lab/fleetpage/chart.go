package fleetpage

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
)

// The chart's own units: a column for each second that is kept, a hundred from bottom to top.
const (
	columnWidth = 10
	columnGap   = 1.5
	chartHeight = 100
)

// chart is the picture of the last minute: a column for each second, made of the requests of each server.
type chart struct {
	Top     float64 // what the height of the chart means, in requests a second
	Bands   []band
	Failed  string // the path of what no server answered
	Marks   []mark
	Width   int
	Height  int
	Summary string // for those who can't see it
}

// band is what one server answered.
type band struct {
	identity
	Name, Path string
}

// mark is the time of an event.
type mark struct {
	X    float64
	Text string
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
func draw(samples []sample, events []Event) chart {
	c := chart{Width: keptSamples * columnWidth, Height: chartHeight}
	highest := 0.0
	var names []string
	for _, s := range samples {
		highest = max(highest, s.total())
		for name, rate := range s.answered {
			if rate > 0 && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.SortFunc(names, naturally)
	c.Top = roundUp(highest)
	paths := make([]strings.Builder, len(names)+1)
	for i, s := range samples {
		x, y := c.x(i, len(samples)), float64(chartHeight)
		for j := range paths {
			rate := s.failed
			if j < len(names) {
				rate = s.answered[names[j]]
			}
			if height := rate / c.Top * chartHeight; height > 0 {
				y -= height
				fmt.Fprintf(&paths[j], "M%.1f %.2fh%.1fv%.2fh-%.1fz", x, y, columnWidth-columnGap, height, columnWidth-columnGap)
			}
		}
	}
	for j, name := range names {
		c.Bands = append(c.Bands, band{identify(name), name, paths[j].String()})
	}
	c.Failed = paths[len(names)].String()
	c.Marks = marks(c, samples, events)
	now := 0.0
	if len(samples) > 0 {
		now = samples[len(samples)-1].total()
	}
	c.Summary = fmt.Sprintf("Requests a second over the last minute: %.0f now, %.0f at most. The table has the rate of each server.", now, highest)
	return c
}

// x is where column i of n begins: the newest is at the right edge.
func (c chart) x(i, n int) float64 { return float64((keptSamples - n + i) * columnWidth) }

// marks are the events of the time that the chart shows.
func marks(c chart, samples []sample, events []Event) []mark {
	var list []mark
	for _, event := range events {
		i := slices.IndexFunc(samples, func(s sample) bool { return !s.at.Before(event.At) })
		if i > 0 || i == 0 && samples[0].at.Sub(event.At) < sampleEvery {
			list = append(list, mark{c.x(i, len(samples)), event.Clock() + " " + event.Text})
		}
	}
	return list
}

// roundUp is a round number that is at least the rate, at most half more, and at least 10.
func roundUp(rate float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(max(rate, 10))))
	for _, factor := range []float64{1, 1.5, 2, 2.5, 3, 4, 5, 6, 8} {
		if rate <= factor*power {
			return factor * power
		}
	}
	return 10 * power
}

// naturally puts server-2 before server-10.
func naturally(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

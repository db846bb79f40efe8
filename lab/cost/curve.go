package cost

import (
	"math"
	"slices"
)

// A Curve is what one deployment costs over the traffic.
type Curve struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
}

// A Point of a Curve.
type Point struct {
	RequestsPerSecond float64 `json:"requests_per_second"`
	USD               float64 `json:"usd_per_month"`
}

// A Crossing is where two deployments cost the same: below it First is the cheaper one, above it Then is.
type Crossing struct {
	First             string  `json:"cheaper_below"`
	Then              string  `json:"cheaper_above"`
	RequestsPerSecond float64 `json:"requests_per_second"`
	USD               float64 `json:"usd_per_month"`
	// Limits are what the two are too small for, as they are configured, with that traffic.
	Limits []string `json:"limits,omitempty"`
}

// The traffic that curves cover, in requests a second.
const (
	CurveFrom = 1
	CurveTo   = 10_000
	// PerDecade is how many points a curve has for each power of ten.
	PerDecade = 24
)

// Curve is the total of the templates over the traffic: more visitors, or fewer, who do the same.
func (e Estimator) Curve(name string, templates []Template, t Traffic) Curve {
	c := Curve{Name: name}
	steps := int(math.Round(math.Log10(CurveTo/CurveFrom) * PerDecade))
	for i := range steps + 1 {
		rate := CurveFrom * math.Pow(10, float64(i)/PerDecade)
		c.Points = append(c.Points, Point{rate, e.at(templates, t, rate)})
	}
	return c
}

func (e Estimator) at(templates []Template, t Traffic, rate float64) float64 {
	return e.bill(templates, t, rate).Total
}

func (e Estimator) bill(templates []Template, t Traffic, rate float64) Bill {
	return e.Bill(templates, t.Scaled(rate/t.RequestsPerSecond))
}

// equal is how far apart, in USD a month, two totals are the same.
const equal = 0.005

// Crossings are where two deployments cost the same, from low traffic to high.
func (e Estimator) Crossings(a, b Curve, of, with []Template, t Traffic) []Crossing {
	difference := func(rate float64) float64 { return e.at(of, t, rate) - e.at(with, t, rate) }
	var found []Crossing
	last := -1 // the last point at which they differ
	for i := range a.Points {
		now := a.Points[i].USD - b.Points[i].USD
		if math.Abs(now) < equal {
			continue
		}
		if last >= 0 && (now > 0) != (a.Points[last].USD > b.Points[last].USD) {
			low, high := a.Points[last].RequestsPerSecond, a.Points[i].RequestsPerSecond
			for range 40 { // halves the distance to nothing
				if middle := math.Sqrt(low * high); (difference(middle) > 0) == (now > 0) {
					high = middle
				} else {
					low = middle
				}
			}
			first, then := a.Name, b.Name // a was the cheaper one
			if now < 0 {
				first, then = b.Name, a.Name
			}
			one, other := e.bill(of, t, high), e.bill(with, t, high)
			found = append(found, Crossing{first, then, high, one.Total, slices.Compact(append(one.Limits, other.Limits...))})
		}
		last = i
	}
	return found
}

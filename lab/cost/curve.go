package cost

import (
	"math"
	"slices"
)

// A Curve is the cost of one deployment at different levels of traffic.
type Curve struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
}

// A Point of a Curve.
type Point struct {
	RequestsPerSecond float64 `json:"requests_per_second"`
	USD               float64 `json:"usd_per_month"`
}

// A Crossing is the traffic at which two deployments cost the same: below it one of them is cheaper, above it the other.
type Crossing struct {
	CheaperBelow      string  `json:"cheaper_below"`
	CheaperAbove      string  `json:"cheaper_above"`
	RequestsPerSecond float64 `json:"requests_per_second"`
	USD               float64 `json:"usd_per_month"`
	// Limits has the limits of both configurations that the traffic exceeds, as Bill.Limits has.
	Limits []string `json:"limits,omitempty"`
}

// The range of curves, in requests per second.
const (
	CurveFrom = 1
	CurveTo   = 10_000
	// PerDecade is the number of points of a curve in each power of ten.
	PerDecade = 24
)

// Curve returns the cost of the templates at traffic from CurveFrom to CurveTo. The number of visitors changes; what each of
// them does stays as t has it.
func (e Estimator) Curve(name string, templates []Template, t Traffic) Curve {
	c := Curve{Name: name}
	steps := int(math.Round(math.Log10(CurveTo/CurveFrom) * PerDecade))
	for i := range steps + 1 {
		rate := CurveFrom * math.Pow(10, float64(i)/PerDecade)
		c.Points = append(c.Points, Point{rate, e.totalAt(templates, t, rate)})
	}
	return c
}

func (e Estimator) totalAt(templates []Template, t Traffic, rate float64) float64 {
	return e.billAt(templates, t, rate).Total
}

func (e Estimator) billAt(templates []Template, t Traffic, rate float64) Bill {
	return e.Bill(templates, t.Scaled(rate/t.RequestsPerSecond))
}

// sameTotal is the difference in USD per month below which two totals count as equal.
const sameTotal = 0.005

// Crossings returns the crossings of two curves, sorted by traffic. OfA and ofB are the templates of the curves.
func (e Estimator) Crossings(a, b Curve, ofA, ofB []Template, t Traffic) []Crossing {
	difference := func(rate float64) float64 { return e.totalAt(ofA, t, rate) - e.totalAt(ofB, t, rate) }
	var found []Crossing
	last := -1 // the last point at which they differ
	for i := range a.Points {
		now := a.Points[i].USD - b.Points[i].USD
		if math.Abs(now) < sameTotal {
			continue
		}
		if last >= 0 && (now > 0) != (a.Points[last].USD > b.Points[last].USD) {
			low, high := a.Points[last].RequestsPerSecond, a.Points[i].RequestsPerSecond
			for range 40 { // bisects
				if middle := math.Sqrt(low * high); (difference(middle) > 0) == (now > 0) {
					high = middle
				} else {
					low = middle
				}
			}
			below, above := a.Name, b.Name // a was the cheaper one
			if now < 0 {
				below, above = b.Name, a.Name
			}
			billA, billB := e.billAt(ofA, t, high), e.billAt(ofB, t, high)
			found = append(found, Crossing{below, above, high, billA.Total, slices.Compact(append(billA.Limits, billB.Limits...))})
		}
		last = i
	}
	return found
}

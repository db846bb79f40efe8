package load

import (
	"fmt"
	"slices"
)

// A Spread has the median of a figure over several load tests, with its range. Figures whose ranges overlap don't differ.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// SpreadOf returns the spread of a figure over the results, of which there must be one.
func SpreadOf(results []Result, figure func(Result) float64) Spread {
	var list []float64
	for _, r := range results {
		list = append(list, figure(r))
	}
	slices.Sort(list)
	return Spread{(list[(len(list)-1)/2] + list[len(list)/2]) / 2, list[0], list[len(list)-1]}
}

// String returns the median and the range, such as "1.20 (1.05–1.43)".
func (s Spread) String() string { return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Low, s.High) }

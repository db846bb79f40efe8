package load

import (
	"github.com/HdrHistogram/hdrhistogram-go"
)

// Percentile is a point of a latency curve: Percent of the requests took at most Milliseconds.
type Percentile struct {
	Percent      float64
	Milliseconds float64
}

// pointsPerHalving is the number of points each time the rest up to 100 percent halves: from 50 to 75 percent, to 87.5, and so on.
const pointsPerHalving = 5

// Percentiles returns the latency curve of an encoded histogram of a Result, from 0 percent. The points are closer together
// near 100 percent, and end where single requests decide.
func Percentiles(histogram string) ([]Percentile, error) {
	h := newHistogram()
	if err := merge(h, histogram); err != nil {
		return nil, err
	}
	return curve(h), nil
}

func curve(h *hdrhistogram.Histogram) []Percentile {
	var points []Percentile
	last := 100 - 100/float64(max(1, h.TotalCount())) // beyond it there is the longest time alone
	for _, bracket := range h.CumulativeDistributionWithTicks(pointsPerHalving) {
		if bracket.Quantile > last {
			break
		}
		points = append(points, Percentile{bracket.Quantile, milliseconds(bracket.ValueAt)})
	}
	return append(points, Percentile{last, milliseconds(h.Max())})
}

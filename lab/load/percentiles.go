package load

import (
	"github.com/HdrHistogram/hdrhistogram-go"
)

// Percentile is a point of a latency curve: that many percent of the requests took that long at most.
type Percentile struct {
	Percent      float64
	Milliseconds float64
}

// pointsPerHalving is how many points a curve has from one half of what is left to the next: from 50 to 75 percent, to 87.5…
const pointsPerHalving = 5

// Percentiles returns the curve of a histogram of a Result, from 0 percent on, the points closer together the nearer to 100,
// as far as there were requests to tell them apart.
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

package chart

import "math"

// Axis describes an axis of a chart.
type Axis struct {
	Label string // with the unit
	Kind  Kind
}

// Kind is the kind of an axis's scale.
type Kind int

// The kinds of axes.
const (
	Linear     Kind = iota
	Log             // 1 to 10 takes as much room as 10 to 100. Numbers below the axis's lowest are drawn at its start.
	Percentile      // 90 to 99 takes as much room as 99 to 99.9
)

// place transforms n so that equal distances on the axis are equal differences.
func (k Kind) place(n float64) float64 {
	switch k {
	case Log:
		return math.Log10(n)
	case Percentile:
		return -math.Log10(1 - min(n, 99.99999)/100)
	}
	return n
}

// scale is an axis with bounds. It maps the numbers from low to high to the coordinates from and to of the picture.
type scale struct {
	Axis
	low, high float64
	from, to  float64
}

// at returns the coordinate of n.
func (s scale) at(n float64) float64 {
	low := s.Kind.place(s.low)
	return s.from + (s.to-s.from)*(s.Kind.place(max(n, s.low))-low)/(s.Kind.place(s.high)-low)
}

// ticks returns the numbers to label on the axis. A linear axis has at most maxSteps steps of equal length, a logarithmic
// one 1, 2 and 5 of each power of ten, and an axis of percentiles 0, 50, 90, 99 and so on.
func (s scale) ticks(maxSteps int) []float64 {
	var list []float64
	add := func(n float64) {
		if s.low <= n*(1+1e-9) && n <= s.high*(1+1e-9) {
			list = append(list, n)
		}
	}
	switch s.Kind {
	case Linear:
		step := roundUp((s.high - s.low) / float64(maxSteps))
		for i := math.Ceil(s.low / step); i*step <= s.high*(1+1e-9); i++ {
			add(i * step)
		}
	case Log:
		for power := math.Floor(math.Log10(s.low)); power <= math.Log10(s.high); power++ {
			for _, digit := range []float64{1, 2, 5} {
				add(digit * math.Pow(10, power))
			}
		}
	case Percentile:
		for _, n := range []float64{0, 50, 90, 99, 99.9, 99.99, 99.999} {
			add(n)
		}
	}
	return list
}

// roundUp rounds n, which must be positive, up to 1, 2 or 5 times a power of ten.
func roundUp(n float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(n)))
	for _, digit := range []float64{1, 2, 5} {
		if n <= digit*power {
			return digit * power
		}
	}
	return 10 * power
}

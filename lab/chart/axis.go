package chart

import "math"

// Axis says what an axis is.
type Axis struct {
	Label string // with the unit
	Kind  Kind
}

// Kind says how much room an axis gives to numbers.
type Kind int

// The kinds of axes.
const (
	Linear     Kind = iota
	Log             // 1 to 10 has as much room as 10 to 100. A number that is too low for the axis lies at its start.
	Percentile      // 90 to 99 has as much room as 99 to 99.9
)

// place returns where n lies, in the unit of the kind.
func (k Kind) place(n float64) float64 {
	switch k {
	case Log:
		return math.Log10(n)
	case Percentile:
		return -math.Log10(1 - min(n, 99.99999)/100)
	}
	return n
}

// scale is an axis with bounds. Its numbers from low to high lie between two places of the picture.
type scale struct {
	Axis
	low, high float64
	from, to  float64
}

func (s scale) at(n float64) float64 {
	low := s.Kind.place(s.low)
	return s.from + (s.to-s.from)*(s.Kind.place(max(n, s.low))-low)/(s.Kind.place(s.high)-low)
}

// ticks returns the numbers that the axis names: on a linear axis at most that many and one, at equal distances; on others
// 1, 2 and 5 of each power of ten, and the nines.
func (s scale) ticks(most int) []float64 {
	var list []float64
	add := func(n float64) {
		if s.low <= n*(1+1e-9) && n <= s.high*(1+1e-9) {
			list = append(list, n)
		}
	}
	switch s.Kind {
	case Linear:
		step := roundUp((s.high - s.low) / float64(most))
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

// roundUp returns the lowest of 1, 2, 5, 10, 20 … and their fractions that is at least n, which is above 0.
func roundUp(n float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(n)))
	for _, digit := range []float64{1, 2, 5} {
		if n <= digit*power {
			return digit * power
		}
	}
	return 10 * power
}

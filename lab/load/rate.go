package load

import (
	"fmt"
	"strconv"
	"strings"
)

// Rate is the number of requests per second over time: a sequence of parts of equal duration.
type Rate []RatePart

// RatePart is a constant rate, or a linear ramp from one rate to another, in requests per second.
type RatePart struct{ From, To float64 }

// Bounds of a rate, in requests per second.
const (
	minRate = 0.1
	maxRate = 100_000
)

// SustainedShare is the least share of the scheduled requests that must be sent for the target rate to count as sustained.
const SustainedShare = 0.99

// RateSyntax describes the syntax of a Rate, for help and error messages.
const RateSyntax = "requests per second: 200, or a ramp 100..500, or a sequence such as 100,200,400; each from 0.1 to 100000"

// ParseRate parses a Rate in the syntax that RateSyntax describes. It reports whether the text is valid.
func ParseRate(text string) (Rate, bool) {
	var rate Rate
	for part := range strings.SplitSeq(text, ",") {
		from, to, ramp := strings.Cut(part, "..")
		if !ramp {
			to = from
		}
		low, err1 := strconv.ParseFloat(from, 64)
		high, err2 := strconv.ParseFloat(to, 64)
		if err1 != nil || err2 != nil || !isRate(low) || !isRate(high) {
			return nil, false
		}
		rate = append(rate, RatePart{low, high})
	}
	return rate, true
}

func isRate(n float64) bool { return minRate <= n && n <= maxRate }

// String formats the rate for ParseRate.
func (r Rate) String() string {
	parts := make([]string, len(r))
	for i, part := range r {
		parts[i] = fmt.Sprint(part.From)
		if part.From != part.To {
			parts[i] += ".." + fmt.Sprint(part.To)
		}
	}
	return strings.Join(parts, ",")
}

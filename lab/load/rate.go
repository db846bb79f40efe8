package load

import (
	"fmt"
	"strconv"
	"strings"
)

// Rate is how many requests a second are sent: a list of parts that share the duration equally.
type Rate []RatePart

// RatePart is a time at one rate, or on the way from one rate to another; in requests a second.
type RatePart struct{ From, To float64 }

// Bounds of a rate, in requests a second.
const (
	minRate = 0.1
	maxRate = 100_000
)

// SustainedShare is which part of the offered rate must have been sent for a test to be what was asked for.
const SustainedShare = 0.99

// RateSyntax says how a Rate is written.
const RateSyntax = "requests a second: 200, or a ramp 100..500, or several in turn such as 100,200,400; each from 0.1 to 100000"

// ParseRate reads what RateForm says.
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

// String writes the rate as ParseRate reads it.
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

package load

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Rate is how many requests a second are sent: a list of parts that share the duration equally.
type Rate []Part

// Part is a time at one rate, or on the way from one rate to another; in requests a second.
type Part struct{ From, To float64 }

// Bounds of a rate, in requests a second.
const (
	lowestRate  = 0.1
	highestRate = 100_000
)

// HeldShare is which part of the offered rate must have been sent for a test to be what was asked for.
const HeldShare = 0.99

// RateForm says how a Rate is written.
const RateForm = "requests a second: 200, or a ramp 100..500, or several in turn such as 100,200,400; each from 0.1 to 100000"

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
		rate = append(rate, Part{low, high})
	}
	return rate, true
}

func isRate(n float64) bool { return lowestRate <= n && n <= highestRate }

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

// schedule says when each request is due. All times are from the start of the run.
type schedule struct {
	spans  []span
	warmup time.Duration // at the first rate, before what is measured
	length time.Duration // with the warm-up
	first  int           // the number of the first request that is measured
	total  int           // requests in all
}

// span is a Part with its place in time.
type span struct {
	Part
	start, length float64 // seconds
	before        float64 // requests due before it
}

// pairBelow is the rate below which requests come in twos: even where an answer takes a millisecond, requests of one
// visitor then overlap.
const pairBelow = 100

func newSchedule(rate Rate, warmup, duration time.Duration) *schedule {
	s := &schedule{warmup: warmup, length: warmup + duration}
	s.add(Part{rate[0].From, rate[0].From}, warmup.Seconds())
	s.first = s.total
	for _, part := range rate {
		s.add(part, duration.Seconds()/float64(len(rate)))
	}
	return s
}

// add appends a span. Each begins with a whole request.
func (s *schedule) add(part Part, length float64) {
	start := 0.0
	if len(s.spans) > 0 {
		last := s.spans[len(s.spans)-1]
		start = last.start + last.length
	}
	s.spans = append(s.spans, span{part, start, length, float64(s.total)})
	s.total += int(math.Ceil((part.From+part.To)/2*length - 1e-6))
}

// due is when request n is to be sent.
func (s *schedule) due(n int) time.Duration {
	i := len(s.spans) - 1
	for i > 0 && float64(n) < s.spans[i].before {
		i--
	}
	span := s.spans[i]
	at := span.due(float64(n) - span.before)
	if n%2 == 1 && n > int(span.before) && span.rate(at) < pairBelow {
		at = span.due(float64(n-1) - span.before)
	}
	return time.Duration((span.start + at) * float64(time.Second))
}

// due solves From·t + (To-From)/(2·length)·t² = n for t, in seconds from the span's start.
func (s span) due(n float64) float64 {
	if n == 0 {
		return 0
	}
	growth := (s.To - s.From) / s.length
	return 2 * n / (s.From + math.Sqrt(max(0, s.From*s.From+2*growth*n)))
}

func (s span) rate(at float64) float64 { return s.From + (s.To-s.From)*at/s.length }

// scheduled is how many measured requests are due before that time.
func (s *schedule) scheduled(before time.Duration) int {
	low, high := s.first, s.total
	for low < high {
		middle := (low + high) / 2
		if s.due(middle) < before {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low - s.first
}

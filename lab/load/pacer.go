package load

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// schedule determines when each request is due. All times are from the start of the run.
type schedule struct {
	spans  []span
	warmup time.Duration // before the measurement, at the first rate
	length time.Duration // including the warm-up
	first  int           // the index of the first request after the warm-up
	total  int           // the number of all requests
}

// span is a RatePart with its place in time.
type span struct {
	RatePart
	start, length float64 // seconds
	before        float64 // requests due before it
}

// pairedBelow is the rate, in requests per second, below which requests are sent in pairs, so that requests of one user
// overlap even if a response takes a millisecond.
const pairedBelow = 100

func newSchedule(rate Rate, warmup, duration time.Duration) *schedule {
	s := &schedule{warmup: warmup, length: warmup + duration}
	s.add(RatePart{rate[0].From, rate[0].From}, warmup.Seconds())
	s.first = s.total
	for _, part := range rate {
		s.add(part, duration.Seconds()/float64(len(rate)))
	}
	return s
}

// add appends a span, which begins with a whole request.
func (s *schedule) add(part RatePart, length float64) {
	start := 0.0
	if len(s.spans) > 0 {
		last := s.spans[len(s.spans)-1]
		start = last.start + last.length
	}
	s.spans = append(s.spans, span{part, start, length, float64(s.total)})
	s.total += int(math.Ceil((part.From+part.To)/2*length - 1e-6))
}

// due returns the time at which request n is due.
func (s *schedule) due(n int) time.Duration {
	i := len(s.spans) - 1
	for i > 0 && float64(n) < s.spans[i].before {
		i--
	}
	span := s.spans[i]
	at := span.due(float64(n) - span.before)
	if n%2 == 1 && n > int(span.before) && span.rate(at) < pairedBelow {
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

// scheduled returns the number of measured requests that are due before the given time.
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

const (
	endGrace = 100 * time.Millisecond // for late requests after the end; requests not sent by then are missed
	maxSleep = 50 * time.Millisecond  // so that the pacer notices the end of its context
)

// pacer waits for the requests of a schedule to be due. It isn't safe for concurrent use, except finished.
type pacer struct {
	*schedule
	now         func() time.Duration // from the start of the run
	finished    atomic.Bool          // set to send no more requests
	next        int                  // the index of the next request
	stopped     time.Duration        // when the last request was due, or ctx ended; 0 while requests are sent
	interrupted bool                 // whether ctx ended before the schedule
}

// pace waits until the next request is due and returns that time; ok is false when no request is left. Measured reports
// whether the request belongs to the measurement, not to the warm-up.
func (p *pacer) pace(ctx context.Context) (due time.Duration, measured, ok bool) {
	for p.stopped == 0 {
		now := p.now()
		switch {
		case ctx.Err() != nil, p.finished.Load():
			p.stopped, p.interrupted = min(now, p.length), ctx.Err() != nil
			if 0 < p.next && p.next < p.total && now-p.due(p.next) <= maxSleep { // it became due while the pacer slept
				p.stopped = min(p.stopped, p.due(p.next))
			}
			return 0, false, false
		case p.next == p.total, now > p.length+endGrace:
			p.stopped = p.length
			return 0, false, false
		}
		due := p.due(p.next)
		if due <= now {
			p.next++
			return due, p.next > p.first, true
		}
		sleep(min(due-now, maxSleep))
	}
	return 0, false, false
}

package load

import (
	"maps"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// longestTime bounds what the histograms tell apart; times are in microseconds, to three significant digits.
const longestTime = time.Hour

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longestTime.Microseconds(), 3)
}

// record never fails: what is out of bounds is recorded as the bound.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 1), longestTime.Microseconds()))
}

// sample is one request that was measured.
type sample struct {
	due, sent, received time.Duration // from the start of the run
	server              string
	failed              string // the class of the error
}

// stats adds up samples. It is safe for concurrent use.
type stats struct {
	mu                     sync.Mutex
	latency, service, late *hdrhistogram.Histogram
	requests, ok           int64
	servers, errors        map[string]int64
	series                 *series

	// Since the last look.
	recent         *hdrhistogram.Histogram
	recentRequests int64
	looked         time.Duration
}

func newStats(span time.Duration) *stats {
	return &stats{
		latency: newHistogram(), service: newHistogram(), late: newHistogram(), recent: newHistogram(),
		servers: map[string]int64{}, errors: map[string]int64{}, series: newSeries(span),
	}
}

// add counts a sample. One that isn't measured shows in the progress and the series only.
func (s *stats) add(one sample, measured bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record(s.recent, one.received-one.due)
	s.recentRequests++
	s.series.add(one)
	if !measured {
		return
	}
	record(s.latency, one.received-one.due)
	record(s.service, one.received-one.sent)
	record(s.late, one.sent-one.due)
	s.requests++
	if one.server != "" {
		s.servers[one.server]++
	}
	if one.failed == "" {
		s.ok++
	} else {
		s.errors[one.failed]++
	}
}

// look fills in what is to be seen while the test runs.
func (s *stats) look(p *Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Requests, p.OK = s.requests, s.ok
	p.Servers, p.Errors = maps.Clone(s.servers), maps.Clone(s.errors)
	p.P50, p.P99 = quantile(s.recent, 50), quantile(s.recent, 99)
	if elapsed := p.Elapsed - s.looked; elapsed > 0 {
		p.Rate = float64(s.recentRequests) / elapsed.Seconds()
	}
	s.recent.Reset()
	s.recentRequests, s.looked = 0, p.Elapsed
}

func quantile(h *hdrhistogram.Histogram, percent float64) time.Duration {
	return time.Duration(h.ValueAtPercentile(percent)) * time.Microsecond
}

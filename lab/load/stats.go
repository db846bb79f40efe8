package load

import (
	"fmt"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"stateless-servers/lab/check"
)

// maxTime is the longest time in a histogram. Histograms count microseconds, to three significant digits.
const maxTime = time.Hour

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, maxTime.Microseconds(), 3)
}

// record adds d to the histogram, limited to its bounds.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d.Microseconds(), 1), maxTime.Microseconds()))
}

// sample is the measurement of one request.
type sample struct {
	due, sent, received time.Duration // from the start of the run
	kind                check.Kind
	server              string
	failed              string // the class of the error, or ""
}

// Progress describes the state of a Run.
type Progress struct {
	Phase          Phase
	Elapsed, Total time.Duration    // including the warm-up; Total is 0 when unknown
	Rate           float64          // responses per second since the last report
	P50, P99       time.Duration    // the latency of these responses
	Requests, OK   int64            // since the warm-up
	Servers        map[string]int64 // responses by server, since the warm-up
	Errors         map[string]int64 // failed requests by class, since the warm-up
	Sessions       check.Counts
}

// Phase is a phase of a Run.
type Phase string

// The phases of a Run.
const (
	Warmup  Phase = "warm-up"
	Measure Phase = "measuring"
	Closing Phase = "final check of the sessions"
)

// stats aggregates samples. It is safe for concurrent use.
type stats struct {
	mu                     sync.Mutex
	latency, service, late *hdrhistogram.Histogram
	requests, ok           int64
	servers, errors        map[string]int64
	operations             map[string]Operation // by kind
	series                 *series
	known                  map[string]bool // names of servers in responses
	events                 *events

	// Since the last call of progress.
	recent         *hdrhistogram.Histogram
	recentRequests int64
	reported       time.Duration
}

func newStats(span time.Duration) *stats {
	return &stats{
		latency: newHistogram(), service: newHistogram(), late: newHistogram(), recent: newHistogram(),
		known: map[string]bool{}, servers: map[string]int64{}, errors: map[string]int64{}, operations: map[string]Operation{},
		series: newSeries(span), events: newEvents(),
	}
}

// add counts a sample. Unmeasured samples, those of the warm-up, count in the progress and the series only.
func (s *stats) add(one sample, measured bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.server = s.name(one.server)
	s.events.record(one)
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
	o := s.operations[string(one.kind)]
	if o.latency == nil {
		o.latency = newHistogram()
	}
	record(o.latency, one.received-one.due)
	o.Requests++
	if one.failed != "" {
		o.Failed++
	}
	s.operations[string(one.kind)] = o
	if one.server != "" {
		s.servers[one.server]++
	}
	if one.failed == "" {
		s.ok++
	} else {
		s.errors[one.failed]++
	}
}

// Bounds of the names of servers. A target may send any name, and a new one with every response.
const (
	maxServers    = 500
	maxServerName = 100 // bytes
	otherServers  = "others"
)

// name returns the name under which the server is counted: its own, or otherServers beyond the bounds.
func (s *stats) name(own string) string {
	if own == "" || s.known[own] {
		return own
	}
	if len(own) > maxServerName || len(s.known) >= maxServers {
		return otherServers
	}
	s.known[own] = true
	return own
}

// progress fills in the figures since the start, and those since the last call.
func (s *stats) progress(p *Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Requests, p.OK = s.requests, s.ok
	p.Servers, p.Errors = maps.Clone(s.servers), maps.Clone(s.errors)
	p.P50, p.P99 = quantile(s.recent, 50), quantile(s.recent, 99)
	if elapsed := p.Elapsed - s.reported; elapsed > 0 {
		p.Rate = float64(s.recentRequests) / elapsed.Seconds()
	}
	s.recent.Reset()
	s.recentRequests, s.reported = 0, p.Elapsed
}

func quantile(h *hdrhistogram.Histogram, percent float64) time.Duration {
	return time.Duration(h.ValueAtPercentile(percent)) * time.Microsecond
}

// Quantiles has quantiles of response times, in milliseconds.
type Quantiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	return Quantiles{
		milliseconds(h.ValueAtPercentile(50)), milliseconds(h.ValueAtPercentile(90)), milliseconds(h.ValueAtPercentile(99)),
		milliseconds(h.ValueAtPercentile(99.9)), milliseconds(h.Max()),
	}
}

func milliseconds(microseconds int64) float64 { return float64(microseconds) / 1000 }

func round(n float64) float64 { return math.Round(n*1000) / 1000 }

func encode(h *hdrhistogram.Histogram) (string, error) {
	text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return "", fmt.Errorf("encoding a histogram: %w", err)
	}
	return string(text), nil
}

package load

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Span is what was answered in a part of the run, the warm-up included.
type Span struct {
	T         float64          `json:"t"` // when it begins, in seconds from the start of the run
	Requests  int64            `json:"requests"`
	Errors    int64            `json:"errors"`
	P50       float64          `json:"p50"` // milliseconds, as all that follow
	P99       float64          `json:"p99"`
	Max       float64          `json:"max"`
	Servers   map[string]int64 `json:"servers"`
	Histogram string           `json:"histogram"` // of the latency, to two digits; see Histograms
}

const (
	maxSpans       = 600 // of a run
	spanDigits     = 2   // significant ones, of the histograms of spans
	minSpan        = time.Second
	maxMergedSpans = 2 * maxSpans // of a merged result
)

// spanLength is how long each span of a run of that length is: whole seconds.
func spanLength(run time.Duration) time.Duration {
	seconds := math.Ceil(run.Seconds() / maxSpans)
	return max(minSpan, time.Duration(seconds)*time.Second)
}

// series is what was answered, span by span. It isn't safe for concurrent use.
type series struct {
	length    time.Duration
	done      []Span
	now       Span
	histogram *hdrhistogram.Histogram // of now
	err       error                   // of encoding
}

func newSeries(length time.Duration) *series {
	s := &series{length: length, histogram: newSpanHistogram()}
	s.now.Servers = map[string]int64{}
	return s
}

func newSpanHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, maxTime.Microseconds(), spanDigits)
}

// add counts an answer. An answer that comes a moment after others of the next span counts there, and one that comes after
// maxMergedSpans counts in the last of them: the process may have been stopped for hours.
func (s *series) add(one sample) {
	for len(s.done) < maxMergedSpans-1 && one.received >= time.Duration(len(s.done)+1)*s.length {
		s.close()
	}
	s.now.Requests++
	if one.failed != "" {
		s.now.Errors++
	}
	if one.server != "" {
		s.now.Servers[one.server]++
	}
	record(s.histogram, one.received-one.due)
}

// close ends the span that is on.
func (s *series) close() {
	if err := s.now.fill(s.histogram); err != nil && s.err == nil {
		s.err = err
	}
	s.done = append(s.done, s.now)
	s.histogram.Reset()
	s.now = Span{T: (time.Duration(len(s.done)) * s.length).Seconds(), Servers: map[string]int64{}}
}

// all returns the spans, with the one that is on if anything was answered in it.
func (s *series) all() ([]Span, error) {
	if s.now.Requests > 0 {
		s.close()
	}
	return append([]Span{}, s.done...), s.err
}

// fill sets what the histogram says.
func (s *Span) fill(h *hdrhistogram.Histogram) (err error) {
	q := quantiles(h)
	s.P50, s.P99, s.Max = q.P50, q.P99, q.Max
	s.Histogram, err = encode(h)
	return err
}

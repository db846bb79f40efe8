package load

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Span has the responses of one interval of a run, or of its warm-up.
type Span struct {
	T         float64          `json:"t"` // its start, in seconds from the start of the run
	Requests  int64            `json:"requests"`
	Errors    int64            `json:"errors"`
	P50       float64          `json:"p50"` // milliseconds, as are P99 and Max
	P99       float64          `json:"p99"`
	Max       float64          `json:"max"`
	Servers   map[string]int64 `json:"servers"`   // responses by server
	Failed    map[string]int64 `json:"failed"`    // failed responses by server, which are among Servers
	Histogram string           `json:"histogram"` // of the latency, to two significant digits; encoded as Histograms
}

const (
	maxSpans       = 600 // of a run
	spanDigits     = 2   // significant digits of the histograms of spans
	minSpan        = time.Second
	maxMergedSpans = 2 * maxSpans // of a merged result
)

// spanLength returns the length of the spans of a run: whole seconds, so that there are at most maxSpans.
func spanLength(run time.Duration) time.Duration {
	seconds := math.Ceil(run.Seconds() / maxSpans)
	return max(minSpan, time.Duration(seconds)*time.Second)
}

// series collects the responses of successive spans. It isn't safe for concurrent use.
type series struct {
	length    time.Duration
	done      []Span
	now       Span
	histogram *hdrhistogram.Histogram // of now
	err       error                   // of encoding
}

func newSeries(length time.Duration) *series {
	s := &series{length: length, histogram: newSpanHistogram()}
	s.now = newSpan(0)
	return s
}

func newSpan(t float64) Span {
	return Span{T: t, Servers: map[string]int64{}, Failed: map[string]int64{}}
}

func newSpanHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, maxTime.Microseconds(), spanDigits)
}

// add counts a response in the present span. A response that arrives slightly late counts there too, and one that arrives
// after maxMergedSpans counts in the last span, since the process may have been stopped for hours.
func (s *series) add(one sample) {
	for len(s.done) < maxMergedSpans-1 && one.received >= time.Duration(len(s.done)+1)*s.length {
		s.close()
	}
	s.now.Requests++
	if one.server != "" {
		s.now.Servers[one.server]++
	}
	if one.failed != "" {
		s.now.Errors++
		if one.server != "" {
			s.now.Failed[one.server]++
		}
	}
	record(s.histogram, one.received-one.due)
}

// close ends the present span.
func (s *series) close() {
	if err := s.now.fill(s.histogram); err != nil && s.err == nil {
		s.err = err
	}
	s.done = append(s.done, s.now)
	s.histogram.Reset()
	s.now = newSpan((time.Duration(len(s.done)) * s.length).Seconds())
}

// all returns all spans, including the present one if it has responses.
func (s *series) all() ([]Span, error) {
	if s.now.Requests > 0 {
		s.close()
	}
	return append([]Span{}, s.done...), s.err
}

// fill sets the quantiles and the encoded histogram.
func (s *Span) fill(h *hdrhistogram.Histogram) (err error) {
	q := quantiles(h)
	s.P50, s.P99, s.Max = q.P50, q.P99, q.Max
	s.Histogram, err = encode(h)
	return err
}

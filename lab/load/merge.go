package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// ParseResult reads a Result that was written as JSON. The error says what it lacks, or what in it is out of bounds.
func ParseResult(text []byte) (Result, error) {
	var r Result
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("not the result of a load test: %w", err)
	}
	if r.Histograms.Latency == "" || r.Histograms.Service == "" || r.Started.IsZero() {
		return r, errors.New("not the result of a load test: it has no histograms, or no time")
	}
	if err := r.checkBounds(); err != nil {
		return r, fmt.Errorf("not the result of a load test: %w", err)
	}
	return r, nil
}

// Merge adds up the results of several machines that tested at the same time. Quantiles are those of all requests
// together, not means of quantiles; rates add up. The error says which result can't be read, or that one began after
// another had ended.
func Merge(results ...Result) (Result, error) {
	if err := overlap(results); err != nil {
		return Result{}, err
	}
	sum := Result{Servers: map[string]int64{}, Errors: map[string]int64{}, Events: []Event{}, Settings: []Settings{}, Findings: []string{}}
	latency, service := newHistogram(), newHistogram()
	var urls []string
	for i, r := range results {
		if err := errors.Join(merge(latency, r.Histograms.Latency), merge(service, r.Histograms.Service)); err != nil {
			return Result{}, fmt.Errorf("result %d: %w", i+1, err)
		}
		sum.Requests += r.Requests
		sum.OK += r.OK
		sum.Duration = max(sum.Duration, r.Duration)
		sum.Warmup = max(sum.Warmup, r.Warmup)
		sum.RateTarget += r.RateTarget
		sum.RateAchieved += r.RateAchieved
		sum.Late = max(sum.Late, r.Late)
		sum.Sessions = sum.Sessions.Add(r.Sessions)
		sum.Findings = append(sum.Findings, r.Findings...)
		sum.Settings = append(sum.Settings, r.Settings...)
		for name, n := range r.Servers {
			sum.Servers[name] += n
		}
		for class, n := range r.Errors {
			sum.Errors[class] += n
		}
		if i == 0 || r.Started.Before(sum.Started) {
			sum.Started = r.Started
		}
		if !slices.Contains(urls, r.URL) {
			urls = append(urls, r.URL)
		}
	}
	sum.URL = strings.Join(urls, ", ")
	sum.Events = mergeEvents(sum.Started, results)
	sum.Latency, sum.Service = quantiles(latency), quantiles(service)
	var err error
	if sum.Series, err = mergeSeries(sum.Started, results); err != nil {
		return Result{}, err
	}
	return sum, sum.encode(latency, service)
}

// overlap fails unless there is a moment at which all tests were under way, by the machines' clocks.
func overlap(results []Result) error {
	for i, r := range results {
		for j, other := range results {
			if other.Started.Sub(r.Started).Seconds() > r.Warmup+r.Duration {
				return fmt.Errorf("result %d is of %s, after the end of result %d, which took %.4g s from %s: only what was tested at the same "+
					"time adds up", j+1, other.Started.Format(time.RFC3339), i+1, r.Warmup+r.Duration, r.Started.Format(time.RFC3339))
			}
		}
	}
	return nil
}

// mergeSeries adds up spans that lie at the same time, to the second. The spans of the sum are as long as the longest, or
// longer, so that there are maxMergedSpans at most. The results are within their bounds and none began before zero.
func mergeSeries(zero time.Time, results []Result) ([]Span, error) {
	length, end := minSpan.Seconds(), 0.0
	for _, r := range results {
		n := len(r.Series)
		if n > 1 {
			length = max(length, r.Series[1].T-r.Series[0].T)
		}
		if n > 0 {
			end = max(end, r.Series[n-1].T+r.Started.Sub(zero).Seconds())
		}
	}
	length = max(length, math.Ceil(end/(maxMergedSpans-1)))
	var sum []Span
	var histograms []*hdrhistogram.Histogram
	for _, r := range results {
		shift := r.Started.Sub(zero).Seconds()
		for _, span := range r.Series {
			i := int(math.Round((span.T + shift) / length))
			for len(sum) <= i {
				sum = append(sum, Span{T: float64(len(sum)) * length, Servers: map[string]int64{}})
				histograms = append(histograms, newSpanHistogram())
			}
			if err := sum[i].add(span, histograms[i]); err != nil {
				return nil, err
			}
		}
	}
	for i := range sum {
		if err := sum[i].fill(histograms[i]); err != nil {
			return nil, err
		}
	}
	return sum, nil
}

func (s *Span) add(other Span, into *hdrhistogram.Histogram) error {
	s.Requests += other.Requests
	s.Errors += other.Errors
	for name, n := range other.Servers {
		s.Servers[name] += n
	}
	return merge(into, other.Histogram)
}

func merge(into *hdrhistogram.Histogram, text string) error {
	h, err := hdrhistogram.Decode([]byte(text))
	if err != nil {
		return fmt.Errorf("its histogram can't be read: %w", err)
	}
	if h.SignificantFigures() > maxDigits || h.TotalCount() > maxNumber {
		return fmt.Errorf("its histogram has more than %d significant digits, or more than %g times", maxDigits, float64(maxNumber))
	}
	if dropped := into.Merge(h); dropped > 0 {
		return fmt.Errorf("its histogram has %d times over %v", dropped, maxTime)
	}
	return nil
}

// mergeEvents brings all events to the time of the first machine.
func mergeEvents(zero time.Time, results []Result) []Event {
	list := []Event{}
	for _, r := range results {
		shift := r.Started.Sub(zero).Seconds()
		for _, event := range r.Events {
			list = append(list, Event{event.T + shift, event.What})
		}
	}
	sortEvents(list)
	return list
}

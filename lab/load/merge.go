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

// ParseResult parses a Result in JSON. The error names what is missing or out of bounds.
func ParseResult(text []byte) (Result, error) {
	var r Result
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("not the result of a load test: %w", err)
	}
	if r.Histograms.Latency == "" || r.Histograms.Service == "" || r.Started.IsZero() {
		return r, errors.New("not the result of a load test: it has no histograms, or no time")
	}
	if err := errors.Join(r.checkBounds(), r.judge(r.Thresholds)); err != nil {
		return r, fmt.Errorf("not the result of a load test: %w", err)
	}
	return r, nil
}

// Merge combines the results of several machines that tested at the same time. Quantiles are computed from all requests, and
// rates add up; the thresholds of all results apply to the sum. The error names the result that can't be read, that has a run in
// common with another, or that doesn't overlap in time with another.
func Merge(results ...Result) (Result, error) {
	if err := errors.Join(distinct(results), overlap(results)); err != nil {
		return Result{}, err
	}
	sum := Result{Servers: map[string]int64{}, Errors: map[string]int64{}, Operations: map[string]Operation{}, Events: []Event{}, Settings: []Settings{}, Findings: []string{}}
	latency, service := newHistogram(), newHistogram()
	var urls []string
	var limits []Threshold
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
		limits = append(limits, r.Thresholds...)
		if r.Verdict == Interrupted {
			sum.Verdict = Interrupted
		}
		for kind, o := range r.Operations {
			all := sum.Operations[kind]
			if all.latency == nil {
				all.latency = newHistogram()
			}
			if err := merge(all.latency, o.Histogram); err != nil {
				return Result{}, fmt.Errorf("result %d: %w", i+1, err)
			}
			all.Requests += o.Requests
			all.Failed += o.Failed
			sum.Operations[kind] = all
		}
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
	if err := sum.judge(limits); err != nil {
		return Result{}, err
	}
	return sum, sum.encode(latency, service)
}

// distinct returns an error if two results have a run in common, because its requests would count twice.
func distinct(results []Result) error {
	having := map[string]int{}
	for i, r := range results {
		for _, settings := range r.Settings {
			if other := having[settings.Run]; other > 0 && settings.Run != "" {
				return fmt.Errorf("results %d and %d both have the requests of run %s, which would count twice", other, i+1, settings.Run)
			}
			having[settings.Run] = i + 1
		}
	}
	return nil
}

// overlap returns an error unless all tests were running at one moment, by the machines' clocks.
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

// mergeSeries adds up spans at the same time, to the second. The merged spans are at least as long as the longest span, and
// there are at most maxMergedSpans. The results must be within their bounds, and none may begin before zero.
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
				sum = append(sum, newSpan(float64(len(sum))*length))
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
	for name, n := range other.Failed {
		s.Failed[name] += n
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

// mergeEvents converts the times of all events to those of the earliest run.
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

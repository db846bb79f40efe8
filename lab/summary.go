package main

import (
	"fmt"
	"io"
	"strings"

	"stateless-servers/lab/load"
)

// summary writes results as text.
type summary struct {
	w       io.Writer
	colours bool
}

// maxLate is the 99th percentile of the send delay, in milliseconds, above which the summary has a warning.
const maxLate = 10

// write writes the verdict and the figures. The error says that a threshold is exceeded, or that the test was interrupted.
func (s summary) write(r load.Result) error {
	if r.Verdict == load.Interrupted {
		s.warn("INTERRUPTED")
	}
	s.thresholds(r.Thresholds)
	fmt.Fprintf(s.w, "%s, %s, measured for %.4g s", r.URL, r.Started.Format("2006-01-02 15:04:05 MST"), r.Duration)
	if r.Warmup > 0 {
		fmt.Fprintf(s.w, " after a warm-up of %.4g s", r.Warmup)
	}
	fmt.Fprint(s.w, "\n\n")
	percent := 100.0
	if r.Requests > 0 {
		percent = 100 * float64(r.OK) / float64(r.Requests)
	}
	fmt.Fprintf(s.w, "Requests   %d, %d ok (%.4g %%)\n", r.Requests, r.OK, percent)
	fmt.Fprintf(s.w, "Rate       %.1f/s sent, %.1f/s target\n", r.RateAchieved, r.RateTarget)
	if r.RateAchieved < load.SustainedShare*r.RateTarget {
		s.warn("           RATE MISSED: %.1f %% of the requests were never sent. This machine or its connection is too slow, or too "+
			"many requests were in flight. The figures apply to the lower rate.",
			100*(1-r.RateAchieved/r.RateTarget))
	}
	fmt.Fprintf(s.w, "Latency    %s  from due\n", quantiles(r.Latency))
	fmt.Fprintf(s.w, "Service    %s  from sent\n", quantiles(r.Service))
	if r.Late > maxLate {
		s.warn("           SENT LATE: 1 %% of the requests were sent at least %.4g ms late; the latency includes this delay.", r.Late)
	}
	fmt.Fprintf(s.w, "Servers    %s\n", strings.TrimPrefix(shares(r.Servers, ", "), ", "))
	if len(r.Errors) > 0 {
		s.warn("Errors     %s", classes(r.Errors))
	}
	c := r.Sessions
	line := fmt.Sprintf("Sessions   %d: %d lost, %d updates lost, %d stale reads, %d cross-session leaks, %d alive after logout",
		c.Total, c.Lost, c.LostUpdates, c.StaleReads, c.CrossSessionLeaks, c.AliveAfterLogout)
	if c.Violations() > 0 {
		s.warn("%s", line)
	} else {
		fmt.Fprintln(s.w, line)
	}
	for i, event := range r.Events {
		label := "          "
		if i == 0 {
			label = "Events    "
		}
		fmt.Fprintf(s.w, "%s %8.3f s  %s\n", label, event.T, event.What)
	}
	for _, finding := range r.Findings {
		fmt.Fprintf(s.w, "\n%s\n", finding)
	}
	switch r.Verdict {
	case load.Interrupted:
		return fmt.Errorf("%w: the figures apply to the %.4g s that were measured", errInterrupted, r.Duration)
	case load.Failed:
		return fmt.Errorf("thresholds exceeded: %d", r.Exceeded())
	}
	return nil
}

// thresholds writes the outcome of each threshold.
func (s summary) thresholds(list []load.Threshold) {
	for _, t := range list {
		line := fmt.Sprintf("%s  %-10s  %12s  at most %s", t.Outcome(), t.Name, t.Show(t.Measured), t.Show(t.Limit))
		if t.Passed {
			s.good(line)
		} else {
			s.warn("%s", line)
		}
	}
	if len(list) > 0 {
		fmt.Fprintln(s.w)
	}
}

func (s summary) warn(format string, arguments ...any) {
	paint(s.w, s.colours, red, fmt.Sprintf(format, arguments...))
	fmt.Fprintln(s.w)
}

func (s summary) good(text string) {
	paint(s.w, s.colours, green, text)
	fmt.Fprintln(s.w)
}

func quantiles(q load.Quantiles) string {
	return fmt.Sprintf("p50 %.2f  p90 %.2f  p99 %.2f  p99.9 %.2f  max %.2f ms", q.P50, q.P90, q.P99, q.P999, q.Max)
}

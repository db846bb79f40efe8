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

func (s summary) write(r load.Result) {
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
		s.warn("           RATE MISSED: %.1f %% of the requests were never sent. This machine or its connection is too slow, or too\n"+
			"           many requests were in flight. The figures apply to the lower rate.",
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

// checkThresholds writes the outcome of each threshold. The error has the number of the exceeded ones.
func (s summary) checkThresholds(t load.Thresholds, r load.Result) error {
	exceeded := 0
	for i, verdict := range t.Check(r) {
		if i == 0 {
			fmt.Fprintln(s.w)
		}
		if verdict.Held {
			s.good("ok        " + verdict.Text)
			continue
		}
		s.warn("EXCEEDED  %s", verdict.Text)
		exceeded++
	}
	if exceeded > 0 {
		return fmt.Errorf("thresholds exceeded: %d", exceeded)
	}
	return nil
}

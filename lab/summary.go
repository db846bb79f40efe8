package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"stateless-servers/lab/load"
)

// summary writes results for people.
type summary struct {
	w       io.Writer
	colours bool
}

// lateSends is how late requests may be sent, in milliseconds at the 99th percentile, before that is worth a word.
const lateSends = 10

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
	fmt.Fprintf(s.w, "Rate       %.1f/s sent, %.1f/s asked for\n", r.RateAchieved, r.RateTarget)
	if r.RateAchieved < load.SustainedShare*r.RateTarget {
		s.warn("           RATE MISSED: %.1f %% of the requests were never sent. This machine, or its connection, is too slow,\n"+
			"           or more requests than it can hold were unanswered. The figures are those of the lower rate.",
			100*(1-r.RateAchieved/r.RateTarget))
	}
	fmt.Fprintf(s.w, "Latency    %s  from when each was due\n", quantiles(r.Latency))
	fmt.Fprintf(s.w, "Service    %s  from when it was sent\n", quantiles(r.Service))
	if r.Late > lateSends {
		s.warn("           SENT LATE: one in a hundred requests was sent %.4g ms late, or more; the latency includes it.", r.Late)
	}
	fmt.Fprintf(s.w, "Servers    %s\n", strings.TrimPrefix(shares(r.Servers, ", "), ", "))
	if len(r.Errors) > 0 {
		s.warn("Errors     %s", classes(r.Errors))
	}
	c := r.Sessions
	line := fmt.Sprintf("Sessions   %d: %d lost, %d updates lost, %d stale reads, %d crossed, %d resurrected",
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

// judge writes whether each threshold was kept. The error names those that weren't.
func (s summary) judge(t load.Thresholds, r load.Result) error {
	var broken []string
	for i, verdict := range t.Check(r) {
		if i == 0 {
			fmt.Fprintln(s.w)
		}
		if verdict.Held {
			s.good("kept    " + verdict.Text)
			continue
		}
		s.warn("BROKEN  %s", verdict.Text)
		broken = append(broken, verdict.Text)
	}
	if len(broken) > 0 {
		return errors.New("threshold broken: " + strings.Join(broken, "; "))
	}
	return nil
}

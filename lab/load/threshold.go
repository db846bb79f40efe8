package load

import (
	"fmt"
	"time"
)

// Thresholds are limits for a Result. Nil fields are not checked.
type Thresholds struct {
	P99    *time.Duration // the greatest allowed 99th percentile of the latency
	Errors *float64       // the greatest allowed share of failed requests, in percent
	Lost   *int64         // the greatest allowed number of violations, of all kinds
}

// Verdict is the outcome of one threshold.
type Verdict struct {
	Held bool
	Text string // such as "p99 12.1 ms, at most 250 ms"
}

// Check compares the result with each threshold that is set. A result without requests exceeds P99 and Errors.
func (t Thresholds) Check(r Result) []Verdict {
	var verdicts []Verdict
	if t.P99 != nil {
		limit := milliseconds(t.P99.Microseconds())
		verdicts = append(verdicts, Verdict{
			r.Requests > 0 && r.Latency.P99 <= limit, fmt.Sprintf("p99 %g ms, at most %g ms", r.Latency.P99, limit),
		})
	}
	if t.Errors != nil {
		percent := 100 * float64(r.Requests-r.OK) / float64(max(1, r.Requests))
		verdicts = append(verdicts, Verdict{
			r.Requests > 0 && percent <= *t.Errors, fmt.Sprintf("errors %.4g %%, at most %g %%", percent, *t.Errors),
		})
	}
	if t.Lost != nil {
		violations := r.Sessions.Violations()
		verdicts = append(verdicts, Verdict{
			violations <= *t.Lost, fmt.Sprintf("violations %d, at most %d", violations, *t.Lost),
		})
	}
	return verdicts
}

package load

import (
	"fmt"
	"time"
)

// Thresholds are what a Result must keep. Those that are nil don't count.
type Thresholds struct {
	P99    *time.Duration // of the latency, at most
	Errors *float64       // percent of the requests, at most
	Lost   *int64         // violations of all five kinds, at most
}

// Verdict is whether one threshold was kept.
type Verdict struct {
	Held bool
	Text string // such as "p99 12.1 ms, at most 250 ms"
}

// Check compares the result with each threshold that counts.
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
			violations <= *t.Lost, fmt.Sprintf("sessions and updates lost, stale, crossed or resurrected %d, at most %d", violations, *t.Lost),
		})
	}
	return verdicts
}

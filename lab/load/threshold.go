package load

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Thresholds are limits for a Result. Nil fields are not checked.
type Thresholds struct {
	P99    *time.Duration // the greatest allowed 99th percentile of the latency
	Errors *float64       // the greatest allowed share of failed requests, in percent
	Lost   *int64         // the greatest allowed number of violations, of all kinds
}

// Threshold is a limit for a figure of a Result, with its outcome.
type Threshold struct {
	Name     string  `json:"name"`     // p99 (of the latency), errors (failed requests) or violations (of all kinds)
	Measured float64 `json:"measured"` // in Unit
	Limit    float64 `json:"limit"`    // the greatest value that passes, in Unit
	Unit     string  `json:"unit"`     // ms, % or none
	Passed   bool    `json:"passed"`
}

// Verdict sums up the thresholds of a Result.
type Verdict string

// The verdicts.
const (
	Passed      Verdict = "passed"
	Failed      Verdict = "failed"      // a threshold is exceeded
	NotJudged   Verdict = "not judged"  // no threshold was set
	Interrupted Verdict = "interrupted" // the test ended early; its thresholds apply to the part that was measured
)

// Show formats a value of the threshold with its unit.
func (t Threshold) Show(value float64) string {
	if t.Unit == "%" {
		return strconv.FormatFloat(value, 'g', 4, 64) + " %"
	}
	return strings.TrimSpace(strconv.FormatFloat(round(value), 'f', -1, 64) + " " + t.Unit)
}

// Outcome returns PASS or FAIL.
func (t Threshold) Outcome() string {
	if t.Passed {
		return "PASS"
	}
	return "FAIL"
}

// Exceeded returns the number of thresholds that are exceeded.
func (r *Result) Exceeded() int {
	n := 0
	for _, t := range r.Thresholds {
		if !t.Passed {
			n++
		}
	}
	return n
}

// Judge checks the result against the thresholds, and against those of an earlier Judge for other figures. It sets Thresholds
// and Verdict.
func (r *Result) Judge(t Thresholds) {
	var limits []Threshold
	if t.P99 != nil {
		limits = append(limits, Threshold{Name: "p99", Limit: milliseconds(t.P99.Microseconds())})
	}
	if t.Errors != nil {
		limits = append(limits, Threshold{Name: "errors", Limit: *t.Errors})
	}
	if t.Lost != nil {
		limits = append(limits, Threshold{Name: "violations", Limit: float64(*t.Lost)})
	}
	for _, earlier := range r.Thresholds {
		if !slices.ContainsFunc(limits, func(l Threshold) bool { return l.Name == earlier.Name }) {
			limits = append(limits, earlier)
		}
	}
	_ = r.judge(limits) // fails for unknown names only
}

// judge checks the result against the limits. A result without requests exceeds those of requests. Of several limits for a figure
// the lowest applies. The error names a figure that a Result doesn't have.
func (r *Result) judge(limits []Threshold) error {
	slices.SortFunc(limits, func(a, b Threshold) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Limit, b.Limit))
	})
	r.Thresholds = []Threshold{}
	for i, t := range limits {
		if i > 0 && t.Name == limits[i-1].Name {
			continue
		}
		switch t.Name {
		case "p99":
			t.Measured, t.Unit = r.Latency.P99, "ms"
		case "errors":
			t.Measured, t.Unit = 100*float64(r.Requests-r.OK)/float64(max(1, r.Requests)), "%"
		case "violations":
			t.Measured, t.Unit = float64(r.Sessions.Violations()), ""
		default:
			return fmt.Errorf("%q is not the name of a threshold", t.Name)
		}
		t.Passed = t.Measured <= t.Limit && (r.Requests > 0 || t.Name == "violations")
		r.Thresholds = append(r.Thresholds, t)
	}
	switch {
	case r.Verdict == Interrupted:
	case len(r.Thresholds) == 0:
		r.Verdict = NotJudged
	case r.Exceeded() == 0:
		r.Verdict = Passed
	default:
		r.Verdict = Failed
	}
	return nil
}

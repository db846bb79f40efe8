package main

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"stateless-servers/lab/machine"
)

// report is what a run has found.
type report struct {
	started time.Time
	plan    plan
	half    int   // requests a second: half of what the first row held
	rows    []row // the first is what the others are compared with
}

// row is what one program did.
type row struct {
	name     string
	highest  int       // rate that was held
	outcomes []outcome // one a round
}

func (r report) markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "Measured by `make bench-load`, %s. %s; vegeta %s. Medians of %d turns of %s.\n\n",
		r.started.UTC().Format("2 January 2006, 15:04 MST"), machine.Current(), vegetaVersion(), r.plan.rounds, r.plan.length)
	fmt.Fprintf(&text, "| | highest rate held | to vegeta | turns at %d/s held | p50 (ms) | to vegeta | p99 (ms) | to vegeta |\n"+
		"|---|---:|---:|---:|---:|---:|---:|---:|\n", r.half)
	first := r.rows[0]
	p50 := func(o outcome) float64 { return o.p50 }
	p99 := func(o outcome) float64 { return o.p99 }
	for _, row := range r.rows {
		held := 0
		for _, o := range row.outcomes {
			if o.holds(r.half) {
				held++
			}
		}
		fmt.Fprintf(&text, "| %s | %d/s | %.2f× | %d of %d | %.3f | %.2f× | %.3f | %.2f× |\n", row.name,
			row.highest, float64(row.highest)/float64(first.highest), held, len(row.outcomes),
			median(row.outcomes, p50), median(row.outcomes, p50)/median(first.outcomes, p50),
			median(row.outcomes, p99), median(row.outcomes, p99)/median(first.outcomes, p99))
	}
	return text.String()
}

func median(outcomes []outcome, of func(outcome) float64) float64 {
	var list []float64
	for _, o := range outcomes {
		list = append(list, of(o))
	}
	slices.Sort(list)
	middle := len(list) / 2
	if len(list)%2 == 0 {
		return (list[middle-1] + list[middle]) / 2
	}
	return list[middle]
}

func vegetaVersion() string {
	if build, _ := debug.ReadBuildInfo(); build != nil {
		for _, module := range build.Deps {
			if strings.Contains(module.Path, "tsenart/vegeta") {
				return module.Version
			}
		}
	}
	return "of an unknown version"
}

package main

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"stateless-servers/lab/machine"
)

// A report contains the results of a run.
type report struct {
	started time.Time
	plan    plan
	half    int   // half of the highest rate in the first row, in requests per second
	rows    []row // all are compared with the first
}

// A row contains the results of one program.
type row struct {
	name     string
	highest  int       // the highest sustained rate, in requests per second
	outcomes []outcome // at half of the first row's highest rate, by round
}

// markdown returns the report as a table. docs/benchmarks.md explains it.
func (r report) markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "Measured by `make bench-load`, %s. %s; vegeta %s. Medians of %d turns of %s.\n\n",
		r.started.UTC().Format("2 January 2006, 15:04 MST"), machine.Current(), vegetaVersion(), r.plan.rounds, r.plan.length)
	fmt.Fprintf(&text, "| | highest sustained rate | vs vegeta | turns sustained at %d/s | p50 (ms) | vs vegeta | p99 (ms) | vs vegeta |\n"+
		"|---|---:|---:|---:|---:|---:|---:|---:|\n", r.half)
	first := r.rows[0]
	p50 := func(o outcome) float64 { return o.p50 }
	p99 := func(o outcome) float64 { return o.p99 }
	for _, row := range r.rows {
		sustained := 0
		for _, o := range row.outcomes {
			if o.sustains(r.half) {
				sustained++
			}
		}
		fmt.Fprintf(&text, "| %s | %d/s | %.2f× | %d of %d | %.3f | %.2f× | %.3f | %.2f× |\n", row.name,
			row.highest, float64(row.highest)/float64(first.highest), sustained, len(row.outcomes),
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

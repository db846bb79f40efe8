package main

import (
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"stateless-servers/lab/machine"
)

// A Report is all that one run found.
type Report struct {
	Started  time.Time
	Machine  string
	Modules  map[string]string // versions of what is compared
	Turns    int
	Requests int // of a route in a turn

	Costs []*Cost
	Units []Units
	Kept  []Kept
	Of    Attempts // of what Kept counts
}

// A Cost is what a variant's route costs a request.
type Cost struct {
	variant
	Route   string
	CPU     []float64 // nanoseconds of the server's CPU time a request, by turn
	Mallocs []float64 // heap objects of the server a request, by turn
	Calls   Calls     // of the store
	Bytes   int       // to and from the store
}

func newReport(turns, requests int) *Report {
	r := &Report{Started: time.Now().UTC().Truncate(time.Second), Machine: fmt.Sprint(machine.Current()),
		Modules: map[string]string{}, Turns: turns, Requests: requests, Of: Attempts{increments, trials}}
	build, _ := debug.ReadBuildInfo()
	if build == nil {
		return r
	}
	for _, module := range build.Deps {
		for _, compared := range []string{
			"alexedwards/scs", "boj/redistore", "gorilla/sessions", "gomodule/redigo", "redis/go-redis", "valkey-io/valkey-go",
			"aws-sdk-go-v2/service/dynamodb",
		} {
			if strings.Contains(module.Path, compared) {
				r.Modules[module.Path] = module.Version
			}
		}
	}
	return r
}

// to returns the median over the turns of a cost's CPU time as a multiple of another's in the same turn; 0 if the other
// wasn't measured.
func (r *Report) to(c *Cost, variant, route string) float64 {
	i := slices.IndexFunc(r.Costs, func(base *Cost) bool { return base.Name == variant && base.Route == route })
	if i < 0 {
		return 0
	}
	ratios := make([]float64, len(c.CPU))
	for turn := range ratios {
		ratios[turn] = c.CPU[turn] / r.Costs[i].CPU[turn]
	}
	return median(ratios)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// target formats the ratio that is aimed at, and whether it is reached.
func target(most, is float64) string {
	switch {
	case most == 0 || is == 0:
		return ""
	case is <= most:
		return fmt.Sprintf(" (at most %.2f×: yes)", most)
	default:
		return fmt.Sprintf(" (at most %.2f×: **no**)", most)
	}
}

// times formats a ratio; 0 is none.
func times(ratio float64) string {
	if ratio == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f×", ratio)
}

// row formats a cost as a line of its table.
func (r *Report) row(c *Cost) string {
	toNone, toBare := r.to(c, noSession, routeUntouched), r.to(c, c.Bare, c.Route)
	aimNone, aimBare := "", target(c.Most[c.Route], toBare)
	if c.Route == routeUntouched {
		aimNone = target(c.Most[c.Route], toNone)
	}
	return fmt.Sprintf("| %s | %s | %.1f | %s%s | %s%s | %.0f | %s | %d |\n", c.Title, c.Route, median(c.CPU)/1000,
		times(toNone), aimNone, times(toBare), aimBare, median(c.Mallocs), c.Calls, c.Bytes)
}

// markdown returns the report's tables. docs/benchmarks.md says what they mean.
func (r *Report) markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "Measured by `make bench`, %s. %s. Medians of %d turns of %d requests.\n\n",
		r.Started.Format("2 January 2006, 15:04 MST"), r.Machine, r.Turns, r.Requests)
	for _, module := range slices.Sorted(maps.Keys(r.Modules)) {
		fmt.Fprintf(&text, "- %s %s\n", module, r.Modules[module])
	}
	if len(r.Costs) > 0 {
		text.WriteString("\n| | route | CPU µs | to no session | to bare calls | allocations | store calls | store bytes |\n" +
			"|---|---|---:|---:|---:|---:|---|---:|\n")
	}
	for _, c := range r.Costs {
		text.WriteString(r.row(c))
	}
	if len(r.Units) > 0 {
		text.WriteString("\n| session | a request every | write units | eager | read units | eager | fewer write units |\n" +
			"|---:|---:|---:|---:|---:|---:|---:|\n")
	}
	for _, u := range r.Units {
		fmt.Fprintf(&text, "| %d B | %s | %g | %g | %g | %g | %.1f× |\n",
			u.Bytes, u.Pace, u.Writes, u.EagerWrites(), u.Reads, u.EagerReads(), u.EagerWrites()/u.Writes)
	}
	fmt.Fprintf(&text, "\n| | increments kept of %d | with %s of work | abandoned writes kept of %d | back after logout by a write | "+
		"by a read |\n|---|---:|---:|---:|---:|---:|\n", increments, slowly, trials)
	for _, k := range r.Kept {
		fmt.Fprintf(&text, "| %s | %d | %d | %d | %d | %d |\n", k.title, k.Increments, k.SlowIncrements, k.Abandoned, k.ByWrite, k.ByRead)
	}
	return text.String()
}

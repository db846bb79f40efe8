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

// A Report contains the results of one run.
type Report struct {
	Started  time.Time
	Machine  string
	Modules  map[string]string // versions of the compared modules, by module path
	Turns    int
	Requests int // requests to a route in a turn

	Costs []*Cost
	Units []Units
}

// A Cost is the cost of one request to a route of a variant.
type Cost struct {
	variant
	load
	CPU     []float64 // nanoseconds of the server's CPU time per request, by turn
	Mallocs []float64 // heap objects of the server per request, by turn
	Median  []float64 // nanoseconds from a client's request to its response, median by turn
	Calls   Calls     // store calls
	Bytes   int       // bytes to and from the store
}

func newReport(turns, requests int) *Report {
	r := &Report{Started: time.Now().UTC().Truncate(time.Second), Machine: fmt.Sprint(machine.Current()),
		Modules: map[string]string{}, Turns: turns, Requests: requests}
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

// ratio returns the CPU time of a cost divided by that of the route of another variant with the same number of clients: the median
// of the ratios of each turn. It returns 0 if the other was not measured.
func (r *Report) ratio(c *Cost, variant, route string) float64 {
	i := slices.IndexFunc(r.Costs, func(base *Cost) bool {
		return base.Name == variant && base.load == load{route, c.Clients}
	})
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

// formatGoal formats the goal for a ratio, and whether the ratio reaches it. It returns "" if the goal or the ratio is 0.
func formatGoal(goal, ratio float64) string {
	switch {
	case goal == 0 || ratio == 0:
		return ""
	case ratio <= goal:
		return fmt.Sprintf(" (at most %.2f×: yes)", goal)
	default:
		return fmt.Sprintf(" (at most %.2f×: **no**)", goal)
	}
}

// formatRatio formats a ratio, or "–" for 0.
func formatRatio(ratio float64) string {
	if ratio == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f×", ratio)
}

// row formats a cost as a line of its table.
func (r *Report) row(c *Cost) string {
	vsNone, vsBare := r.ratio(c, noSession, routeUntouched), r.ratio(c, c.Bare, c.Route)
	goalNone, goalBare := "", formatGoal(c.MaxCPU[c.load], vsBare)
	if c.Route == routeUntouched {
		goalNone = formatGoal(c.MaxCPU[c.load], vsNone)
	}
	return fmt.Sprintf("| %s | %s | %d | %.1f | %s%s | %s%s | %.2f | %.0f | %s | %d |\n", c.Title, c.Route, c.Clients,
		median(c.CPU)/1000, formatRatio(vsNone), goalNone, formatRatio(vsBare), goalBare, median(c.Median)/1e6,
		median(c.Mallocs), c.Calls, c.Bytes)
}

// markdown returns the report's tables. docs/benchmarks.md explains them.
func (r *Report) markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "Measured by `make bench`, %s. %s. Medians of %d turns of %d requests.\n\n",
		r.Started.Format("2 January 2006, 15:04 MST"), r.Machine, r.Turns, r.Requests)
	for _, module := range slices.Sorted(maps.Keys(r.Modules)) {
		fmt.Fprintf(&text, "- %s %s\n", module, r.Modules[module])
	}
	if len(r.Costs) > 0 {
		text.WriteString("\n| | route | at once | CPU µs | vs no session | vs bare calls | p50 ms | allocations | store calls | " +
			"store bytes |\n|---|---|---:|---:|---:|---:|---:|---:|---|---:|\n")
	}
	for _, c := range r.Costs {
		text.WriteString(r.row(c))
	}
	if len(r.Units) > 0 {
		text.WriteString("\n| session | time between requests | write units | eager | read units | eager | fewer write units |\n" +
			"|---:|---:|---:|---:|---:|---:|---:|\n")
	}
	for _, u := range r.Units {
		fmt.Fprintf(&text, "| %d B | %s | %g | %g | %g | %g | %.1f× |\n",
			u.Bytes, u.Interval, u.Writes, u.EagerWrites(), u.Reads, u.EagerReads(), u.EagerWrites()/u.Writes)
	}
	return text.String()
}

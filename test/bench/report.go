package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// A Report is all that one run found. Its JSON has every turn.
type Report struct {
	Started  time.Time
	Machine  Machine
	Modules  map[string]string // versions of what is compared
	Rounds   int
	Requests int // of a route in a round
	Visitors int

	Timings []Timing
	Targets []Target
	Units   []Units
	Kept    []Kept
	Of      Attempts // of what Kept counts
}

// A Timing is what a variant's route cost.
type Timing struct {
	Variant   string
	Title     string
	Route     string
	CPU       float64 // microseconds of the server's CPU time a request; median of the turns, as all that follow
	ToNone    float64 // CPU as a multiple of that without a session, in the same turn
	ToBare    float64 // CPU as a multiple of that of the bare store calls; 0 where there are none
	PerSecond float64 // requests
	Mallocs   float64 // heap objects a request
	Calls     Calls   // of the store, by one request
	Turns     []Turn
}

func newTiming(v variant, route string, all measurements, calls Calls) Timing {
	turns := all[v.Name][route]
	return Timing{
		Variant: v.Name, Title: v.Title, Route: route, Calls: calls, Turns: turns,
		CPU:       medianOf(turns, func(t Turn) float64 { return t.CPU }),
		ToNone:    ratio(turns, all[noSession][routeUntouched]),
		ToBare:    ratio(turns, all[v.Bare][route]),
		PerSecond: medianOf(turns, func(t Turn) float64 { return t.PerSecond }),
		Mallocs:   medianOf(turns, func(t Turn) float64 { return t.Mallocs }),
	}
}

// A Target is what this repository's library is to cost at most.
type Target struct {
	Variant string
	Route   string
	Base    string  // what the CPU time is compared with
	Most    float64 // times the base's
	Is      float64
	Calls   int // of the store
	Met     bool
}

// targets compares what was measured with what was aimed at.
func (r *Report) targets() []Target {
	aims := []Target{
		{Variant: ownValkey, Route: routeUntouched, Base: noSession, Most: 1.05, Calls: 0},
		{Variant: ownValkey, Route: routeRead, Base: bareValkey, Most: 1.25, Calls: 1},
		{Variant: ownValkey, Route: routeWrite, Base: bareValkey, Most: 1.25, Calls: 1},
		{Variant: ownDynamoDB, Route: routeUntouched, Base: noSession, Most: 1.05, Calls: 0},
		{Variant: ownDynamoDB, Route: routeRead, Base: bareDynamoDB, Most: 1.15, Calls: 1},
		{Variant: ownDynamoDB, Route: routeWrite, Base: bareDynamoDB, Most: 1.15, Calls: 1},
	}
	var list []Target
	for _, aim := range aims {
		for _, t := range r.Timings {
			if t.Variant != aim.Variant || t.Route != aim.Route {
				continue
			}
			aim.Is = t.ToBare
			if aim.Base == noSession {
				aim.Is = t.ToNone
			}
			if aim.Is > 0 {
				aim.Met = aim.Is <= aim.Most && t.Calls.total() == aim.Calls
				list = append(list, aim)
			}
		}
	}
	return list
}

func newReport(p plan) *Report {
	r := &Report{
		Started: time.Now().UTC().Truncate(time.Second), Machine: describeMachine(), Modules: map[string]string{},
		Rounds: p.rounds, Requests: p.requests, Visitors: p.visitors, Of: attempted(),
	}
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

// A Machine is where a run took place.
type Machine struct {
	CPU        string
	CPUs       int
	Kernel     string
	Go         string
	Store      string // the Valkey or Redis server
	LoadBefore string // load averages of 1, 5 and 15 minutes
	LoadAfter  string
}

func describeMachine() Machine {
	m := Machine{CPU: runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(), LoadBefore: loadAverage()}
	for line := range strings.Lines(readProc("cpuinfo")) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	m.Kernel = strings.TrimSpace(readProc("sys/kernel/osrelease"))
	return m
}

// loadAverage counts what runs and what waits to run.
func loadAverage() string {
	fields := strings.Fields(readProc("loadavg"))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// readProc returns a file of proc(5), empty where there is none.
func readProc(name string) string {
	text, _ := os.ReadFile("/proc/" + name)
	return string(text)
}

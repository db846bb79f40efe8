// Package experiment tests claims about sessions behind a load balancer, each on a real fleet of processes with the
// stores' real servers. Every figure comes from the run, and the verdict from the figures.
package experiment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"stateless-servers/lab/chart"
	"stateless-servers/lab/machine"
)

// Experiment tests one claim.
type Experiment interface {
	// Name is what the command line calls it.
	Name() string
	// Claim is what it tests, in a sentence or two.
	Claim() string
	// Run observes. The error says why nothing could be observed, such as a store's server that isn't installed.
	Run(ctx context.Context, lab *Lab) (Observation, error)
}

// All lists the experiments that take a minute or so each, in the order in which they are best read.
func All() []Experiment {
	return []Experiment{
		newStickyImbalance(), newServerLoss(), newRollingDeploy(), newScaleOut(), newScaleIn(),
		newCacheLoss(), newReplicaLag(), newStoreOutage(),
		newLostUpdate(), newLogoutRace(), newLatency(), newCookieSize(), newTokenRevocation(),
	}
}

// Long lists the experiments that take so long that they are run by their names only.
func Long() []Experiment { return []Experiment{newSoak()} }

// Named returns the experiments of those names, or those of All for "all".
func Named(names ...string) ([]Experiment, error) {
	if slices.Equal(names, []string{"all"}) {
		return All(), nil
	}
	all := append(All(), Long()...)
	var known []string
	for _, e := range all {
		known = append(known, e.Name())
	}
	var list []Experiment
	for _, name := range names {
		i := slices.Index(known, name)
		if i < 0 {
			return nil, fmt.Errorf("%q is no experiment; there are: all, %s", name, strings.Join(known, ", "))
		}
		list = append(list, all[i])
	}
	return list, nil
}

// Verdict is what came of a claim.
type Verdict string

// The verdicts.
const (
	Holds       Verdict = "holds"
	DoesNotHold Verdict = "does not hold"
	NotRun      Verdict = "not run"
)

// Observation is what an experiment found.
type Observation struct {
	Name     string          `json:"name"`
	Claim    string          `json:"claim"`
	Verdict  Verdict         `json:"verdict"`
	Reason   string          `json:"reason,omitempty"` // why it was not run
	Started  time.Time       `json:"started"`
	Took     float64         `json:"took_s"`
	Machine  machine.Machine `json:"machine"`
	Settings []Setting       `json:"settings"`
	Checks   []Check         `json:"checks"`
	Tables   []Table         `json:"tables"`
	Charts   []Chart         `json:"-"` // of figures that are in the tables, or too many for one
	Timeline []Event         `json:"timeline"`
	Advice   string          `json:"-"` // what follows from the claim, where it holds
}

// Setting is one thing that was chosen.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Check is one figure that the claim stands or falls with.
type Check struct {
	What  string  `json:"what"`
	Is    float64 `json:"is"`
	Claim string  `json:"claim"` // what it must be, such as "at most 0"
	Holds bool    `json:"holds"`
}

// Table has figures: numbers and names, row by row.
type Table struct {
	Title   string   `json:"title"`
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"`
}

// Chart is a picture of figures.
type Chart struct {
	Name string // of its file, without .svg
	chart.Chart
}

// Event is something that happened.
type Event struct {
	Run  string  `json:"run"` // of which part of the experiment
	N    int     `json:"n"`   // its number in that, which charts show
	T    float64 `json:"t"`   // seconds from the start of that
	What string  `json:"what"`
}

func (o *Observation) set(name, format string, arguments ...any) {
	o.Settings = append(o.Settings, Setting{name, fmt.Sprintf(format, arguments...)})
}

// atMost checks a figure against a limit; so does atLeast.
func (o *Observation) atMost(what string, is, limit float64) {
	o.Checks = append(o.Checks, Check{what, is, fmt.Sprintf("at most %g", limit), is <= limit})
}

func (o *Observation) atLeast(what string, is, limit float64) {
	o.Checks = append(o.Checks, Check{what, is, fmt.Sprintf("at least %g", limit), is >= limit})
}

// Run runs an experiment and judges what it observed. The error is that of ctx: what was interrupted has no verdict.
func Run(ctx context.Context, e Experiment, lab *Lab) (Observation, error) {
	started, on := time.Now(), machine.Current()
	lab.versions = nil
	o, err := e.Run(ctx, lab)
	if ctx.Err() != nil {
		return Observation{}, errors.New("interrupted")
	}
	o.Name, o.Claim, o.Machine = e.Name(), e.Claim(), on
	if len(lab.versions) > 0 {
		o.set("versions", "%s", strings.Join(lab.versions, ", "))
	}
	o.Started, o.Took = started.UTC().Truncate(time.Second), time.Since(started).Seconds()
	switch {
	case err != nil:
		o.Verdict, o.Reason = NotRun, err.Error()
	case len(o.Checks) == 0:
		o.Verdict, o.Reason = NotRun, "nothing was checked"
	case slices.ContainsFunc(o.Checks, func(c Check) bool { return !c.Holds }):
		o.Verdict = DoesNotHold
	default:
		o.Verdict = Holds
	}
	return o, nil
}

// Package experiment tests claims about sessions behind a load balancer. Each Experiment runs real server processes and real
// stores, kills, drains or races them under load, and records an Observation. The verdict follows from the assertions in it,
// and all figures come from the run. All and ByName list the experiments, and Run runs one with the options of a Runner. Start
// reading at Experiment and serverLoss; environment starts the fleet that an experiment needs.
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

// Experiment tests a claim.
type Experiment interface {
	// Name returns the name on the command line.
	Name() string
	// Claim returns the claim, in one or two sentences.
	Claim() string
	// Run runs the experiment. The error says why it could not run, such as a store's server that isn't installed.
	Run(ctx context.Context, runner *Runner) (Observation, error)
}

// All returns the experiments that take about a minute each, in the order in which to read them.
func All() []Experiment {
	return []Experiment{
		newStickyImbalance(), newServerLoss(), newRollingDeploy(), newScaleOut(), newScaleIn(),
		newCacheLoss(), newReplicaLag(), newStoreOutage(),
		newLostUpdate(), newLogoutRace(), newLatency(), newCookieSize(), newTokenRevocation(),
	}
}

// Long returns the experiments that take too long for "all", and run only by name.
func Long() []Experiment { return []Experiment{newSoak(), newScale()} }

// ByName returns the experiments with the given names, or All for the single name "all". The error lists the known names.
func ByName(names ...string) ([]Experiment, error) {
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

// Verdict is the outcome of an experiment.
type Verdict string

// The verdicts.
const (
	Holds       Verdict = "holds"
	DoesNotHold Verdict = "does not hold"
	NotRun      Verdict = "not run"
)

// Observation has the results of an experiment.
type Observation struct {
	Name       string          `json:"name"`
	Claim      string          `json:"claim"`
	Verdict    Verdict         `json:"verdict"`
	Reason     string          `json:"reason,omitempty"` // why it was not run
	Started    time.Time       `json:"started"`
	Took       float64         `json:"took_s"`
	Machine    machine.Machine `json:"machine"`
	Parameters []Parameter     `json:"settings"`
	Assertions []Assertion     `json:"checks"`
	Tables     []Table         `json:"tables"`
	Charts     []Chart         `json:"-"` // of figures in the tables, or of time series
	Timeline   []Event         `json:"timeline"`
	Advice     string          `json:"-"` // a recommendation, for a claim that holds
}

// Parameter is a parameter of an experiment.
type Parameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Assertion is a condition on a figure. A claim holds if all its assertions hold.
type Assertion struct {
	What  string  `json:"what"`
	Is    float64 `json:"is"`
	Claim string  `json:"claim"` // the condition, such as "at most 0"
	Holds bool    `json:"holds"`
}

// Measured returns the measured value: an integer with all its digits, and any other number with four.
func (a Assertion) Measured() string { return number(a.Is) }

// Table is a table of figures: numbers and texts, row by row.
type Table struct {
	Title   string   `json:"title"`
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"`
}

// Chart is a chart with the name of its file.
type Chart struct {
	Name string // the file's name, without .svg
	chart.Chart
}

// Event is an event in a part of an experiment.
type Event struct {
	Run  string  `json:"run"` // the part of the experiment
	N    int     `json:"n"`   // its number in this part, the label in charts
	T    float64 `json:"t"`   // seconds from the start of the part
	What string  `json:"what"`
}

func (o *Observation) set(name, format string, arguments ...any) {
	o.Parameters = append(o.Parameters, Parameter{name, fmt.Sprintf(format, arguments...)})
}

// assertAtMost adds the assertion that a value is at most the limit.
func (o *Observation) assertAtMost(what string, is, limit float64) {
	o.Assertions = append(o.Assertions, Assertion{what, is, "at most " + number(limit), is <= limit})
}

// assertAtLeast adds the assertion that a value is at least the limit.
func (o *Observation) assertAtLeast(what string, is, limit float64) {
	o.Assertions = append(o.Assertions, Assertion{what, is, "at least " + number(limit), is >= limit})
}

// Run runs the experiment and sets the verdict, time and machine of its observation. It returns an error only if ctx ends; an
// experiment that can't run has the verdict NotRun.
func Run(ctx context.Context, e Experiment, runner *Runner) (Observation, error) {
	started, on := time.Now(), machine.Current()
	runner.versions = nil
	o, err := e.Run(ctx, runner)
	if ctx.Err() != nil {
		return Observation{}, errors.New("interrupted")
	}
	o.Name, o.Claim, o.Machine = e.Name(), e.Claim(), on
	if len(runner.versions) > 0 {
		o.set("versions", "%s", strings.Join(runner.versions, ", "))
	}
	o.Started, o.Took = started.UTC().Truncate(time.Second), time.Since(started).Seconds()
	switch {
	case err != nil:
		o.Verdict, o.Reason = NotRun, err.Error()
	case len(o.Assertions) == 0:
		o.Verdict, o.Reason = NotRun, "the experiment has no assertions"
	case slices.ContainsFunc(o.Assertions, func(a Assertion) bool { return !a.Holds }):
		o.Verdict = DoesNotHold
	default:
		o.Verdict = Holds
	}
	return o, nil
}

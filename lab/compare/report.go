// Package compare compares variants: ways to deploy, that is a session store with its options. NewReport estimates the
// monthly cost of each variant from its CloudFormation templates. Report.Compare adds, for every pair, how the resources,
// permissions and network rules differ and what CloudFormation would add, remove, replace and retain. The templates come
// from a Synthesizer, which runs the CDK, or from DefaultTemplates, which needs neither Node nor the CDK. WriteText,
// WriteMarkdown, WriteJSON and WriteHTML write the report. Start reading at Report.
package compare

import (
	"maps"
	"slices"
	"strings"

	"stateless-servers/lab/cost"
	"stateless-servers/lab/load"
)

// A Report compares variants. Fill it with NewReport, then optionally Compare and AddMeasurement.
type Report struct {
	Region   string       `json:"region"`
	Traffic  cost.Traffic `json:"traffic"`
	Variants []Variant    `json:"variants"`
	// Pairs has every pair of variants in both directions, beginning with the pairs from the first variant. It is empty unless
	// Compare was called.
	Pairs     []Pair          `json:"pairs,omitempty"`
	Curves    []cost.Curve    `json:"curves"`
	Crossings []cost.Crossing `json:"crossings"`
}

// A Measurement is the result of several load tests of a store on this machine, with a fleet of processes and the store's real
// server. It allows to compare stores with each other; it does not predict latencies on AWS.
type Measurement struct {
	Servers int         `json:"servers"`
	Runs    int         `json:"runs"`
	P50     load.Spread `json:"p50_ms"`
	P99     load.Spread `json:"p99_ms"`
	Failed  int64       `json:"failed"`       // failed requests of all runs
	Lost    int64       `json:"lost"`         // sessions and updates that were lost, stale, leaked to others or alive after logout
	Highest float64     `json:"highest_rate"` // highest sustained rate, in requests per second
}

// AddMeasurement adds the measurement of a store to every variant of that store, whatever its options.
func (r *Report) AddMeasurement(store string, m Measurement) {
	for i := range r.Variants {
		if of, _, _ := strings.Cut(r.Variants[i].Name, "+"); of == store {
			r.Variants[i].Measured = &m
		}
	}
}

// NewReport estimates the cost of the named variants. Templates holds the templates of each variant by its name.
func NewReport(e cost.Estimator, t cost.Traffic, names []string, templates map[string][]cost.Template) Report {
	r := Report{Region: e.Region, Traffic: t, Crossings: []cost.Crossing{}}
	for _, name := range names {
		list := templates[name]
		r.Variants = append(r.Variants, Variant{Name: name, Bill: e.Bill(list, t), Retained: retained(list), templates: list})
		r.Curves = append(r.Curves, e.Curve(name, list, t))
	}
	for i := range names {
		for j := range i {
			r.Crossings = append(r.Crossings, e.Crossings(r.Curves[j], r.Curves[i], templates[names[j]], templates[names[i]], t)...)
		}
	}
	slices.SortFunc(r.Crossings, func(a, b cost.Crossing) int {
		switch {
		case a.RequestsPerSecond < b.RequestsPerSecond:
			return -1
		case a.RequestsPerSecond > b.RequestsPerSecond:
			return 1
		}
		return 0
	})
	return r
}

// pairsFromFirst returns the pairs from the first variant to each other one.
func (r *Report) pairsFromFirst() []Pair {
	return slices.DeleteFunc(slices.Clone(r.Pairs), func(p Pair) bool { return p.From != r.Variants[0].Name })
}

// retained returns the resources that stay in the account, as they are or as a snapshot, when the stacks are destroyed.
func retained(templates []cost.Template) []ResourceChange {
	list := []ResourceChange{}
	for _, t := range templates {
		for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
			r := t.Resources[id]
			if r.DeletionPolicy != "" && r.DeletionPolicy != "Delete" {
				list = append(list, ResourceChange{Stack: t.Name, ID: id, Type: r.Type, Policy: r.DeletionPolicy})
			}
		}
	}
	return list
}

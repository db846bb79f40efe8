// Package compare sets ways to deploy side by side: their resources, permissions and network rules, what CloudFormation
// does to get from one to another, and what they cost.
package compare

import (
	"maps"
	"slices"
	"strings"

	"stateless-servers/lab/cost"
	"stateless-servers/lab/load"
)

// A Report is what was compared.
type Report struct {
	Region   string       `json:"region"`
	Traffic  cost.Traffic `json:"traffic"`
	Variants []Variant    `json:"variants"`
	// Pairs are all pairs, both ways; the first variant's come first. There are none when costs alone were asked for.
	Pairs     []Pair          `json:"pairs,omitempty"`
	Curves    []cost.Curve    `json:"curves"`
	Crossings []cost.Crossing `json:"crossings"`
}

// Measured is what a load test of a variant's store found on this machine, with a fleet of processes and the store's own
// server. It compares stores, and says nothing of AWS.
type Measured struct {
	Servers int            `json:"servers"`
	Rate    float64        `json:"rate"` // requests a second that were sent
	Latency load.Quantiles `json:"latency_ms"`
	Failed  int64          `json:"failed"` // requests
	Lost    int64          `json:"lost"`   // consistency violations, of all kinds
	Highest float64        `json:"highest_rate"`
}

// Measure notes what was measured with a store; variants that differ by options alone share it.
func (r *Report) Measure(store string, m Measured) {
	for i := range r.Variants {
		if of, _, _ := strings.Cut(r.Variants[i].Name, "+"); of == store {
			r.Variants[i].Measured = &m
		}
	}
}

// NewReport bills the variants. Their templates are by name.
func NewReport(e cost.Estimator, t cost.Traffic, names []string, templates map[string][]cost.Template) Report {
	r := Report{Region: e.Region, Traffic: t, Crossings: []cost.Crossing{}}
	for _, name := range names {
		of := templates[name]
		r.Variants = append(r.Variants, Variant{Name: name, Bill: e.Bill(of, t), Stays: stays(of), templates: of})
		r.Curves = append(r.Curves, e.Curve(name, of, t))
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

// fromFirst are the pairs that begin with the first variant.
func (r *Report) fromFirst() []Pair {
	return slices.DeleteFunc(slices.Clone(r.Pairs), func(p Pair) bool { return p.From != r.Variants[0].Name })
}

// stays returns the resources that keep something in the account.
func stays(templates []cost.Template) []Change {
	list := []Change{}
	for _, t := range templates {
		for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
			r := t.Resources[id]
			if r.DeletionPolicy != "" && r.DeletionPolicy != "Delete" {
				list = append(list, Change{Stack: t.Name, ID: id, Type: r.Type, Policy: r.DeletionPolicy})
			}
		}
	}
	return list
}

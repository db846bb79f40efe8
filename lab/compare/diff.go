package compare

import (
	"maps"
	"slices"
)

// A Pair is what CloudFormation does to get from one variant to another.
type Pair struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Added and Removed are created and deleted. Of what is removed, Kept stays in the account: whole, or as a snapshot.
	Added   []Change `json:"added"`
	Removed []Change `json:"removed"`
	Kept    []Change `json:"kept"`
	// Replaced are made anew, and MayBeReplaced depending on what changes in them. Updated are changed in place.
	Replaced      []Change `json:"replaced"`
	MayBeReplaced []Change `json:"may_be_replaced"`
	Updated       []Change `json:"updated"`
	// Permissions are IAM statements, Network are rules of security groups, and both as text.
	Permissions Texts `json:"permissions"`
	Network     Texts `json:"network"`
	// USD is how much more the second costs a month.
	USD float64 `json:"usd_per_month"`
}

// A Change is a resource that differs.
type Change struct {
	Stack string `json:"stack"`
	ID    string `json:"id"` // logical
	Type  string `json:"type"`
	// Properties are those that differ, or cause the replacement.
	Properties []string `json:"properties,omitempty"`
	// Policy is the DeletionPolicy of what is kept.
	Policy string `json:"policy,omitempty"`
}

// Texts are what comes and what goes.
type Texts struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
}

// compare finds the differences of two variants, as cdk diff does without asking AWS.
func (s spec) compare(from, to Variant) Pair {
	p := Pair{From: from.Name, To: to.Name, USD: to.Bill.Total - from.Bill.Total}
	names := map[string]bool{}
	for _, t := range slices.Concat(from.templates, to.templates) {
		names[t.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		s.compareStack(&p, name, whole(from.templates, name), whole(to.templates, name))
	}
	p.Permissions = difference(permissions(from.templates), permissions(to.templates))
	p.Network = difference(rules(from.templates), rules(to.templates))
	return p
}

func (s spec) compareStack(p *Pair, stack string, from, to object) {
	before, after := resources(from), resources(to)
	impacts := s.impacts(before, after)
	for _, id := range slices.Sorted(maps.Keys(impacts)) {
		impact := impacts[id]
		change := Change{Stack: stack, ID: id, Type: word(after[id]["Type"]), Properties: impact.properties}
		switch impact.kind {
		case added:
			p.Added = append(p.Added, change)
		case removed:
			change.Type = word(before[id]["Type"])
			p.Removed = append(p.Removed, change)
			if policy := word(before[id]["DeletionPolicy"]); keeps(policy) {
				change.Policy = policy
				p.Kept = append(p.Kept, change)
			}
		case replaced:
			p.Replaced = append(p.Replaced, change)
		case maybeReplaced:
			p.MayBeReplaced = append(p.MayBeReplaced, change)
		case updated:
			p.Updated = append(p.Updated, change)
		}
	}
}

// keeps tells whether something stays of a resource with that DeletionPolicy.
func keeps(policy string) bool { return policy != "" && policy != "Delete" }

// What happens to a resource, from the least to the most.
const (
	same = iota
	updated
	maybeReplaced
	replaced
	added
	removed
)

type impact struct {
	kind       int
	properties []string // that cause it
}

// impacts are what happens to each resource that differs. A resource that is replaced has another id of AWS's, so that what
// refers to it changes too.
func (s spec) impacts(before, after map[string]object) map[string]impact {
	first := s.direct(before, after)
	changed := copied(after)
	for {
		now := s.direct(before, changed)
		renamed := false
		for id, i := range now {
			if i.kind == replaced && rename(changed, id) {
				renamed = true
			}
		}
		if renamed {
			continue
		}
		for id, i := range now { // what refers to a replaced resource without being replaced has changed only in AWS
			if was := first[id]; i.kind >= maybeReplaced && i.kind <= replaced && i.kind > was.kind {
				first[id] = i
			}
		}
		return first
	}
}

// direct are the impacts of what differs in the templates.
func (s spec) direct(before, after map[string]object) map[string]impact {
	impacts := map[string]impact{}
	for id := range before {
		if _, stays := after[id]; !stays {
			impacts[id] = impact{kind: removed}
		}
	}
	for id, to := range after {
		from, was := before[id]
		if !was {
			impacts[id] = impact{kind: added}
			continue
		}
		if i := s.impact(from, to); i.kind != same {
			impacts[id] = i
		}
	}
	return impacts
}

func (s spec) impact(from, to object) impact {
	kind := word(to["Type"])
	if word(from["Type"]) != kind {
		return impact{replaced, []string{"Type"}}
	}
	worst := impact{}
	note := func(kind int, property string) {
		if kind > worst.kind {
			worst = impact{kind: kind}
		}
		if kind == worst.kind {
			worst.properties = append(worst.properties, property)
		}
	}
	a, b := properties(from), properties(to)
	for _, name := range union(a, b) {
		if equal(a[name], b[name]) {
			continue
		}
		switch s[kind][name] {
		case "yes":
			note(replaced, name)
		case "maybe":
			note(maybeReplaced, name)
		default:
			note(updated, name)
		}
	}
	for _, name := range union(from, to) {
		if name != "Properties" && !equal(from[name], to[name]) {
			note(updated, name)
		}
	}
	return worst
}

// difference is what only one of two lists has, sorted.
func difference(from, to []string) Texts {
	only := func(a, b []string) []string {
		others := map[string]bool{}
		for _, text := range b {
			others[text] = true
		}
		list := slices.DeleteFunc(slices.Clone(a), func(text string) bool { return others[text] })
		slices.Sort(list)
		return slices.Compact(list)
	}
	return Texts{Added: only(to, from), Removed: only(from, to)}
}

package compare

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"stateless-servers/lab/cost"
)

// WriteText writes the report for a terminal.
func (r Report) WriteText(w io.Writer) error { return r.document().writeText(w) }

// WriteMarkdown writes the report as Markdown.
func (r Report) WriteMarkdown(w io.Writer) error { return r.document().writeMarkdown(w) }

// WriteJSON writes all of the report.
func (r Report) WriteJSON(w io.Writer) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		_, err = w.Write(append(text, '\n'))
	}
	return err
}

func (r Report) document() document {
	var d document
	t := r.Traffic
	d.text("%s, on demand, in USD a month of 730 hours. %.4g requests/s by %.6g sessions of %.6g bytes: %.3g %% don't use their "+
		"session, the others read %.3g times for each write. Responses have %.6g bytes.", r.Region, t.RequestsPerSecond, t.Sessions,
		t.SessionBytes, 100*t.Untouched, t.ReadsPerWrite, t.ResponseBytes)
	if t.Logins > 0 {
		d.text("In %.3g %% of the sessions somebody logs in.", 100*t.Logins)
	}
	r.costs(&d)
	d = append(d, block{picture: true})
	r.crossings(&d)
	r.measured(&d)
	r.differences(&d)
	r.small(&d)
	return d
}

func usd(x float64) string { return fmt.Sprintf("%.2f", x) }

func (r Report) costs(d *document) {
	costs := table{head: append(append([]string{"variant"}, cost.Groups()...), "together", "to the first", "servers"), left: 1}
	for _, v := range r.Variants {
		row := []string{v.Name}
		for _, group := range cost.Groups() {
			row = append(row, usd(v.Bill.Group(group)))
		}
		costs.rows = append(costs.rows, append(row, usd(v.Bill.Total), fmt.Sprintf("%+.2f", v.Bill.Total-r.Variants[0].Bill.Total),
			fmt.Sprintf("%.0f", v.Bill.Servers)))
	}
	d.heading("Monthly cost")
	d.table(costs)
	if len(r.Variants) == 1 {
		r.lines(d, r.Variants[0])
	}
	for _, v := range r.Variants {
		for _, limit := range v.Bill.Limits {
			d.text("TOO SMALL, %s: %s", v.Name, limit)
		}
		for _, note := range v.Bill.Notes {
			d.text("%s: %s", v.Name, note)
		}
	}
}

// lines are a bill in full.
func (r Report) lines(d *document, v Variant) {
	lines := table{head: []string{"what", "resource", "price", "unit", "quantity", "USD a month"}, left: 2}
	for _, l := range v.Bill.Lines {
		lines.rows = append(lines.rows, []string{l.What, l.Resource, fmt.Sprintf("%g%s", l.Price.USD, mark(l.Price)), l.Price.Unit,
			fmt.Sprintf("%.6g", l.Quantity), usd(l.USD)})
	}
	d.table(lines)
}

// mark follows a price that nobody has checked.
func mark(p cost.Price) string {
	if p.Verified {
		return ""
	}
	return "?"
}

func (r Report) crossings(d *document) {
	if len(r.Variants) < 2 {
		return
	}
	d.heading("Where they cost the same")
	if len(r.Crossings) == 0 {
		d.text("Nowhere from %d to %d requests/s: the cheaper one is so at any traffic.", cost.CurveFrom, cost.CurveTo)
		return
	}
	t := table{head: []string{"", "cheaper below", "cheaper above", "requests/s", "sessions", "USD a month", "large enough"}, left: 3}
	for i, c := range r.Crossings {
		enough := "yes"
		if len(c.Limits) > 0 {
			enough = "no"
		}
		sessions := r.Traffic.Sessions * c.RequestsPerSecond / r.Traffic.RequestsPerSecond
		t.rows = append(t.rows, []string{fmt.Sprint(i + 1), c.First, c.Then, fmt.Sprintf("%.4g", c.RequestsPerSecond),
			fmt.Sprintf("%.0f", sessions), usd(c.USD), enough})
	}
	d.table(t)
	d.text("More traffic is more visitors who do the same, and as many servers as that takes. Large enough is no where what is " +
		"configured for the two is too small for that traffic: nodes, limits, or maxServers (--json says which).")
}

func (r Report) measured(d *document) {
	t := table{head: []string{"variant", "servers", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "failed", "lost", "highest rate held",
		"USD a month"}, left: 1}
	for _, v := range r.Variants {
		if m := v.Measured; m != nil {
			t.rows = append(t.rows, []string{v.Name, fmt.Sprint(m.Servers), fmt.Sprintf("%.1f", m.Rate),
				fmt.Sprintf("%.2f", m.Latency.P50), fmt.Sprintf("%.2f", m.Latency.P99), fmt.Sprintf("%.2f", m.Latency.P999),
				fmt.Sprint(m.Failed), fmt.Sprint(m.Lost), fmt.Sprintf("%.0f", m.Highest), usd(v.Bill.Total)})
		}
	}
	if len(t.rows) > 0 {
		d.heading("Measured on this machine")
		d.table(t)
		d.text("A fleet of processes, its load balancer and each store's own server on one machine: the figures compare stores, and " +
			"say nothing of AWS. Every session was checked; lost are sessions and updates. (The experiment latency: lab run latency.)")
	}
}

func (r Report) differences(d *document) {
	if len(r.Pairs) == 0 {
		return
	}
	first := r.Variants[0].Name
	d.heading("From %s to", first)
	t := table{head: []string{"variant", "added", "removed", "of that kept", "replaced", "may be", "updated", "permissions",
		"network rules"}, left: 1}
	for _, p := range r.fromFirst() {
		t.rows = append(t.rows, []string{p.To, count(p.Added), count(p.Removed), count(p.Kept), count(p.Replaced),
			count(p.MayBeReplaced), count(p.Updated), signed(p.Permissions), signed(p.Network)})
	}
	d.table(t)
	for _, p := range r.fromFirst() {
		d.heading("%s → %s", p.From, p.To)
		d.list(p.changes())
		if n := len(p.Permissions.Added) + len(p.Permissions.Removed); n > 0 {
			d.text("Permissions:")
			d.list(p.Permissions.lines())
		}
		if n := len(p.Network.Added) + len(p.Network.Removed); n > 0 {
			d.text("Network:")
			d.list(p.Network.lines())
		}
	}
	d.heading("What stays when the stacks are destroyed")
	for _, v := range r.Variants {
		var names []string
		for _, c := range v.Stays {
			names = append(names, fmt.Sprintf("%s (%s, %s)", c.ID, c.Type, c.Policy))
		}
		if len(names) == 0 {
			names = []string{"nothing"}
		}
		d.text("%s: %s", v.Name, strings.Join(names, "; "))
	}
}

func count(list []Change) string { return fmt.Sprint(len(list)) }

func signed(t Texts) string { return fmt.Sprintf("+%d −%d", len(t.Added), len(t.Removed)) }

func (t Texts) lines() []string {
	var list []string
	for _, text := range t.Removed {
		list = append(list, "- "+text)
	}
	for _, text := range t.Added {
		list = append(list, "+ "+text)
	}
	return list
}

// changes are the resources, a line each.
func (p Pair) changes() []string {
	var list []string
	write := func(sign string, changes []Change, note func(Change) string) {
		for _, c := range changes {
			list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", sign, c.Type, c.ID, note(c))))
		}
	}
	properties := func(word string) func(Change) string {
		return func(c Change) string { return "(" + word + strings.Join(c.Properties, ", ") + ")" }
	}
	write("-", p.Removed, func(c Change) string {
		if i := slices.IndexFunc(p.Kept, func(k Change) bool { return k.ID == c.ID && k.Stack == c.Stack }); i >= 0 {
			return "(stays: DeletionPolicy " + p.Kept[i].Policy + ")"
		}
		return ""
	})
	write("+", p.Added, func(Change) string { return "" })
	write("!", p.Replaced, properties("replaced: "))
	write("?", p.MayBeReplaced, properties("may be replaced: "))
	write("~", p.Updated, properties(""))
	return list
}

// small is the small print: what the totals are without, and how good the prices are.
func (r Report) small(d *document) {
	without, unknown, unchecked := map[string]string{}, map[string]bool{}, map[string]bool{}
	for _, v := range r.Variants {
		maps.Copy(without, v.Bill.NotCounted)
		for _, what := range v.Bill.NotPriced {
			unknown[what] = true
		}
		for _, item := range v.Bill.Unverified() {
			unchecked[item] = true
		}
	}
	d.heading("About the prices")
	if len(unknown) > 0 {
		d.text("NOT PRICED, and missing in the totals: %s.", strings.Join(slices.Sorted(maps.Keys(unknown)), ", "))
	}
	if len(unchecked) > 0 {
		d.text("Unverified, to be checked before you rely on them: %s. The sources are in lab/cost/prices.csv; --prices takes a "+
			"file of yours.", strings.Join(slices.Sorted(maps.Keys(unchecked)), ", "))
	}
	if len(without) > 0 {
		var reasons []string
		for _, kind := range slices.Sorted(maps.Keys(without)) {
			reasons = append(reasons, fmt.Sprintf("%s (%s)", kind, without[kind]))
		}
		d.text("Not counted: %s. Free allowances and taxes aren't either.", strings.Join(reasons, "; "))
	}
}

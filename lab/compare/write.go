package compare

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"stateless-servers/lab/cost"
)

// WriteText writes the report as text for a terminal with that many columns, 0 if there is none. It leaves out the chart.
func (r Report) WriteText(w io.Writer, columns int) error { return r.document().writeText(w, columns) }

// WriteMarkdown writes the report as Markdown, without the chart.
func (r Report) WriteMarkdown(w io.Writer) error { return r.document().writeMarkdown(w) }

// WriteJSON writes the whole report, every pair included.
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
	d.text("USD per month of 730 hours, at the on-demand prices of %s. The traffic: %.4g requests/s of %.6g sessions of %.6g bytes, and "+
		"responses of %.6g bytes. %.3g %% of the requests don't use their session; the others read it %.3g times for each write.",
		r.Region, t.RequestsPerSecond, t.Sessions, t.SessionBytes, t.ResponseBytes, 100*t.Untouched, t.ReadsPerWrite)
	if t.Logins > 0 {
		d.text("Visitors log in during %.3g %% of the sessions.", 100*t.Logins)
	}
	r.addCosts(&d)
	d = append(d, block{chart: true})
	r.addCrossings(&d)
	r.addMeasurements(&d)
	r.addDifferences(&d)
	r.addPriceNotes(&d)
	return d
}

func usd(x float64) string { return fmt.Sprintf("%.2f", x) }

func (r Report) addCosts(d *document) {
	costs := table{head: append(append([]string{"variant"}, cost.Groups()...), "total"), textColumns: 1}
	for _, v := range r.Variants {
		row := []string{v.Name}
		for _, group := range cost.Groups() {
			row = append(row, usd(v.Bill.Group(group)))
		}
		row = append(row, usd(v.Bill.Total))
		if len(r.Variants) > 1 {
			row = append(row, fmt.Sprintf("%+.2f", v.Bill.Total-r.Variants[0].Bill.Total))
		}
		costs.rows = append(costs.rows, row)
	}
	d.heading("Monthly cost")
	if len(r.Variants) > 1 {
		costs.head = append(costs.head, "difference")
	}
	d.table(costs)
	switch len(r.Variants) {
	case 0: // no variant's template could be read
	case 1:
		addBill(d, r.Variants[0].Bill)
	default:
		d.text("The difference is from %s.", r.Variants[0].Name)
	}
	servers, of := grouped(r.Variants, func(b cost.Bill) []float64 { return []float64{b.Servers} })
	for i, n := range servers {
		d.text("%s: the traffic needs %.0f servers.", of[i], n)
	}
	for _, v := range r.Variants {
		for _, limit := range v.Bill.Limits {
			d.text("TOO SMALL, %s: %s", v.Name, limit)
		}
	}
	notes, about := grouped(r.Variants, func(b cost.Bill) []string { return b.Notes })
	for i, note := range notes {
		d.text("%s: %s", about[i], note)
	}
	r.addQuotas(d)
}

// addQuotas adds the vCPUs that the variants need of the account's quotas, and the commands that print the account's values.
func (r Report) addQuotas(d *document) {
	quotas, about := grouped(r.Variants, func(b cost.Bill) []cost.Quota { return b.Quotas })
	if len(quotas) == 0 {
		return
	}
	t := table{head: []string{"variant", "quota of vCPUs", "first deployment", "later deployments", "loaders"}, textColumns: 2}
	var commands []string
	for i, q := range quotas {
		t.rows = append(t.rows, []string{about[i], q.Name, fmt.Sprintf("%.0f", q.First), fmt.Sprintf("%.0f", q.Later),
			fmt.Sprintf("%+.0f", q.Loaders)})
		if command := q.Command(r.Region); !slices.Contains(commands, command) {
			commands = append(commands, command)
		}
	}
	d.heading("Quotas")
	d.table(t)
	d.text("Later deployments run maxServers servers for some minutes, as scaling may at any time. A new account may have a quota of " +
		"5 vCPUs. To see yours:")
	*d = append(*d, block{list: commands, shell: true})
}

// grouped returns the values of all variants, each once, and for each the names of the variants that have it, or "all".
func grouped[T comparable](variants []Variant, of func(cost.Bill) []T) (values []T, about []string) {
	names := map[T][]string{}
	for _, v := range variants {
		for _, value := range of(v.Bill) {
			if names[value] == nil {
				values = append(values, value)
			}
			names[value] = append(names[value], v.Name)
		}
	}
	for _, value := range values {
		text := strings.Join(names[value], ", ")
		if len(variants) > 1 && len(names[value]) == len(variants) {
			text = "all"
		}
		about = append(about, text)
	}
	return values, about
}

// addBill adds a table with every line of the bill.
func addBill(d *document, bill cost.Bill) {
	lines := table{head: []string{"what", "resource", "price", "unit", "quantity", "USD per month"}, textColumns: 2, spare: 1}
	for _, l := range bill.Lines {
		lines.rows = append(lines.rows, []string{l.What, plain(l.Resource), fmt.Sprintf("%g%s", l.Price.USD, unverifiedMark(l.Price)),
			l.Price.Unit, fmt.Sprintf("%.6g", l.Quantity), usd(l.USD)})
	}
	d.table(lines)
}

// unverifiedMark returns the mark behind a price that has not been checked against its source.
func unverifiedMark(p cost.Price) string {
	if p.Verified {
		return ""
	}
	return "?"
}

func (r Report) addCrossings(d *document) {
	if len(r.Variants) < 2 {
		return
	}
	d.heading("Break-even points")
	if len(r.Crossings) == 0 {
		d.text("None from %d to %d requests/s: the cheaper variant is cheaper at any traffic.", cost.CurveFrom, cost.CurveTo)
		return
	}
	t := table{head: []string{"", "cheaper below", "cheaper above", "requests/s", "sessions", "USD per month", "large enough"}, textColumns: 3}
	for i, c := range r.Crossings {
		enough := "yes"
		if len(c.Limits) > 0 {
			enough = "no"
		}
		sessions := r.Traffic.Sessions * c.RequestsPerSecond / r.Traffic.RequestsPerSecond
		t.rows = append(t.rows, []string{fmt.Sprint(i + 1), c.CheaperBelow, c.CheaperAbove, fmt.Sprintf("%.4g", c.RequestsPerSecond),
			fmt.Sprintf("%.0f", sessions), usd(c.USD), enough})
	}
	d.table(t)
	d.text("Traffic grows by adding visitors with the same behaviour; the fleet grows to match. \"No\" means that the configured " +
		"capacity of either variant can't handle the traffic: nodes, limits or maxServers (--json has the details).")
}

func (r Report) addMeasurements(d *document) {
	t := table{head: []string{"variant", "p50 ms", "p99 ms", "failed", "lost", "sustained rate", "USD per month"}, textColumns: 1}
	servers, runs := 0, 0
	for _, v := range r.Variants {
		if m := v.Measured; m != nil {
			servers, runs = m.Servers, m.Runs
			t.rows = append(t.rows, []string{v.Name, m.P50.String(), m.P99.String(), fmt.Sprint(m.Failed), fmt.Sprint(m.Lost),
				fmt.Sprintf("%.0f", m.Highest), usd(v.Bill.Total)})
		}
	}
	if len(t.rows) > 0 {
		d.heading("Measured on this machine")
		d.table(t)
		d.text("Latencies are medians of %d runs, with the range. Stores whose ranges overlap don't differ. The %d servers, the load "+
			"balancer and the server of each store ran on one machine: local latency doesn't predict latency on AWS. Every session was "+
			"checked; \"lost\" counts sessions and updates. (This is the experiment latency: lab run latency.)", runs, servers)
	}
}

func (r Report) addDifferences(d *document) {
	if len(r.Pairs) == 0 {
		return
	}
	first := r.Variants[0].Name
	d.heading("Changes from %s", first)
	t := table{head: []string{"to", "sessions", "added", "removed", "retained", "replaced", "maybe replaced", "updated", "permissions",
		"network rules"}, textColumns: 2}
	for _, p := range r.pairsFromFirst() {
		t.rows = append(t.rows, []string{p.To, p.Sessions.Result.String(), count(p.Added), count(p.Removed), count(p.Retained), count(p.Replaced),
			count(p.MaybeReplaced), count(p.Updated), signed(p.Permissions), signed(p.Network)})
	}
	d.table(t)
	d.text("In the following lists - is removed, + added, ! replaced, ? maybe replaced, ~ updated in place. ${Name} in a permission or a " +
		"network rule stands for the resource of that name: its ARN, its id or another attribute.")
	for _, p := range r.pairsFromFirst() {
		d.heading("%s → %s", p.From, p.To)
		d.text("%s", plain(p.Sessions.String()))
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
	d.heading("Retained when the stacks are destroyed")
	for _, v := range r.Variants {
		var names []string
		for _, c := range v.Retained {
			names = append(names, fmt.Sprintf("%s %s (%s)", typeName(c.Type), plain(c.ID), c.Policy))
		}
		if len(names) == 0 {
			names = []string{"nothing"}
		}
		d.text("%s: %s", v.Name, strings.Join(names, "; "))
	}
}

// count returns the length of the list as text.
func count(list []ResourceChange) string { return fmt.Sprint(len(list)) }

// signed returns the numbers of added and removed lines, such as "+1 −2".
func signed(d ListDiff) string { return fmt.Sprintf("+%d −%d", len(d.Added), len(d.Removed)) }

// lines returns the removed lines and then the added ones, each with its sign.
func (d ListDiff) lines() []string {
	var list []string
	for _, line := range d.Removed {
		list = append(list, "- "+plain(line)+noTraffic(line))
	}
	for _, line := range d.Added {
		list = append(list, "+ "+plain(line)+noTraffic(line))
	}
	return list
}

// noTraffic returns a note on the rule that the CDK gives to a security group without outbound traffic, or "".
func noTraffic(line string) string {
	if strings.HasSuffix(line, " to 255.255.255.255/32: ICMP 252-86") {
		return " (matches nothing: no outbound traffic)"
	}
	return ""
}

// hashedID matches a logical id of the CDK, whose end is a hash. The id of a rule of a security group has its port before the hash.
var hashedID = regexp.MustCompile(`\b([A-Za-z]\w*?)[0-9A-F]{8}([0-9A-F]{12})?\b`)

// plain removes the hashes from the logical ids in a text.
func plain(text string) string { return hashedID.ReplaceAllString(text, "$1") }

// wordStart matches the end of a word and the beginning of the next one in a name such as VPCEndpoint.
var wordStart = regexp.MustCompile(`([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])`)

// typeName returns the type of a resource in words: "DynamoDB global table" for AWS::DynamoDB::GlobalTable.
func typeName(kind string) string {
	parts := strings.Split(kind, "::")
	if len(parts) != 3 {
		return kind
	}
	words := strings.Fields(wordStart.ReplaceAllString(parts[2], "$1$3 $2$4"))
	for i, word := range words {
		if len(word) == 1 || word != strings.ToUpper(word) {
			words[i] = strings.ToLower(word)
		}
	}
	return parts[1] + " " + strings.Join(words, " ")
}

// changes returns a line for each type of resources that differ, with a sign: - removed, + added, ! replaced, ? maybe
// replaced, ~ updated.
func (p Pair) changes() []string {
	var list []string
	write := func(sign string, changes []ResourceChange, note func(ResourceChange) string) {
		names := map[string][]string{}
		for _, c := range changes {
			kind := typeName(c.Type)
			names[kind] = append(names[kind], strings.TrimSpace(plain(c.ID)+" "+note(c)))
		}
		for _, kind := range slices.Sorted(maps.Keys(names)) {
			list = append(list, fmt.Sprintf("%s %s: %s", sign, kind, strings.Join(names[kind], ", ")))
		}
	}
	properties := func(word string) func(ResourceChange) string {
		return func(c ResourceChange) string { return "(" + word + strings.Join(c.Properties, ", ") + ")" }
	}
	write("-", p.Removed, func(c ResourceChange) string {
		if i := slices.IndexFunc(p.Retained, func(k ResourceChange) bool { return k.ID == c.ID && k.Stack == c.Stack }); i >= 0 {
			return "(retained: DeletionPolicy " + p.Retained[i].Policy + ")"
		}
		return ""
	})
	write("+", p.Added, func(ResourceChange) string { return "" })
	write("!", p.Replaced, properties("replaced: "))
	write("?", p.MaybeReplaced, properties("maybe replaced: "))
	write("~", p.Updated, properties(""))
	return list
}

// addPriceNotes adds what the totals leave out, and which prices are unverified.
func (r Report) addPriceNotes(d *document) {
	notCounted, notPriced, unverified := map[string]string{}, map[string]bool{}, map[string]bool{}
	for _, v := range r.Variants {
		maps.Copy(notCounted, v.Bill.NotCounted)
		for _, what := range v.Bill.NotPriced {
			notPriced[what] = true
		}
		for _, item := range v.Bill.Unverified() {
			unverified[item] = true
		}
	}
	d.heading("About the prices")
	if len(notPriced) > 0 {
		d.text("NOT PRICED and missing from the totals: %s.", strings.Join(slices.Sorted(maps.Keys(notPriced)), ", "))
	}
	if len(unverified) > 0 {
		d.text("Unverified prices, check them before you rely on them: %s. The sources are in lab/cost/prices.csv; --prices takes "+
			"your own file.", strings.Join(slices.Sorted(maps.Keys(unverified)), ", "))
	}
	if len(notCounted) > 0 {
		var reasons []string
		for _, kind := range slices.Sorted(maps.Keys(notCounted)) {
			reasons = append(reasons, fmt.Sprintf("%s (%s)", typeName(kind), notCounted[kind]))
		}
		d.text("Not counted: free allowances, taxes, and %s.", strings.Join(reasons, "; "))
	}
}

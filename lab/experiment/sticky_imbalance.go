package experiment

import (
	"context"

	"stateless-servers/app/config"
)

// stickyImbalance compares how evenly servers are loaded when visitors are pinned to them, and when they aren't, before
// and after a server is added.
type stickyImbalance struct{ pinned, free setup }

func newStickyImbalance() stickyImbalance {
	free := setup{store: config.StoreValkey, servers: 3}
	pinned := free
	pinned.sticky = true
	return stickyImbalance{pinned, free}
}

func (stickyImbalance) Name() string { return "sticky-imbalance" }

func (stickyImbalance) Claim() string {
	return "Cookies that pin visitors to servers load these unevenly, and the more so after one is added, which " +
		"gets almost none of the visitors who are there already. Without stickiness every server gets its share at " +
		"once."
}

const (
	// A number of visitors that three servers can't share equally.
	pinnedVisitors = 20
	evenSpread     = 1.1 // max/mean
	unevenSpread   = 1.2
)

func (e stickyImbalance) Run(ctx context.Context, lab *Lab) (Observation, error) {
	o := Observation{Advice: "Leave stickiness off. A server that is added, or comes back, is of little use to a " +
		"fleet whose visitors are pinned to the others."}
	v := visitors()
	v.Sessions = pinnedVisitors
	o.set("fleet", "%d servers on %s, to which one is added; with the cookie AWSALB and without", e.free.servers, e.free)
	o.describe(v)
	table := Table{Title: "Requests of the most loaded server, as a multiple of the mean", Columns: []string{
		"", "before", "after one was added", "share of the added one, of a fair share"}}
	type spreads struct{ before, after, share float64 }
	var found []spreads
	for _, s := range []setup{e.pinned, e.free} {
		run := "not sticky"
		if s.sticky {
			run = "sticky"
		}
		scene, err := lab.open(ctx, s)
		if err != nil {
			return o, err
		}
		defer scene.Close()
		lab.Report("adding a server under load")
		var before, after counted
		var names []string
		r, err := scene.under(ctx, v, func(ctx context.Context) (err error) {
			if before, err = scene.watch(ctx); err != nil {
				return err
			}
			if names, err = scene.add(ctx, 1); err != nil {
				return err
			}
			after, err = scene.watch(ctx)
			return err
		})
		if err != nil {
			return o, err
		}
		if err := scene.Close(); err != nil {
			return o, err
		}
		o.timeline(run, r)
		o.servers(e.Name()+"-"+map[bool]string{true: "sticky", false: "free"}[s.sticky], run, r)
		f := spreads{before.spread(), after.spread(), after.share(names)}
		table.Rows = append(table.Rows, []any{run, f.before, f.after, f.share})
		found = append(found, f)
	}
	pinned, free := found[0], found[1]
	o.atMost("max/mean without stickiness, before", free.before, evenSpread)
	o.atMost("max/mean without stickiness, after", free.after, evenSpread)
	o.atLeast("max/mean with stickiness, before, less that without", pinned.before-free.before, 0)
	o.atLeast("max/mean with stickiness, after", pinned.after, unevenSpread)
	o.atLeast("max/mean with stickiness, after, less that before", pinned.after-pinned.before, 0)
	o.atMost("share of the added server with stickiness, of a fair share", pinned.share, 1-fairEnough)
	o.atLeast("share of the added server without stickiness, of a fair share", free.share, fairEnough)
	o.Tables = append(o.Tables, table)
	return o, nil
}

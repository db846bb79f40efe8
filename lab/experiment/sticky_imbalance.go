package experiment

import (
	"context"

	"stateless-servers/app/config"
)

// stickyImbalance compares the load of servers with and without sticky sessions, before and after a server is added.
type stickyImbalance struct{ pinned, free setup }

func newStickyImbalance() stickyImbalance {
	free := setup{store: config.StoreValkey, servers: 3}
	pinned := free
	pinned.sticky = true
	return stickyImbalance{pinned, free}
}

func (stickyImbalance) Name() string { return "sticky-imbalance" }

func (stickyImbalance) Claim() string {
	return "Sticky sessions load the servers unevenly. A server that is added gets almost none of the visitors who are " +
		"already there. Without stickiness every server gets its share at once."
}

const (
	// A number of visitors that three servers can't share equally.
	pinnedVisitors  = 20
	maxEvenSpread   = 1.1 // max/mean
	minUnevenSpread = 1.2
)

func (e stickyImbalance) Run(ctx context.Context, runner *Runner) (Observation, error) {
	o := Observation{Advice: "Leave stickiness off. An added server hardly helps a fleet whose visitors are pinned to " +
		"the others."}
	v := visitors()
	v.Sessions = pinnedVisitors
	o.set("fleet", "%d servers on %s, to which one is added; with the cookie AWSALB and without", e.free.servers, e.free)
	o.describeLoad(v)
	table := Table{Title: "Requests of the most loaded server, as a multiple of the mean", Columns: []string{
		"", "before", "after a server was added", "share of the added server, relative to an equal share"}}
	type spreads struct{ before, after, share float64 }
	var found []spreads
	for _, s := range []setup{e.pinned, e.free} {
		run := "not sticky"
		if s.sticky {
			run = "sticky"
		}
		env, err := runner.open(ctx, s)
		if err != nil {
			return o, err
		}
		defer env.Close()
		runner.Report("adding a server under load")
		var before, after counts
		var names []string
		r, err := env.runUnderLoad(ctx, v, func(ctx context.Context) (err error) {
			if before, err = env.watch(ctx); err != nil {
				return err
			}
			if names, err = env.add(ctx, 1); err != nil {
				return err
			}
			after, err = env.watch(ctx)
			return err
		})
		if err != nil {
			return o, err
		}
		if err := env.Close(); err != nil {
			return o, err
		}
		o.timeline(run, r)
		o.drawServers(e.Name()+"-"+map[bool]string{true: "sticky", false: "free"}[s.sticky], run, r)
		f := spreads{before.spread(), after.spread(), after.share(names)}
		table.Rows = append(table.Rows, []any{run, f.before, f.after, f.share})
		found = append(found, f)
	}
	pinned, free := found[0], found[1]
	o.assertAtMost("max/mean without stickiness, before", free.before, maxEvenSpread)
	o.assertAtMost("max/mean without stickiness, after", free.after, maxEvenSpread)
	o.assertAtLeast("max/mean, before: with stickiness minus without", pinned.before-free.before, 0)
	o.assertAtLeast("max/mean with stickiness, after", pinned.after, minUnevenSpread)
	o.assertAtLeast("max/mean with stickiness: after minus before", pinned.after-pinned.before, 0)
	o.assertAtMost("share of the added server with stickiness, relative to an equal share", pinned.share, 1-minFairShare)
	o.assertAtLeast("share of the added server without stickiness, relative to an equal share", free.share, minFairShare)
	o.Tables = append(o.Tables, table)
	return o, nil
}

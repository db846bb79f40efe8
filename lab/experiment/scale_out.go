package experiment

import (
	"context"
	"strings"

	"stateless-servers/app/config"
)

// scaleOut adds servers under load.
type scaleOut struct{ setup setup }

func newScaleOut() scaleOut { return scaleOut{setup{store: config.StoreValkey, servers: 2}} }

func (scaleOut) Name() string { return "scale-out" }

func (scaleOut) Claim() string {
	return "Servers that are added under load take their share at once, because no visitor is tied to an old server. " +
		"No request fails."
}

const (
	addedServers = 2
	minFairShare = 0.8 // of a fair share
)

func (e scaleOut) Run(ctx context.Context, runner *Runner) (Observation, error) {
	o := Observation{Advice: "Scale out on load. New servers relieve the others within seconds."}
	v := visitors()
	o.set("fleet", "%d servers on %s, to which %d are added", e.setup.servers, e.setup, addedServers)
	o.describeLoad(v)
	env, err := runner.open(ctx, e.setup)
	if err != nil {
		return o, err
	}
	defer env.Close()
	runner.Report("adding servers under load")
	var names []string
	var last counts
	r, err := env.runUnderLoad(ctx, v, func(ctx context.Context) (err error) {
		if names, err = env.add(ctx, addedServers); err != nil {
			return err
		}
		last, err = env.watch(ctx)
		return err
	})
	if err != nil {
		return o, err
	}
	o.timeline("scaling out", r)
	o.assertAtLeast("share of "+strings.Join(names, " and ")+" of the requests after they were added, relative to an equal share",
		last.share(names), minFairShare)
	o.assertNoImpact("", r)
	o.addLoadTable(r)
	o.drawServers(e.Name(), "", r)
	return o, nil
}

package experiment

import (
	"context"

	"stateless-servers/app/config"
)

// rollingDeploy replaces every server under load.
type rollingDeploy struct{ setup setup }

func newRollingDeploy() rollingDeploy {
	return rollingDeploy{setup{store: config.StoreValkey, servers: 3}}
}

func (rollingDeploy) Name() string { return "rolling-deploy" }

func (rollingDeploy) Claim() string {
	return "With sessions in a shared store, every server can be replaced under load: no request fails, and no " +
		"session is lost."
}

func (e rollingDeploy) Run(ctx context.Context, runner *Runner) (Observation, error) {
	o := Observation{Advice: "You can deploy at any time. A new server must get requests only when it is healthy. An " +
		"old server must be deregistered before it ends, and finish its requests."}
	v := visitors()
	o.set("fleet", "%d servers on %s, each replaced by a new one, one after the other", e.setup.servers, e.setup)
	o.describeLoad(v)
	env, err := runner.open(ctx, e.setup)
	if err != nil {
		return o, err
	}
	defer env.Close()
	runner.Report("replacing every server under load")
	var added []string
	var last counts
	r, err := env.runUnderLoad(ctx, v, func(ctx context.Context) error {
		for _, old := range env.fleet.Servers() {
			names, err := env.add(ctx, 1)
			if err != nil {
				return err
			}
			added = append(added, names...)
			if err := env.remove(ctx, old.Name); err != nil {
				return err
			}
			if err := pause(ctx, runner.Phase/2); err != nil { // with old servers and new ones side by side
				return err
			}
		}
		last, err = env.watch(ctx)
		return err
	})
	if err != nil {
		return o, err
	}
	o.timeline("deployment", r)
	o.assertAtLeast("servers replaced", float64(len(added)), float64(e.setup.servers))
	o.assertAtLeast("requests that the new servers answered alone, at the end", float64(last.sum()), 1)
	o.assertAtMost("old servers left", float64(len(last)-len(added)), 0)
	o.assertNoImpact("", r)
	o.addLoadTable(r)
	o.drawServers(e.Name(), "", r)
	return o, nil
}

package experiment

import (
	"context"
	"strings"

	"stateless-servers/app/config"
)

// scaleIn drains servers under load, with slow requests in flight.
type scaleIn struct{ setup setup }

func newScaleIn() scaleIn { return scaleIn{setup{store: config.StoreValkey, servers: 4}} }

func (scaleIn) Name() string { return "scale-in" }

func (scaleIn) Claim() string {
	return "Servers can be removed under load: they finish their requests, no request fails, and no session is lost."
}

const (
	drainedServers = 2
	slowCount      = 16 // requests in flight over all servers
)

func (e scaleIn) Run(ctx context.Context, runner *Runner) (Observation, error) {
	o := Observation{Advice: "Scale in when the load is gone. The deregistration delay must be longer than the " +
		"slowest request, and the server must run until it has responded."}
	v := visitors()
	o.set("fleet", "%d servers on %s, of which %d are taken out", e.setup.servers, e.setup, drainedServers)
	o.set("in flight", "%d requests that take %v each, besides the visitors'", slowCount, slowRequests)
	o.describeLoad(v)
	env, err := runner.open(ctx, e.setup)
	if err != nil {
		return o, err
	}
	defer env.Close()
	runner.Report("draining servers under load")
	var drained []string
	var slow []response
	r, err := env.runUnderLoad(ctx, v, func(ctx context.Context) error {
		wait := env.startSlowRequests(ctx, slowCount, slowRequests)
		if err := pause(ctx, slowRequests/4); err != nil { // they have reached the servers
			return err
		}
		for _, server := range env.fleet.Servers()[:drainedServers] {
			drained = append(drained, server.Name)
			if err := env.remove(ctx, server.Name); err != nil {
				return err
			}
		}
		slow = wait()
		return pause(ctx, runner.Phase)
	})
	if err != nil {
		return o, err
	}
	o.timeline("scaling in", r)
	ok, theirs := answered(slow, drained...)
	o.assertAtLeast("slow requests answered, of "+cell(slowCount), float64(ok), slowCount)
	o.assertAtLeast("of these, by "+strings.Join(drained, " or "), float64(theirs), 1)
	o.assertNoImpact("", r)
	o.addLoadTable(r)
	o.drawServers(e.Name(), "", r)
	return o, nil
}

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
	return "Servers can be taken out under load: what they have begun is finished, no request fails, and no " +
		"session is lost."
}

const (
	drainedServers = 2
	slowOnes       = 16 // requests in flight over all servers
)

func (e scaleIn) Run(ctx context.Context, lab *Lab) (Observation, error) {
	o := Observation{Advice: "Scale in when the load is gone. The deregistration delay must be longer than the " +
		"slowest request, and the server must go on until it has answered."}
	v := visitors()
	o.set("fleet", "%d servers on %s, of which %d are taken out", e.setup.servers, e.setup, drainedServers)
	o.set("in flight", "%d requests that take %v each, besides the visitors'", slowOnes, slowRequests)
	o.describe(v)
	scene, err := lab.open(ctx, e.setup)
	if err != nil {
		return o, err
	}
	defer scene.Close()
	lab.Report("draining servers under load")
	var drained []string
	var slow []reply
	r, err := scene.under(ctx, v, func(ctx context.Context) error {
		wait := scene.slow(ctx, slowOnes, slowRequests)
		if err := pause(ctx, slowRequests/4); err != nil { // they have reached the servers
			return err
		}
		for _, server := range scene.fleet.Servers()[:drainedServers] {
			drained = append(drained, server.Name)
			if err := scene.remove(ctx, server.Name); err != nil {
				return err
			}
		}
		slow = wait()
		return pause(ctx, lab.Phase)
	})
	if err != nil {
		return o, err
	}
	o.timeline("scaling in", r)
	ok, theirs := answered(slow, drained...)
	o.atLeast("slow requests answered, of "+cell(slowOnes), float64(ok), slowOnes)
	o.atLeast("of these, by "+strings.Join(drained, " or "), float64(theirs), 1)
	o.unnoticed("", r)
	o.figures(r)
	o.servers(e.Name(), "", r)
	return o, nil
}

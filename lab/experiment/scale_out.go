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
	return "Servers that are added under load take their share at once, for no visitor is tied to an old one; " +
		"nobody notices."
}

const (
	addedServers = 2
	fairEnough   = 0.8 // of a fair share
)

func (e scaleOut) Run(ctx context.Context, lab *Lab) (Observation, error) {
	o := Observation{Advice: "Scale out on load: capacity that is added relieves the others within seconds."}
	v := visitors()
	o.set("fleet", "%d servers on %s, to which %d are added", e.setup.servers, e.setup, addedServers)
	o.describe(v)
	scene, err := lab.open(ctx, e.setup)
	if err != nil {
		return o, err
	}
	defer scene.Close()
	lab.Report("adding servers under load")
	var names []string
	var last counted
	r, err := scene.under(ctx, v, func(ctx context.Context) (err error) {
		if names, err = scene.add(ctx, addedServers); err != nil {
			return err
		}
		last, err = scene.watch(ctx)
		return err
	})
	if err != nil {
		return o, err
	}
	o.timeline("scaling out", r)
	o.atLeast("share of "+strings.Join(names, " and ")+" in the requests after they were added, as a multiple of a fair one",
		last.share(names), fairEnough)
	o.unnoticed("", r)
	o.figures(r)
	o.servers(e.Name(), "", r)
	return o, nil
}

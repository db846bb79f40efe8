package experiment

import (
	"context"
	"errors"

	"stateless-servers/app/config"
	"stateless-servers/lab/load"
	"stateless-servers/session/sessiontest/storeserver"
)

// cacheLoss ends the cache node under load: one that is alone, and one that has a replica.
type cacheLoss struct {
	alone      []setup // the node starts again, empty
	replicated setup   // its replica takes over
}

func newCacheLoss() cacheLoss {
	return cacheLoss{
		alone: []setup{
			{store: config.StoreMemcached, servers: 2, link: true}, {store: config.StoreValkey, servers: 2, link: true},
		},
		replicated: setup{store: config.StoreValkey, servers: 2, link: true},
	}
}

func (cacheLoss) Name() string { return "cache-loss" }

func (cacheLoss) Claim() string {
	return "A cache node that is alone takes every session with it when it restarts. With a replica that takes " +
		"over, the sessions stay, but updates that were acknowledged and not copied yet are lost."
}

// keepers are visitors who stay: none logs in or out, so that every session that is lost was lost by the cache.
func keepers() load.Options {
	v := visitors()
	v.Mix, _ = load.ParseMix("read=50,write=30,cart=20")
	return v
}

func (e cacheLoss) Run(ctx context.Context, lab *Lab) (Observation, error) {
	o := Observation{Advice: "A cache without a replica is for sessions that may be lost. With one, a failover " +
		"costs seconds and the last updates; a store that writes to disk in several zones before it acknowledges " +
		"costs neither."}
	v := keepers()
	o.set("fleet", "%d servers", e.replicated.servers)
	o.describe(v)
	o.set("failover", "the replica is promoted and the servers' address leads to it, as ElastiCache does; once "+
		"with a replica that is up to date, once with one that lost touch with its primary %v before", lab.Phase)
	table := Table{Title: "What the loss of a node cost", Columns: []string{
		"cache", "requests", "failed", "sessions", "sessions lost", "updates lost", "stale reads"}}
	note := func(run string, r load.Result) {
		c := r.Sessions
		table.Rows = append(table.Rows, []any{run, r.Requests, r.Requests - r.OK, c.Total, c.Lost, c.LostUpdates, c.StaleReads})
		o.timeline(run, r)
	}
	for _, s := range e.alone {
		run := s.String() + ", alone"
		r, err := e.restart(ctx, lab, s)
		if err != nil {
			return o, err
		}
		note(run, r)
		o.atLeast("sessions lost with "+run+", of "+cell(v.Sessions), float64(r.Sessions.Lost), float64(v.Sessions))
	}
	for _, lag := range []bool{false, true} {
		run := e.replicated.String() + " with a replica"
		if lag {
			run += " that lags"
		}
		r, err := e.failOver(ctx, lab, lag)
		if err != nil {
			return o, err
		}
		note(run, r)
		o.atLeast("sessions followed with "+run, float64(r.Sessions.Total), float64(v.Sessions))
		o.atMost("sessions lost with "+run, float64(r.Sessions.Lost), 0)
		if lag {
			o.atLeast("updates lost with "+run, float64(r.Sessions.LostUpdates), 1)
		}
	}
	o.Tables = append(o.Tables, table)
	return o, nil
}

func (cacheLoss) restart(ctx context.Context, lab *Lab, s setup) (load.Result, error) {
	scene, err := lab.open(ctx, s)
	if err != nil {
		return load.Result{}, err
	}
	defer scene.Close()
	lab.Report("restarting the node under load")
	return scene.under(ctx, keepers(), func(ctx context.Context) error {
		scene.happened("the node restarts")
		scene.link.Refuse()
		err := scene.store.Server.Restart(ctx)
		if err = errors.Join(err, scene.link.Accept()); err != nil {
			return err
		}
		scene.happened("the node is back, empty")
		return pause(ctx, lab.Phase)
	})
}

func (e cacheLoss) failOver(ctx context.Context, lab *Lab, lag bool) (load.Result, error) {
	scene, err := lab.open(ctx, e.replicated)
	if err != nil {
		return load.Result{}, err
	}
	defer scene.Close()
	replica, err := storeserver.ValkeyReplica(ctx, scene.store.Server)
	if err != nil {
		return load.Result{}, err
	}
	defer replica.Close()
	lab.Report("failing over under load")
	return scene.under(ctx, keepers(), func(ctx context.Context) error {
		if lag {
			scene.happened("the replica loses touch with its primary, which goes on")
			if err := storeserver.Promote(ctx, replica); err != nil {
				return err
			}
			if err := pause(ctx, lab.Phase); err != nil {
				return err
			}
		}
		scene.happened("the primary ends")
		if err := scene.store.Server.Kill(); err != nil {
			return err
		}
		if err := storeserver.Promote(ctx, replica); err != nil {
			return err
		}
		scene.link.SetTarget(replica.Addr)
		scene.link.CloseConnections()
		scene.happened("the replica has taken over")
		return pause(ctx, lab.Phase)
	})
}

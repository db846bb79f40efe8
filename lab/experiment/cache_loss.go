package experiment

import (
	"context"
	"errors"

	"stateless-servers/app/config"
	"stateless-servers/lab/load"
	"stateless-servers/session/sessiontest/storeserver"
)

// cacheLoss ends the cache node under load: a single node, and one with a replica.
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
	return "A restart of a cache node without a replica loses every session. With a replica that takes over, the " +
		"sessions stay, but updates that were acknowledged and not copied yet are lost."
}

// stayingVisitors returns a load without logins and logouts, so that only the cache can lose a session.
func stayingVisitors() load.Options {
	v := visitors()
	v.Mix, _ = load.ParseMix("read=50,write=30,cart=20")
	return v
}

func (e cacheLoss) Run(ctx context.Context, runner *Runner) (Observation, error) {
	o := Observation{Advice: "Use a cache without a replica only for sessions that may be lost. With a replica, a " +
		"failover costs seconds and the last updates. A store that writes to disk in several zones before it " +
		"acknowledges loses neither."}
	v := stayingVisitors()
	o.set("fleet", "%d servers", e.replicated.servers)
	o.describeLoad(v)
	o.set("failover", "the replica is promoted and the servers' address leads to it, as ElastiCache does; once "+
		"with a replica that is up to date, once with one that lost touch with its primary %v before", runner.Phase)
	table := Table{Title: "Effect of the loss of a node", Columns: []string{
		"cache", "requests", "failed", "sessions", "sessions lost", "updates lost", "stale reads"}}
	note := func(run string, r load.Result) {
		c := r.Sessions
		table.Rows = append(table.Rows, []any{run, r.Requests, r.Requests - r.OK, c.Total, c.Lost, c.LostUpdates, c.StaleReads})
		o.timeline(run, r)
	}
	for _, s := range e.alone {
		run := s.String() + ", alone"
		r, err := e.restart(ctx, runner, s)
		if err != nil {
			return o, err
		}
		note(run, r)
		o.assertAtLeast("sessions lost with "+run+", of "+cell(v.Sessions), float64(r.Sessions.Lost), float64(v.Sessions))
	}
	for _, lag := range []bool{false, true} {
		run := e.replicated.String() + " with a replica"
		if lag {
			run += " that lags"
		}
		r, err := e.failOver(ctx, runner, lag)
		if err != nil {
			return o, err
		}
		note(run, r)
		o.assertAtLeast("sessions checked with "+run, float64(r.Sessions.Total), float64(v.Sessions))
		o.assertAtMost("sessions lost with "+run, float64(r.Sessions.Lost), 0)
		if lag {
			o.assertAtLeast("updates lost with "+run, float64(r.Sessions.LostUpdates), 1)
		}
	}
	o.Tables = append(o.Tables, table)
	return o, nil
}

func (cacheLoss) restart(ctx context.Context, runner *Runner, s setup) (load.Result, error) {
	env, err := runner.open(ctx, s)
	if err != nil {
		return load.Result{}, err
	}
	defer env.Close()
	runner.Report("restarting the node under load")
	return env.runUnderLoad(ctx, stayingVisitors(), func(ctx context.Context) error {
		env.addEvent("the node restarts")
		env.link.Refuse()
		err := env.store.Server.Restart(ctx)
		if err = errors.Join(err, env.link.Accept()); err != nil {
			return err
		}
		env.addEvent("the node is back, empty")
		return pause(ctx, runner.Phase)
	})
}

func (e cacheLoss) failOver(ctx context.Context, runner *Runner, lag bool) (load.Result, error) {
	env, err := runner.open(ctx, e.replicated)
	if err != nil {
		return load.Result{}, err
	}
	defer env.Close()
	replica, err := storeserver.ValkeyReplica(ctx, env.store.Server)
	if err != nil {
		return load.Result{}, err
	}
	defer replica.Close()
	runner.Report("failing over under load")
	return env.runUnderLoad(ctx, stayingVisitors(), func(ctx context.Context) error {
		if lag {
			// The replica has every session that began before it loses touch.
			if err := storeserver.AwaitReplica(ctx, env.store.Server); err != nil {
				return err
			}
			env.addEvent("the replica loses touch with its primary, which goes on")
			if err := storeserver.Promote(ctx, replica); err != nil {
				return err
			}
			if err := pause(ctx, runner.Phase); err != nil {
				return err
			}
		}
		env.addEvent("the primary ends")
		if err := env.store.Server.Kill(); err != nil {
			return err
		}
		if err := storeserver.Promote(ctx, replica); err != nil {
			return err
		}
		env.link.SetTarget(replica.Addr)
		env.link.CloseConnections()
		env.addEvent("the replica has taken over")
		return pause(ctx, runner.Phase)
	})
}

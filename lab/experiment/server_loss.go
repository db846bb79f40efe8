package experiment

import (
	"context"

	"stateless-servers/app/config"
	"stateless-servers/lab/balancer"
	"stateless-servers/lab/load"
)

// serverLoss kills a server under load, with sessions in the servers' memory and in shared stores.
type serverLoss struct {
	pinned setup   // sessions in the servers' memory
	shared []setup // sessions in a store
}

func newServerLoss() serverLoss {
	e := serverLoss{pinned: setup{store: config.StoreMemory, sticky: true, servers: 3}}
	for _, kind := range sharedStores() {
		e.shared = append(e.shared, setup{store: kind, servers: 3})
	}
	return e
}

// sharedStores returns the stores that all servers share.
func sharedStores() []config.StoreKind {
	return []config.StoreKind{config.StoreValkey, config.StoreMemcached, config.StoreDynamoDB, config.StorePostgres}
}

func (serverLoss) Name() string { return "server-loss" }

func (serverLoss) Claim() string {
	return "A server that dies loses the sessions in its memory, even with sticky sessions. With a store that all " +
		"servers share, no session and no update is lost."
}

func (e serverLoss) Run(ctx context.Context, runner *Runner) (Observation, error) {
	o := Observation{Advice: "Keep sessions in a store that all servers share. Then the load balancer needs no sticky " +
		"sessions, and a dead server costs visitors only the requests in flight."}
	o.set("fleet", "%d servers, one of which is killed (SIGKILL) under load", e.pinned.servers)
	o.describeLoad(visitors())
	o.set("health checks", "every %v; two that fail make a server unhealthy", healthInterval)
	table := Table{Title: "Effect of a killed server", Columns: []string{
		"sessions in", "requests", "failed", "sessions", "lost before the kill", "lost after the kill", "updates lost",
		"other violations"}}
	for i, s := range append([]setup{e.pinned}, e.shared...) {
		r, before, err := e.lose(ctx, runner, s)
		if err != nil {
			return o, err
		}
		c := r.Sessions
		others := c.Violations() - c.Lost - c.LostUpdates
		table.Rows = append(table.Rows, []any{
			s.String(), r.Requests, r.Requests - r.OK, c.Total, before, c.Lost - before, c.LostUpdates, others,
		})
		o.timeline(s.String(), r)
		if i <= 1 { // one of each kind is enough to look at
			o.drawServers(e.Name()+"-"+string(s.store), s.String(), r)
		}
		if i == 0 {
			o.assertAtLeast("sessions lost after the kill with "+s.String(), float64(c.Lost-before), 1)
			continue
		}
		o.assertAtLeast("sessions checked with "+s.String(), float64(c.Total), 1)
		o.assertAtMost("consistency violations with "+s.String(), float64(c.Violations()), 0)
	}
	o.Tables = append(o.Tables, table)
	return o, nil
}

// lose kills a server, and returns the result and the number of sessions lost before. Some may be lost before, because a
// visitor's first requests are sent at once, and the server with the session isn't always the one the visitor is pinned to.
func (serverLoss) lose(ctx context.Context, runner *Runner, s setup) (r load.Result, before int64, err error) {
	env, err := runner.open(ctx, s)
	if err != nil {
		return r, 0, err
	}
	defer env.Close()
	const victim = "server-1"
	runner.Report("killing " + victim + " under load")
	r, err = env.runUnderLoad(ctx, visitors(), func(ctx context.Context) error {
		before = env.latestCounts().Lost
		env.addEvent("kill -9 " + victim)
		if err := env.fleet.Kill(victim); err != nil {
			return err
		}
		if err := env.fleet.Balancer().Await(ctx, victim, balancer.StateUnhealthy); err != nil {
			return err
		}
		return pause(ctx, runner.Phase)
	})
	return r, before, err
}

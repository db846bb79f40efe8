package experiment

import (
	"context"
	"errors"
	"path/filepath"

	"stateless-servers/app/config"
	"stateless-servers/lab/contract"
	"stateless-servers/lab/explore"
	"stateless-servers/lab/fleet"
	"stateless-servers/lab/localstore"
	"stateless-servers/session/sessiontest/storeserver"
)

// The session libraries to compare, both on Valkey. The server with scs is in peers/scs.
const (
	ownLibrary = "this library"
	scsLibrary = "scs" // its folder in peers
)

// race runs every order of the store calls of two requests of one session, on servers with a library, and returns what was
// found. The scenario names the requests, such as "visits + logout".
func (r *Runner) race(ctx context.Context, library, scenario string) (s explore.Scenario, err error) {
	if _, err := storeserver.ValkeyProgram(); err != nil {
		return s, err // orders on the embedded server prove nothing
	}
	c := config.Default()
	c.PlainHTTP, c.ShutdownDelay, c.StoreTimeout = true, 0, storeTimeout
	store, err := localstore.Start(ctx, config.StoreValkey, "", &c, r.Report)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	r.addVersion(store.Server.Version())
	r.Report("running every order of " + scenario + " with " + library)
	target, err := r.target(ctx, library, c)
	if err != nil {
		return s, err
	}
	list, err := explore.Explore(ctx, target, explore.Options{
		Requests: 2, Only: scenario, MaxOrders: explore.DefaultMax, Parallel: 1,
	})
	if err != nil {
		return s, err
	}
	return list[0], nil
}

// target returns the server with a library as a target.
func (r *Runner) target(ctx context.Context, library string, c config.Config) (explore.Target, error) {
	if library == ownLibrary {
		program, err := r.Build(ctx)
		if err != nil {
			return explore.Target{}, err
		}
		return explore.Sample(program, c)
	}
	root, err := fleet.ModuleRoot()
	if err != nil {
		return explore.Target{}, err
	}
	file, err := explore.ReadFile(filepath.Join(root, "peers", library, "scenario.yaml"))
	if err != nil {
		return explore.Target{}, err
	}
	if err := file.Prepare(ctx); err != nil {
		return explore.Target{}, err
	}
	return file.Target(contract.StoreURL(c))
}

// raceTable compares this library with another one in a scenario. broken is the heading of the column of orders that break a
// promise.
func (r *Runner) raceTable(ctx context.Context, o *Observation, own, other, scenario, broken string) error {
	table := Table{Title: "Orders of the store calls of " + scenario, Columns: []string{"library", "orders", broken, "simplest such order"}}
	for i, library := range []string{own, other} {
		s, err := r.race(ctx, library, scenario)
		if err != nil {
			return err
		}
		name, simplest := []string{ownLibrary, scsLibrary}[i], "none"
		if s.Shortest != nil {
			simplest = s.Shortest.Schedule
		}
		table.Rows = append(table.Rows, []any{name, s.Orders.Explored, s.Orders.Broken, simplest})
		o.assertAtLeast("orders run with "+name, float64(s.Orders.Explored), 2)
		if i == 0 {
			o.assertAtMost(broken+" with "+name, float64(s.Orders.Broken), 0)
		} else {
			o.assertAtLeast(broken+" with "+name, float64(s.Orders.Broken), 1)
		}
	}
	o.Tables = append(o.Tables, table)
	return nil
}

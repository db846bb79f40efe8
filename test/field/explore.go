package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/contract"
	"stateless-servers/lab/explore"
	"stateless-servers/lab/fleet"
	"stateless-servers/lab/localstore"
)

// explore builds the row's application, starts its store, and explores every order and every failure, and a store that hangs. It
// also measures the CPU time of a request.
func (r row) explore(ctx context.Context, root string, out io.Writer) (res result, err error) {
	kind := r.store
	var file explore.File
	if r.file != "" {
		if file, err = explore.ReadFile(filepath.Join(root, "peers", r.file)); err != nil {
			return res, err
		}
		if err = file.Prepare(ctx); err != nil {
			return res, err
		}
		kind = file.Store
	}
	c := config.Default()
	c.PlainHTTP, c.ShutdownDelay = true, 0
	store, err := localstore.Start(ctx, kind, "", &c, func(string) {})
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	target, err := r.target(ctx, file, c)
	if err != nil {
		return res, err
	}
	res.Server, res.Store = target.Name, string(kind)
	began := time.Now()
	o := explore.Options{Requests: 2, MaxOrders: r.orders, MaxFaults: r.faults, Parallel: r.parallel}
	o.Progress = func(p explore.Progress) {
		if p.Ended != nil {
			fmt.Fprintf(out, "%s, ", p.Scenario)
		}
	}
	if r.alone {
		o.Requests = 1
		if res.Scenarios, err = explore.Explore(ctx, target, o); err != nil {
			return res, err
		}
		o.Requests, o.MaxFaults = 2, 0
	}
	scenarios, err := explore.Explore(ctx, target, o)
	if err != nil {
		return res, err
	}
	res.Scenarios = append(res.Scenarios, scenarios...)
	res.Seconds = math.Round(time.Since(began).Seconds())
	if res.Hanging, err = explore.Hang(ctx, target); err != nil {
		return res, fmt.Errorf("while the store hangs: %w", err)
	}
	res.CPU, err = measureCPU(ctx, target)
	return res, err
}

func (r row) target(ctx context.Context, file explore.File, c config.Config) (explore.Target, error) {
	if r.file != "" {
		return file.Target(contract.StoreURL(c))
	}
	program, err := fleet.Build(ctx)
	if err != nil {
		return explore.Target{}, err
	}
	t, err := explore.Sample(program, c)
	t.Name = "this library"
	return t, err
}

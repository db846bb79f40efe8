package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"stateless-servers/session/sessiontest/storeserver"
)

// A Turn is one measurement of a variant's route.
type Turn struct {
	CPU       float64 // microseconds of the server's CPU time a request
	PerSecond float64 // requests
	Mallocs   float64 // heap objects a request
}

// turns is how many times a round goes over all variants. A machine's speed changes within seconds; what is compared is
// measured within fractions of one.
const turns = 10

// plan says how to measure.
type plan struct {
	rounds, requests, warmUp, visitors int

	variants []variant
	profiles string // folder; empty: no profiles
	progress func(format string, args ...any)
}

// measurements are the turns of each variant's routes, of all rounds.
type measurements map[string]map[string][]Turn

// measure runs rounds. In each, every variant has a new server process, and they take turns on the first CPU; load and
// store share the others.
func measure(ctx context.Context, p plan) (measurements, error) {
	available, err := cpus()
	if err != nil {
		return nil, err
	}
	if len(available) < 2 {
		return nil, fmt.Errorf("this machine lets the benchmark run on CPU %v: it needs two, "+
			"one for the server and one for load and store", available)
	}
	if err := pin(available[1:]...); err != nil {
		return nil, err
	}
	runtime.GOMAXPROCS(len(available) - 1)
	store, err := storeserver.Valkey(ctx) // inherits the CPUs
	if err != nil {
		return nil, err
	}
	defer store.Close()
	stub, err := startDynamoDBStub()
	if err != nil {
		return nil, err
	}
	defer stub.Close()

	stores := map[string]string{storeValkey: store.Addr, storeDynamoDB: stub.endpoint}
	results := measurements{}
	for round := range p.rounds {
		if err := p.measureRound(ctx, round, available[0], stores, results); err != nil {
			return nil, fmt.Errorf("round %d: %w", round+1, err)
		}
	}
	return results, nil
}

// measureRound adds one round of every variant and route to the results.
func (p plan) measureRound(ctx context.Context, round, cpu int, stores map[string]string, results measurements) error {
	p.progress("round %d of %d: starting the servers", round+1, p.rounds)
	var all []*contestant
	defer func() {
		for _, c := range all {
			c.close()
		}
	}()
	for _, route := range []string{routeUntouched, routeRead, routeWrite} {
		for _, v := range p.variants {
			if !slices.Contains(v.Routes, route) {
				continue
			}
			c, err := p.newContestant(ctx, v, route, stores[v.Store], cpu, round)
			if err != nil {
				return fmt.Errorf("start %s: %w", v.Name, err)
			}
			all = append(all, c)
		}
	}
	for turn := range turns {
		p.progress("round %d of %d, turn %d of %d", round+1, p.rounds, turn+1, turns)
		for i := range all {
			// Others go first in every turn, and every other turn is in reverse: what comes after something expensive
			// is measured a few percent apart.
			c := all[(i+turn)%len(all)]
			if turn%2 == 1 {
				c = all[len(all)-1-(i+turn)%len(all)]
			}
			measured, err := c.take(ctx, p.requests/turns/p.visitors)
			if err != nil {
				return fmt.Errorf("measure %s: %w", c.Name, err)
			}
			if results[c.Name] == nil {
				results[c.Name] = map[string][]Turn{}
			}
			results[c.Name][c.route] = append(results[c.Name][c.route], measured)
		}
	}
	for _, c := range all {
		if err := c.server.stop(); err != nil {
			return err
		}
	}
	return nil
}

// A contestant is a variant with a server for one route, and visitors, for one round. A server that has served other
// routes is a few percent slower on each.
type contestant struct {
	variant
	route    string
	server   *server
	visitors crowd
}

func (p plan) newContestant(ctx context.Context, v variant, route, store string, cpu, round int) (*contestant, error) {
	profile := ""
	if p.profiles != "" {
		profile = filepath.Join(p.profiles, fmt.Sprintf("%s-%s-%d.pprof", v.Name, route, round+1))
	}
	server, err := startServer(v, store, cpu, profile)
	if err != nil {
		return nil, err
	}
	c := &contestant{variant: v, route: route, server: server}
	if c.visitors, err = newCrowd(ctx, server.addr, p.visitors); err != nil {
		c.close()
		return nil, err
	}
	if _, err := c.visitors.send(route, p.warmUp/p.visitors); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *contestant) close() {
	c.visitors.Close()
	c.server.Kill()
}

// take measures one turn, in which each visitor sends so many requests.
func (c *contestant) take(ctx context.Context, each int) (Turn, error) {
	before, err := c.server.collect(ctx)
	if err != nil {
		return Turn{}, err
	}
	took, err := c.visitors.send(c.route, each)
	if err != nil {
		return Turn{}, err
	}
	after, err := c.server.usage(ctx)
	if err != nil {
		return Turn{}, err
	}
	n := float64(each * len(c.visitors))
	return Turn{
		CPU:       float64(after.CPU-before.CPU) / float64(time.Microsecond) / n,
		PerSecond: n / took.Seconds(),
		Mallocs:   float64(after.Mallocs-before.Mallocs) / n,
	}, nil
}

// medianOf is the median over the turns.
func medianOf(turns []Turn, value func(Turn) float64) float64 {
	values := make([]float64, len(turns))
	for i, turn := range turns {
		values[i] = value(turn)
	}
	return median(values)
}

// ratio is the median over the turns of the CPU time as a multiple of a base's in the same turn; 0 without a base.
func ratio(turns, base []Turn) float64 {
	var ratios []float64
	for i := range min(len(turns), len(base)) {
		ratios = append(ratios, turns[i].CPU/base[i].CPU)
	}
	return median(ratios)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Command bench measures the cost of sessions to a server: CPU time, allocations, store calls and bytes per request. It compares
// this repository's library with bare store calls and with other libraries, in one run on one machine. It prints Markdown
// tables; docs/benchmarks.md explains them. Start reading at variants in
// library.go.
//
// The command is a module of its own, so that the other libraries are no dependency of the rest of the repository.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"testing"

	store "stateless-servers/session/dynamodb"
	"stateless-servers/session/sessiontest/storeserver"
)

const help = `Measure the cost of sessions to a server, in one run on one machine.

  go run .                 everything, about 4 minutes; prints Markdown
  go run . -variants none,bare-valkey,own-valkey -turns 5 -requests 2000
  go test -bench Request/own-valkey -count 10     for benchstat

Compare ratios of one run. Times depend on the machine, and a busy machine makes them noisy.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 3 && args[0] == "serve" {
		return serve(args[1], args[2])
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, help)
		flags.PrintDefaults()
	}
	turns := flags.Int("turns", 8, "number of turns; in each, every route of every variant is measured once")
	requests := flags.Int("requests", 2000, "requests to a route in a turn")
	names := flags.String("variants", "", "comma-separated variants to compare; default all")
	data := flags.String("json", "", "file to write the report to as JSON; default none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *turns < 1 || *requests < mostClients {
		return fmt.Errorf("-turns %d -requests %d %q: allowed are turns from 1, requests from %d, and no arguments",
			*turns, *requests, flags.Args(), mostClients)
	}
	compared := variants()
	if *names != "" {
		compared = nil
		for _, name := range strings.Split(*names, ",") {
			v, err := variantNamed(name)
			if err != nil {
				return err
			}
			compared = append(compared, v)
		}
	}
	progress := func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }

	s, stop, err := startStores(ctx, compared, progress)
	if err != nil {
		return err
	}
	defer stop()
	r := newReport(*turns, *requests)
	if err := r.cost(ctx, compared, s, progress); err != nil {
		return err
	}
	if *data != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err == nil {
			err = os.WriteFile(*data, append(text, '\n'), 0o644)
		}
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	_, err = io.WriteString(stdout, r.markdown())
	return err
}

// startStores starts the stores that the variants need. The caller ends them with stop.
func startStores(ctx context.Context, compared []variant, progress func(string, ...any)) (s stores, stop func(), err error) {
	s = stores{}
	var servers []*storeserver.Server
	stop = func() {
		for _, server := range servers {
			server.Close()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	for _, v := range compared {
		if v.Store == storeNone || s[v.Store] != "" {
			continue
		}
		progress("starting %s", v.Store)
		start := storeserver.Valkey
		if v.Store == storeDynamoDB {
			start = storeserver.DynamoDB
		}
		server, err := start(ctx)
		if err != nil {
			return nil, nil, err
		}
		servers = append(servers, server)
		if s[v.Store] = server.Addr; v.Store == storeDynamoDB {
			s[v.Store] = server.Endpoint
			if err := store.CreateTable(ctx, newDynamoDBClient(server.Endpoint), tableName); err != nil {
				return nil, nil, err
			}
		}
	}
	return s, stop, nil
}

// cost adds the costs of every route to the report.
func (r *Report) cost(ctx context.Context, compared []variant, s stores, progress func(string, ...any)) error {
	if s[storeDynamoDB] != "" {
		progress("counting DynamoDB request units")
		for _, u := range unitSettings() {
			if err := u.count(ctx, s[storeDynamoDB]); err != nil {
				return err
			}
			r.Units = append(r.Units, u)
		}
	}
	servers := map[string]*server{}
	progress("counting store calls")
	for _, v := range compared {
		counts, err := countCalls(ctx, v, s)
		if err != nil {
			return err
		}
		server, err := startServer(v, s)
		if err != nil {
			return err
		}
		defer server.end()
		servers[v.Name] = server
		for _, l := range v.loads() {
			r.Costs = append(r.Costs, &Cost{variant: v, load: l, Calls: counts[l.Route].calls, Bytes: counts[l.Route].bytes})
		}
	}
	testing.Init()
	if err := flag.Set("test.benchtime", fmt.Sprintf("%dx", r.Requests)); err != nil {
		return err
	}
	for turn := range r.Turns {
		progress("turn %d of %d", turn+1, r.Turns)
		for _, c := range r.Costs {
			result := testing.Benchmark(func(b *testing.B) { servers[c.Name].benchmark(b, c.load) })
			if err := ctx.Err(); err != nil {
				return err
			}
			if result.N != r.Requests {
				return fmt.Errorf("measure %s, %s: a request failed", c.Name, c.Route)
			}
			c.CPU = append(c.CPU, result.Extra[metricCPU])
			c.Mallocs = append(c.Mallocs, result.Extra[metricMallocs])
			c.Median = append(c.Median, result.Extra[metricMedian])
		}
	}
	return nil
}

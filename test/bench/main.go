// Command bench measures what sessions cost a server, and what its libraries make of requests that overlap: this
// repository's library beside bare store calls and other libraries, in one run on one machine.
//
// It is a module of its own, so that what it compares with is no dependency of the product.
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
	"slices"
	"strings"

	store "stateless-servers/session/dynamodb"
	"stateless-servers/session/sessiontest/storeserver"
)

const help = `Measure what sessions cost a server, in one run on one machine (Linux, 2 CPUs or more).

  go run .                              everything, about 5 minutes; Markdown to stdout
  go run . -correctness                 only the counts of kept updates and of logouts, 20 seconds
  go run . -variants none,bare-valkey,own-valkey -rounds 2 -requests 4000 -timing
  go run . -timing -profiles /tmp       and a CPU profile of each server: go tool pprof -top FILE

The server is a process of its own, alone on the first CPU with GOMAXPROCS=1; load and store share the others. CPU time
is the server's own (getrusage), user and system. Compare ratios, which are of one run: microseconds are the machine's.
A machine that does something else meanwhile gives noisier figures: the report says the load.

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
	if len(args) > 0 && args[0] == "serve" {
		return serve(ctx, args[1:])
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, help)
		flags.PrintDefaults()
	}
	p := plan{progress: func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }}
	flags.IntVar(&p.rounds, "rounds", 4, "rounds, each with new server processes")
	flags.IntVar(&p.requests, "requests", 20_000, "requests that are measured of a route in a round")
	flags.IntVar(&p.warmUp, "warmup", 4_000, "requests before them")
	flags.IntVar(&p.visitors, "visitors", 16, "visitors at once, each with a session and a connection")
	flags.StringVar(&p.profiles, "profiles", "", "folder for CPU profiles of the servers; profiling slows them")
	names := flags.String("variants", strings.Join(variantNames(), ","), "what to compare")
	timing := flags.Bool("timing", false, "only time and count")
	correctness := flags.Bool("correctness", false, "only count what becomes of overlapping and abandoned requests")
	markdown := flags.String("markdown", "", "file for the report; default stdout")
	data := flags.String("json", "", "file for the report as JSON, with every turn; default none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q: there are no arguments, only flags", flags.Arg(0))
	}
	for _, name := range strings.Split(*names, ",") {
		v, err := variantNamed(name)
		if err != nil {
			return err
		}
		p.variants = append(p.variants, v)
	}
	if err := p.check(); err != nil {
		return err
	}

	r := newReport(p)
	if !*timing {
		if err := r.onRealStores(ctx, p, !*correctness); err != nil {
			return err
		}
	}
	if !*correctness {
		if err := r.time(ctx, p); err != nil {
			return err
		}
	}
	r.Machine.LoadAfter = loadAverage()
	return r.write(*markdown, *data, stdout)
}

// write writes the report as Markdown, to stdout if there is no name, and as JSON, if there is one.
func (r *Report) write(markdown, data string, stdout io.Writer) error {
	page, err := r.markdown()
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if markdown == "" {
		_, err = io.WriteString(stdout, page)
	} else {
		err = os.WriteFile(markdown, []byte(page), 0o644)
	}
	if err != nil || data == "" {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return os.WriteFile(data, append(text, '\n'), 0o644)
}

func (p plan) check() error {
	for _, number := range []struct {
		flag         string
		value, least int
	}{
		{"rounds", p.rounds, 1}, {"visitors", p.visitors, 1},
		{"requests", p.requests, turns * p.visitors}, {"warmup", p.warmUp, p.visitors},
	} {
		if number.value < number.least {
			return fmt.Errorf("-%s is %d: allowed is %d or more", number.flag, number.value, number.least)
		}
	}
	return nil
}

// onRealStores fills in what is counted on a real Valkey and a real DynamoDB: those that the variants need.
func (r *Report) onRealStores(ctx context.Context, p plan, units bool) error {
	needs := func(store string) bool {
		return slices.ContainsFunc(p.variants, func(v variant) bool { return v.Lab && v.Store == store })
	}
	var valkey, dynamoDB *storeserver.Server
	if needs(storeValkey) {
		p.progress("starting Valkey")
		var err error
		if valkey, err = storeserver.Valkey(ctx); err != nil {
			return err
		}
		defer valkey.Close()
	}
	if units || needs(storeDynamoDB) {
		p.progress("starting DynamoDB Local")
		var err error
		if dynamoDB, err = storeserver.DynamoDB(ctx, storeserver.WithProgress(func(line string) { p.progress("%s", line) })); err != nil {
			return err
		}
		defer dynamoDB.Close()
		if err := store.CreateTable(ctx, newDynamoDBClient(dynamoDB.Endpoint), tableName); err != nil {
			return err
		}
	}
	if units {
		p.progress("counting DynamoDB's units")
		for bytes, pace := range unitSettings {
			u, err := countUnits(ctx, dynamoDB.Endpoint, bytes, pace)
			if err != nil {
				return err
			}
			r.Units = append(r.Units, u)
		}
	}
	for _, v := range p.variants {
		if !v.Lab {
			continue
		}
		p.progress("counting what %s keeps", v.Name)
		server := valkey
		if v.Store == storeDynamoDB {
			server = dynamoDB
		}
		kept, err := keep(ctx, v, server.Endpoint)
		if err != nil {
			return fmt.Errorf("count what %s keeps: %w", v.Name, err)
		}
		r.Kept = append(r.Kept, kept)
	}
	return nil
}

// time fills in what is measured, and the store calls that are counted for it.
func (r *Report) time(ctx context.Context, p plan) error {
	p.progress("counting store calls")
	valkey, err := storeserver.Valkey(ctx)
	if err != nil {
		return err
	}
	calls := map[string]map[string]Calls{}
	for _, v := range p.variants {
		if calls[v.Name], err = countCalls(ctx, v, valkey.Addr); err != nil {
			break
		}
	}
	if err == nil {
		r.Machine.Store, err = storeVersion(ctx, valkey.Addr)
	}
	if err := errors.Join(err, valkey.Close()); err != nil {
		return err
	}
	measured, err := measure(ctx, p)
	if err != nil {
		return err
	}
	for _, v := range p.variants {
		for _, route := range v.Routes {
			r.Timings = append(r.Timings, newTiming(v, route, measured, calls[v.Name][route]))
		}
	}
	r.Targets = r.targets()
	return nil
}

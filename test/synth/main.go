// Command synth measures how long "npx cdk synth -q" takes here, beside the stock app in the folder stock: a load
// balancer, an Auto Scaling group and a table as "cdk init" begins, on the same machine, in turn.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A sample is one synthesis.
type sample struct {
	took time.Duration
	cpu  time.Duration // of all its processes: what a busy machine changes least
}

// An app is a folder with a cdk.json.
type app struct {
	name, folder string
	keys         []string // of the context
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	rounds := flag.Int("rounds", 7, "how often each app is synthesized, after once to warm up")
	root := flag.String("root", ".", "the repository's `folder`")
	flag.Parse()
	if err := run(ctx, *root, *rounds, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "synth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root string, rounds int, stdout, stderr io.Writer) error {
	root, err := filepath.Abs(root)
	if err != nil || rounds < 1 {
		return fmt.Errorf("-root=%q -rounds=%d: allowed are a folder and a number from 1", root, rounds)
	}
	apps := []app{
		{"stock: a load balancer, a group and a table", filepath.Join(root, "test/synth/stock"), nil},
		{"ours, by default", root, nil},
		{"ours, valkey in production", root, []string{"store=valkey", "stage=production"}},
	}
	times := make([][]sample, len(apps))
	for round := range rounds + 1 { // the first one compiles and fills caches
		for i, a := range apps {
			fmt.Fprintf(stderr, "round %d of %d: %s\n", round, rounds, a.name)
			took, err := a.synthesize(ctx, filepath.Join(root, "node_modules/.bin/cdk"))
			if err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			if round > 0 {
				times[i] = append(times[i], took)
			}
		}
	}
	fmt.Fprint(stdout, report(apps, times))
	return nil
}

func (a app) synthesize(ctx context.Context, cdk string) (sample, error) {
	out, err := os.MkdirTemp("", "synth")
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(out)
	arguments := []string{"synth", "--quiet", "--output", out}
	for _, key := range a.keys {
		arguments = append(arguments, "--context", key)
	}
	command := exec.CommandContext(ctx, cdk, arguments...) // #nosec G204 -- the programs of this repository
	command.Dir = a.folder
	start := time.Now()
	if said, err := command.CombinedOutput(); err != nil {
		return sample{}, fmt.Errorf("%w\n%s", err, said)
	}
	state := command.ProcessState
	return sample{time.Since(start), state.UserTime() + state.SystemTime()}, nil
}

// report is a table of medians, and of how they compare with those of the first app.
func report(apps []app, samples [][]sample) string {
	var text strings.Builder
	fmt.Fprintf(&text, "| warm `npx cdk synth -q`, %d times in turn | median (s) | fastest | slowest | of the stock app | "+
		"CPU time, median (s) | of the stock app |\n|---|---|---|---|---|---|---|\n", len(samples[0]))
	took := func(s sample) time.Duration { return s.took }
	cpu := func(s sample) time.Duration { return s.cpu }
	stock, stockCPU := sorted(samples[0], took), sorted(samples[0], cpu)
	for i, a := range apps {
		times, cpus := sorted(samples[i], took), sorted(samples[i], cpu)
		fmt.Fprintf(&text, "| %s | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f |\n", a.name, median(times).Seconds(),
			times[0].Seconds(), times[len(times)-1].Seconds(), float64(median(times))/float64(median(stock)),
			median(cpus).Seconds(), float64(median(cpus))/float64(median(stockCPU)))
	}
	return text.String()
}

func sorted(samples []sample, of func(sample) time.Duration) []time.Duration {
	var list []time.Duration
	for _, s := range samples {
		list = append(list, of(s))
	}
	slices.Sort(list)
	return list
}

func median(sorted []time.Duration) time.Duration {
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

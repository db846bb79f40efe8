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
	times := make([][]time.Duration, len(apps))
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

func (a app) synthesize(ctx context.Context, cdk string) (time.Duration, error) {
	out, err := os.MkdirTemp("", "synth")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(out)
	arguments := []string{"synth", "--quiet", "--output", out}
	for _, key := range a.keys {
		arguments = append(arguments, "--context", key)
	}
	command := exec.CommandContext(ctx, cdk, arguments...)
	command.Dir = a.folder
	start := time.Now()
	if said, err := command.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, said)
	}
	return time.Since(start), nil
}

// report is a table of medians, and of how they compare with that of the first app.
func report(apps []app, times [][]time.Duration) string {
	var text strings.Builder
	fmt.Fprintf(&text, "| warm `npx cdk synth -q`, %d times in turn | median (s) | fastest | slowest | of the stock app |\n|---|---|---|---|---|\n",
		len(times[0]))
	stock := median(times[0])
	for i, a := range apps {
		fmt.Fprintf(&text, "| %s | %.2f | %.2f | %.2f | %.2f |\n", a.name, median(times[i]).Seconds(),
			slices.Min(times[i]).Seconds(), slices.Max(times[i]).Seconds(), float64(median(times[i]))/float64(stock))
	}
	return text.String()
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

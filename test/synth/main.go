// Command synth measures the duration of "npx cdk synth -q" for this repository's app, and compares it with that of a stock app on
// the same machine. The stock app in the folder stock is a small app as made by "cdk init", with a load balancer, an Auto Scaling
// group and a table. The command prints a Markdown table. Start reading at run.
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

// A sample is the measurement of one synthesis.
type sample struct {
	duration time.Duration
	cpu      time.Duration // CPU time of all its processes, which depends least on the load of the machine
}

// An app is a CDK app, in a folder with a cdk.json.
type app struct {
	name, folder string
	context      []string // as key=value
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	rounds := flag.Int("rounds", 7, "measured syntheses of each app, after one to warm up")
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
	production, err := productionFile()
	if err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Dir(production))
	apps := []app{
		{"stock: a load balancer, a group and a table", filepath.Join(root, "test/synth/stock"), nil},
		{"ours, by default", root, nil},
		{"ours, valkey in production", root, []string{"config=" + production}},
	}
	samples := make([][]sample, len(apps))
	for round := range rounds + 1 { // round 0 compiles and fills caches
		for i, a := range apps {
			fmt.Fprintf(stderr, "round %d of %d: %s\n", round, rounds, a.name)
			s, err := a.synthesize(ctx, filepath.Join(root, "node_modules/.bin/cdk"))
			if err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			if round > 0 {
				samples[i] = append(samples[i], s)
			}
		}
	}
	fmt.Fprint(stdout, report(apps, samples))
	return nil
}

// productionFile writes the configuration of the app in production to a temporary folder, because the stacks accept
// production in such a file only, and returns its path.
func productionFile() (string, error) {
	folder, err := os.MkdirTemp("", "synth")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "production.json")
	return path, os.WriteFile(path, []byte(`{"store": "valkey", "stage": "production", "certificateArn": `+
		`"arn:aws:acm:us-east-1:000000000000:certificate/00000000-0000-0000-0000-000000000000"}`), 0o600)
}

func (a app) synthesize(ctx context.Context, cdk string) (sample, error) {
	out, err := os.MkdirTemp("", "synth")
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(out)
	arguments := []string{"synth", "--quiet", "--output", out}
	for _, setting := range a.context {
		arguments = append(arguments, "--context", setting)
	}
	command := exec.CommandContext(ctx, cdk, arguments...) // #nosec G204 -- the programs of this repository
	command.Dir = a.folder
	start := time.Now()
	if output, err := command.CombinedOutput(); err != nil {
		return sample{}, fmt.Errorf("%w\n%s", err, output)
	}
	state := command.ProcessState
	return sample{time.Since(start), state.UserTime() + state.SystemTime()}, nil
}

// report returns a table of medians, with their ratios to those of the first app.
func report(apps []app, samples [][]sample) string {
	var text strings.Builder
	fmt.Fprintf(&text, "| warm `npx cdk synth -q`, %d times in turn | median (s) | min | max | vs stock app | "+
		"CPU time, median (s) | vs stock app |\n|---|---|---|---|---|---|---|\n", len(samples[0]))
	duration := func(s sample) time.Duration { return s.duration }
	cpu := func(s sample) time.Duration { return s.cpu }
	stock, stockCPU := sorted(samples[0], duration), sorted(samples[0], cpu)
	for i, a := range apps {
		times, cpus := sorted(samples[i], duration), sorted(samples[i], cpu)
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

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"stateless-servers/app/config/allowed"
	"stateless-servers/lab/experiment"
	"stateless-servers/lab/fleet"
	"stateless-servers/lab/load"
)

func newList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the experiments and their claims",
		Long: "List writes the name of each experiment that lab run takes, and the claim that it tests. soak takes longer than the\n" +
			"others and is not part of lab run all. The latest results are in " + observations + ". The exit status is 0.",
		Example: "  lab list\n" +
			"  lab run server-loss",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			for _, e := range experiment.All() {
				fmt.Fprintf(c.OutOrStdout(), "%-18s %s\n", e.Name(), e.Claim())
			}
			for _, e := range experiment.Long() {
				fmt.Fprintf(c.OutOrStdout(), "%-18s %s Takes over 20 minutes; not part of all.\n", e.Name(), e.Claim())
			}
			return nil
		},
	}
}

// observations is the folder with the published results of the experiments.
const observations = "docs/observations"

// runOptions has the flags of lab run.
type runOptions struct {
	out, json string // paths; "" for none
	all       bool   // all experiments run, so the index is written, too
	length    time.Duration
	seed      int
	sessions  int
}

// Bounds of the flags of soak and scale. At the least length, each kind of fault happens. A session takes up to 2 KB.
const (
	minSoakLength, maxSoakLength = 3 * time.Minute, 24 * time.Hour
	maxSeed                      = 1_000_000_000
	minSessions, maxSessions     = 10_000, 4_000_000
)

func newRun(build func(context.Context) (string, error)) *cobra.Command {
	o := runOptions{length: experiment.DefaultLength, sessions: experiment.DefaultSessions}
	names := []string{"all"}
	for _, e := range append(experiment.All(), experiment.Long()...) {
		names = append(names, e.Name())
	}
	c := &cobra.Command{
		Use:   "run NAME...|all",
		Short: "Test claims on a real fleet, with a verdict for each",
		Long: "Run tests the claims that lab list shows, on a fleet of real server processes behind the load balancer, with the\n" +
			"stores' real servers. It kills, drains and pauses them as each claim needs. The figures of the run decide the verdict:\n" +
			"PASS, FAIL, or NOT RUN if a program isn't installed.\n\n" +
			"lab run all takes some ten minutes and writes a page for each experiment to " + observations + ": parameters, assertions,\n" +
			"timeline, conclusion, command. Two are not part of all: soak kills servers and restarts their store\n" +
			"at random for --length, and scale fills each store with --sessions and measures latency and size.\n" +
			"The exit status is 1 unless every claim holds. Ctrl-C ends everything.",
		Example: "  lab list\n" +
			"  lab run server-loss\n" +
			"  lab run server-loss scale-in --out observations\n" +
			"  lab run all --json observations.json\n" +
			"  lab run soak --length 5m --seed 7\n" +
			"  lab run scale --sessions 100000",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("lab run takes the names of experiments, or all; lab list shows them")
			}
			for _, name := range args {
				if !slices.Contains(names, name) {
					return fmt.Errorf("%q is no experiment%s; there are: %s", name, didYouMean(name, names), strings.Join(names, ", "))
				}
			}
			_, err := experiment.ByName(args...)
			return err
		},
		ValidArgs: names,
		RunE: func(c *cobra.Command, args []string) error {
			experiments, err := experiment.ByName(args...)
			if err != nil {
				return err
			}
			o.all = slices.Equal(args, []string{"all"})
			if o.all && !c.Flags().Changed("out") {
				o.out = observations
			}
			for _, flag := range []struct{ name, experiment string }{{"length", "soak"}, {"seed", "soak"}, {"sessions", "scale"}} {
				if c.Flags().Changed(flag.name) && !slices.Contains(args, flag.experiment) {
					return fmt.Errorf("--%s is for %s, which is not among %s", flag.name, flag.experiment, strings.Join(args, ", "))
				}
			}
			return runExperiments(c.Context(), experiments, o, c.OutOrStdout(), c.ErrOrStderr(), build)
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.out, "out", "",
		"write a page for each experiment, and its charts, to this `folder`; by default "+observations+" for all, and nothing for others")
	flags.StringVar(&o.json, "json", "", "write all observations to this `file`, for programs")
	add(flags, "length", &o.length, allowed.Duration(minSoakLength, maxSoakLength), "duration of soak")
	add(flags, "seed", &o.seed, allowed.Number(0, maxSeed), "determines the faults of soak and their times; 0 draws a seed and reports it")
	add(flags, "sessions", &o.sessions, allowed.Number(minSessions, maxSessions), "greatest number of sessions of scale; it starts with a hundredth")
	return c
}

func runExperiments(ctx context.Context, list []experiment.Experiment, o runOptions, stdout, stderr io.Writer,
	build func(context.Context) (string, error)) error {
	if o.out != "" {
		if err := os.MkdirAll(o.out, 0o755); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	started := time.Now()
	var current time.Time      // the start of the current experiment
	var expected time.Duration // its duration last time; 0 if unknown
	times := lastTimes()
	times["soak"] = o.length
	view := newProgressView(stderr)
	var mu sync.Mutex // guards view and stderr: an experiment and its load test report concurrently
	runner := &experiment.Runner{
		Build: build, Phase: experiment.DefaultPhase,
		Length: o.length, Seed: o.seed, Sessions: o.sessions,
		Progress: func(p load.Progress) {
			mu.Lock()
			defer mu.Unlock()
			if p.Elapsed = time.Since(current); expected > 0 {
				p.Total = max(p.Elapsed, expected)
			}
			view.show(p)
		},
		Report: func(line string) {
			mu.Lock()
			defer mu.Unlock()
			view.end()
			fmt.Fprintf(stderr, "  %4.0f s  %s\n", time.Since(started).Seconds(), line)
		},
	}
	var found []experiment.Observation
	for i, e := range list {
		current, expected = time.Now(), times[e.Name()]
		text := fmt.Sprintf("%s (%d of %d)", e.Name(), i+1, len(list))
		if expected > 0 {
			text += ", about " + allowed.Format(expected)
		}
		fmt.Fprintln(stderr, text)
		observation, err := experiment.Run(ctx, e, runner)
		view.end()
		if err != nil {
			return err
		}
		found = append(found, observation)
		summary{stdout, colours(stdout)}.observed(observation)
		if o.out != "" {
			if err := writePage(o.out, observation); err != nil {
				return err
			}
		}
	}
	if o.out != "" && o.all {
		if err := writeIndex(o.out, found); err != nil {
			return err
		}
	}
	if o.json != "" {
		if err := writeObservations(o.json, found); err != nil {
			return err
		}
	}
	return verdict(found)
}

// observed writes the verdict and the assertions.
func (s summary) observed(o experiment.Observation) {
	switch o.Verdict {
	case experiment.NotRun:
		s.warn("NOT RUN  %s: %s", o.Name, o.Reason)
		return
	case experiment.DoesNotHold:
		s.warn("FAIL  %s, %.0f s", o.Name, o.Took)
	default:
		s.good(fmt.Sprintf("PASS  %s, %.0f s", o.Name, o.Took))
	}
	required := 0 // the width of its column
	for _, assertion := range o.Assertions {
		required = max(required, len(assertion.Claim))
	}
	if required > 0 {
		fmt.Fprintln(s.w, "      measured  required")
	}
	for _, assertion := range o.Assertions {
		text := fmt.Sprintf("%8s  %-*s  %s", assertion.Measured(), required, assertion.Claim, assertion.What)
		if assertion.Holds {
			fmt.Fprintln(s.w, "PASS  "+text)
		} else {
			s.warn("FAIL  %s", text)
		}
	}
}

// lastTimes returns the durations of the experiments in docs/observations, by name. Without that folder it is empty.
func lastTimes() map[string]time.Duration {
	times := map[string]time.Duration{}
	root, err := fleet.ModuleRoot()
	if err != nil {
		return times
	}
	page, err := os.ReadFile(filepath.Join(root, observations, "README.md"))
	if err != nil {
		return times
	}
	for _, row := range regexp.MustCompile(`(?m)^\| \[([a-z-]+)\].*, ([0-9]+) s \|$`).FindAllStringSubmatch(string(page), -1) {
		times[row[1]], _ = time.ParseDuration(row[2] + "s")
	}
	return times
}

// verdict returns an error that names the claims that don't hold; nil if all hold.
func verdict(observations []experiment.Observation) error {
	var others []string
	for _, o := range observations {
		if o.Verdict != experiment.Holds {
			others = append(others, fmt.Sprintf("%s %s", o.Name, o.Verdict))
		}
	}
	if len(others) > 0 {
		return errors.New(strings.Join(others, ", "))
	}
	return nil
}

// writePage writes the page of an observation, and its charts.
func writePage(dir string, o experiment.Observation) error {
	var page strings.Builder
	if err := o.WritePage(&page); err != nil {
		return fmt.Errorf("writing the page of %s: %w", o.Name, err)
	}
	err := os.WriteFile(filepath.Join(dir, o.Name+".md"), []byte(page.String()), 0o644)
	for _, chart := range o.Charts {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, chart.Name+".svg"), []byte(chart.File()), 0o644))
	}
	return err
}

// writeIndex writes the page that links to the others.
func writeIndex(dir string, found []experiment.Observation) error {
	var page strings.Builder
	if err := experiment.WriteIndex(&page, found); err != nil {
		return fmt.Errorf("writing the list of observations: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, "README.md"), []byte(page.String()), 0o644)
}

func writeObservations(path string, observations []experiment.Observation) error {
	text, err := json.MarshalIndent(observations, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("--json: %w", err)
	}
	return nil
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"stateless-servers/app/config/allowed"
	"stateless-servers/lab/experiment"
	"stateless-servers/lab/load"
)

func newList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the experiments and their claims",
		Long: "List writes the name of each experiment that lab run takes, and the claim that it tests. The last ones take long and\n" +
			"are not part of lab run all. The latest results are in " + observations + ". The exit status is 0.",
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
	c := &cobra.Command{
		Use:   "run NAME...|all",
		Short: "Test claims on a real fleet, with a verdict for each",
		Long: "Run tests the claims that lab list shows: on a fleet of real server processes behind the load balancer, with the\n" +
			"stores' real servers, killed, drained, paused and raced as each claim needs. Every figure comes from the run, and the\n" +
			"verdict from the figures: the claim holds, does not hold, or was not run, because of a program that isn't installed.\n\n" +
			"All of them take some ten minutes, and each writes a page: parameters, assertions, timeline, conclusion, command. Two are\n" +
			"not part of all: soak kills servers and restarts their store at random for --length, and scale fills each store with\n" +
			"--sessions and measures latency and size.\n" +
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
			_, err := experiment.ByName(args...)
			return err
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			names := []string{"all"}
			for _, e := range append(experiment.All(), experiment.Long()...) {
				names = append(names, e.Name())
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
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
		"write a page for each experiment, and its charts, to this `folder`; for all by default "+observations)
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
	view := newProgressView(stderr)
	var mu sync.Mutex // guards view and stderr: an experiment and its load test report concurrently
	runner := &experiment.Runner{
		Build: build, Phase: experiment.DefaultPhase,
		Length: o.length, Seed: o.seed, Sessions: o.sessions,
		Progress: func(p load.Progress) {
			mu.Lock()
			defer mu.Unlock()
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
		fmt.Fprintf(stderr, "%s (%d of %d)\n", e.Name(), i+1, len(list))
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
	line := fmt.Sprintf("%-18s %s, after %.0f s", o.Name, o.Verdict, o.Took)
	switch {
	case o.Verdict == experiment.NotRun:
		s.warn("%s: %s", line, o.Reason)
	case o.Verdict == experiment.DoesNotHold:
		s.warn("%s", line)
	default:
		s.good(line)
	}
	for _, assertion := range o.Assertions {
		text := fmt.Sprintf("  %s: %.4g, %s", assertion.What, assertion.Is, assertion.Claim)
		if assertion.Holds {
			fmt.Fprintln(s.w, text)
		} else {
			s.warn("%s: FAILED", text)
		}
	}
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

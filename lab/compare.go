package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"stateless-servers/app/config"
	"stateless-servers/lab/compare"
	"stateless-servers/lab/cost"
	"stateless-servers/lab/experiment"
	"stateless-servers/lab/load"
)

func newCompare(build func(context.Context) (string, error)) *cobra.Command {
	o, measure := newCostOptions(), false
	c := &cobra.Command{
		Use:   "compare [variant …]",
		Short: "Compare stores before deploying: resources, permissions, network and cost",
		Long: "Compare synthesizes the stacks for each store, offline and without credentials, and shows what CloudFormation would do\n" +
			"to update a deployment from the first to each other one: the resources that it adds, removes, replaces and retains,\n" +
			"and the changed permissions and network rules. It also estimates the monthly cost (see lab cost). The differences\n" +
			"agree with npx cdk diff.\n\n" +
			"A variant is a store, with options of the CDK after a + each, or a folder that npx cdk synth has written. Without\n" +
			"arguments it compares every store, and one variant with options with its store without them. It needs Node and npm ci.\n" +
			"--json has every pair, in both directions.\n" +
			"The exit status is 1 if a variant can't be synthesized, and 0 if there are differences.",
		Example: "  lab compare                             # every store, against dynamodb\n" +
			"  lab compare valkey postgres             # from valkey to postgres\n" +
			"  lab compare valkey+shards=2             # from valkey\n" +
			"  lab compare cdk.out valkey              # from the templates synthesized last\n" +
			"  lab compare --requests-per-second 2000 --sessions 200000 --html compare.html\n" +
			"  lab compare dynamodb valkey --measure   # with latency on this machine",
		ValidArgsFunction: completeStores,
		RunE: func(c *cobra.Command, variants []string) error {
			measured := build
			if !measure {
				measured = nil
			}
			return runCompare(c.Context(), o, measured, variants, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.add(c.Flags())
	c.Flags().BoolVar(&measure, "measure", false, "also load-test each store on this machine, with a local fleet: latency, sustained rate, "+
		"losses (about a minute per store)")
	return c
}

// runCompare compares the variants. If build is not nil, it also load-tests their stores.
func runCompare(ctx context.Context, o costOptions, build func(context.Context) (string, error), variants []string, stdout, stderr io.Writer) (err error) {
	estimator, root, variants, err := o.prepare(variants)
	if err != nil {
		return err
	}
	if store, _, options := strings.Cut(variants[0], "+"); options && len(variants) == 1 {
		variants = []string{store, variants[0]}
	}
	if len(variants) < 2 {
		return fmt.Errorf("comparing needs two variants or more, not %q alone; lab cost is for one", variants[0])
	}
	for i, name := range variants { // before the slow steps
		if slices.Contains(variants[:i], name) {
			return fmt.Errorf("variant %q is named twice", name)
		}
		if err := compare.CheckVariant(name); err != nil && !cost.IsAssembly(name) {
			return err
		}
	}
	templates := map[string][]cost.Template{}
	for _, name := range variants {
		if cost.IsAssembly(name) {
			if templates[name], err = cost.ReadAssembly(name); err != nil {
				return err
			}
		}
	}
	progress := func(line string) { fmt.Fprintln(stderr, line) }
	synthesizer, err := compare.NewSynthesizer(ctx, root, compare.Configuration(variants, templates), progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, synthesizer.Close()) }()
	for i, name := range variants {
		if templates[name] != nil {
			continue
		}
		progress(fmt.Sprintf("Synthesizing %s (%d of %d)", name, i+1, len(variants)))
		if templates[name], err = synthesizer.Synthesize(ctx, name); err != nil {
			return err
		}
	}
	report := compare.NewReport(estimator, o.traffic, variants, templates)
	if err := report.Compare(ctx, root); err != nil {
		return err
	}
	if build != nil {
		if err := measureStores(ctx, &report, build, stderr); err != nil {
			return err
		}
	}
	return o.write(report, stdout, stderr)
}

// measureStores load-tests each store of the variants once.
func measureStores(ctx context.Context, report *compare.Report, build func(context.Context) (string, error), stderr io.Writer) error {
	view := newProgressView(stderr)
	var mu sync.Mutex // guards view and stderr
	runner := &experiment.Runner{
		Build: build, Phase: experiment.DefaultPhase,
		Progress: func(p load.Progress) {
			mu.Lock()
			defer mu.Unlock()
			view.show(p)
		},
		Report: func(line string) {
			mu.Lock()
			defer mu.Unlock()
			view.end()
			fmt.Fprintln(stderr, line)
		},
	}
	done := map[string]bool{}
	for _, v := range report.Variants {
		store, _, _ := strings.Cut(v.Name, "+")
		local, found := localStore(store)
		if done[store] || !found {
			continue // a folder doesn't say how to start its store
		}
		done[store] = true
		runner.Report("Measuring " + store)
		m, err := experiment.Measure(ctx, runner, local)
		view.end()
		if err != nil {
			return fmt.Errorf("measuring %s: %w", store, err)
		}
		measured := compare.Measurement{
			Servers: m.Servers, Runs: len(m.Same), Highest: m.Sustained,
			P50: load.SpreadOf(m.Same, func(r load.Result) float64 { return r.Latency.P50 }),
			P99: load.SpreadOf(m.Same, func(r load.Result) float64 { return r.Latency.P99 }),
		}
		for _, r := range m.Same {
			measured.Failed += r.Requests - r.OK
			measured.Lost += r.Sessions.Violations()
		}
		report.AddMeasurement(store, measured)
	}
	return nil
}

// localStore returns the kind of local store for a store of the CDK. Redis is measured with the same local server as Valkey.
func localStore(store string) (config.StoreKind, bool) {
	if store == "redis" {
		store = "valkey"
	}
	return config.StoreKind(store), slices.Contains(config.StoreKinds(), config.StoreKind(store))
}

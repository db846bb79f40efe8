package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"stateless-servers/lab/compare"
	"stateless-servers/lab/cost"
	"stateless-servers/lab/fleet"
)

func newCompare() *cobra.Command {
	o := newCostOptions()
	c := &cobra.Command{
		Use:   "compare [variant …]",
		Short: "Compare stores before deploying: resources, permissions, network and cost",
		Long: "Compare synthesizes the stacks for each store, offline and without credentials, and tells what CloudFormation would do\n" +
			"to get from the first to each other: what it adds and removes, what it makes anew, and what stays behind; which\n" +
			"permissions and network rules come and go; and what each costs a month (see lab cost). It agrees with npx cdk diff.\n\n" +
			"A variant is a store, with options of the CDK after a + each, or a folder that npx cdk synth has written. Without\n" +
			"arguments it is every store. It needs Node and npm ci. --json has every pair, in both directions.",
		Example: "  lab compare                                       # every store, against dynamodb\n" +
			"  lab compare valkey postgres                       # from valkey to postgres\n" +
			"  lab compare dynamodb dynamodb+billing=provisioned valkey valkey+shards=2\n" +
			"  lab compare cdk.out valkey                        # from what was synthesized last\n" +
			"  lab compare --requests-per-second 2000 --sessions 200000 --html compare.html",
		RunE: func(c *cobra.Command, variants []string) error {
			return runCompare(c.Context(), o, variants, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.add(c.Flags())
	return c
}

func runCompare(ctx context.Context, o costOptions, variants []string, stdout, stderr io.Writer) (err error) {
	estimator, err := o.estimator()
	if err != nil {
		return err
	}
	root, err := fleet.ModuleRoot()
	if err != nil {
		return err
	}
	if len(variants) == 0 {
		variants = compare.Stores()
	}
	if len(variants) < 2 {
		return fmt.Errorf("%q alone: two variants or more can be compared; lab cost is for one", variants[0])
	}
	progress := func(line string) { fmt.Fprintln(stderr, line) }
	synthesizer, err := compare.NewSynthesizer(ctx, root, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, synthesizer.Close()) }()
	templates := map[string][]cost.Template{}
	for i, name := range variants {
		if slices.Contains(variants[:i], name) {
			return fmt.Errorf("variant %q is there twice", name)
		}
		templates[name], err = templatesOf(name, func() ([]cost.Template, error) {
			progress(fmt.Sprintf("Synthesizing %s (%d of %d)", name, i+1, len(variants)))
			return synthesizer.Synthesize(ctx, name)
		})
		if err != nil {
			return err
		}
	}
	report := compare.NewReport(estimator, o.traffic, variants, templates)
	if err := report.Compare(root); err != nil {
		return err
	}
	return o.write(report, stdout, stderr)
}

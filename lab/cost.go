package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stateless-servers/app/config"
	"stateless-servers/app/config/allowed"
	"stateless-servers/lab/compare"
	"stateless-servers/lab/cost"
	"stateless-servers/lab/fleet"
)

// costOptions holds the flags of lab cost, which lab compare has too.
type costOptions struct {
	traffic              cost.Traffic
	prices, region       string
	json, markdown, html string // paths; empty for none, - for standard output
}

func newCostOptions() costOptions {
	return costOptions{region: cost.DefaultRegion, traffic: cost.Traffic{
		RequestsPerSecond: 100, Sessions: 10_000, SessionBytes: 500, ReadsPerWrite: 4, Untouched: 0.5, ResponseBytes: 2000,
		IdleTimeout: config.Default().IdleTimeout,
	}}
}

func newCost() *cobra.Command {
	o := newCostOptions()
	c := &cobra.Command{
		Use:   "cost [store or folder …]",
		Short: "Estimate the monthly cost of each store at a given traffic",
		Long: "Cost adds up the resources in the templates of a deployment: servers (as many as the requests need), load balancer,\n" +
			"network, monitoring, and the store. The number of store operations per request was measured with the session library\n" +
			"and real servers (lab/cost/counts.json). Prices are on-demand prices, each with a source and a date\n" +
			"(lab/cost/prices.csv); your own file with the same columns takes precedence.\n\n" +
			"Without arguments it estimates every store with default options. An argument may also be a folder with templates that\n" +
			"npx cdk synth has written. It needs neither Node nor an AWS account. It names resources without a price and prices\n" +
			"that are unverified. The exit status is 1 if a store, a folder, a price or a number is invalid.",
		Example: "  lab cost                     # every store\n" +
			"  lab cost dynamodb            # one bill, line by line\n" +
			"  lab cost cdk.out             # the stacks that npx cdk synth has written\n" +
			"  lab cost --html cost.html    # a page with a chart of cost over traffic\n" +
			"  lab cost dynamodb valkey --requests-per-second 2000 --sessions 200000\n" +
			"  lab cost --prices mine.csv --region eu-west-1 --json -",
		ValidArgsFunction: completeStores,
		RunE: func(c *cobra.Command, variants []string) error {
			return runCost(o, variants, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.add(c.Flags())
	return c
}

func (o *costOptions) add(flags *pflag.FlagSet) {
	flags.SortFlags = false
	t := &o.traffic
	add(flags, "requests-per-second", &t.RequestsPerSecond, quantity(0.001, 10_000_000), "rate of all visitors together, constant all day")
	add(flags, "sessions", &t.Sessions, quantity(0, 1e9), "number of live sessions")
	add(flags, "session-bytes", &t.SessionBytes, quantity(1, 400_000), "size of a session")
	add(flags, "reads-per-write", &t.ReadsPerWrite, quantity(0, 1_000_000), "number of requests that read their session, for each one that changes it")
	add(flags, "untouched", &t.Untouched, share(), "share of the requests that don't use their session")
	flags.Lookup("untouched").DefValue = fmt.Sprintf("%g%%", 100*t.Untouched) // as users write it
	add(flags, "logins", &t.Logins, share(), "share of the sessions in which somebody logs in")
	add(flags, "response-bytes", &t.ResponseBytes, quantity(0, 1e9), "size of a response, without headers and cookies")
	flags.StringVar(&o.region, "region", o.region, "region of the prices; the lab has those of "+cost.DefaultRegion)
	flags.StringVar(&o.prices, "prices", "", "a CSV `file` with your own prices, in the columns of lab/cost/prices.csv")
	flags.StringVar(&o.json, "json", "", "write everything to this `file` as JSON; - is standard output, instead of the table")
	flags.StringVar(&o.markdown, "markdown", "", "write the tables to this `file` as Markdown; - is standard output, instead of the table")
	flags.StringVar(&o.html, "html", "", "write a page with a chart to this `file`; it opens offline")
}

// completeStores completes the names of stores; folders are allowed too.
func completeStores(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return compare.Stores(), cobra.ShellCompDirectiveDefault
}

// quantity returns the kind of flag that takes a number, with or without a fraction, from low to high.
func quantity(low, high float64) allowed.Kind[float64] {
	return allowed.Kind[float64]{Type: "number",
		Allowed: fmt.Sprintf("a number from %g to %s", low, strconv.FormatFloat(high, 'f', -1, 64)),
		Parse: func(text string) (float64, bool) {
			n, err := strconv.ParseFloat(text, 64)
			return n, err == nil && !math.IsNaN(n) && low <= n && n <= high
		}}
}

// share returns the kind of flag that takes a percentage and stores it as a share from 0 to 1.
func share() allowed.Kind[float64] {
	kind := percentage("50%")
	percent := kind.Parse
	kind.Parse = func(text string) (float64, bool) {
		n, ok := percent(text)
		return n / 100, ok
	}
	return kind
}

func runCost(o costOptions, variants []string, stdout, stderr io.Writer) error {
	estimator, root, variants, err := o.prepare(variants)
	if err != nil {
		return err
	}
	templates := map[string][]cost.Template{}
	for _, name := range variants {
		if templates[name], err = templatesOf(name, func() ([]cost.Template, error) { return compare.DefaultTemplates(root, name) }); err != nil {
			return err
		}
	}
	return o.write(compare.NewReport(estimator, o.traffic, variants, templates), stdout, stderr)
}

// prepare returns the estimator, the folder of the module, and the variants, which are all stores if none is named.
func (o costOptions) prepare(variants []string) (cost.Estimator, string, []string, error) {
	estimator, err := o.estimator()
	if err != nil {
		return cost.Estimator{}, "", nil, err
	}
	if len(variants) == 0 {
		variants = compare.Stores()
	}
	for _, name := range variants {
		if store, _, _ := strings.Cut(name, "+"); !cost.IsAssembly(name) && !slices.Contains(compare.Stores(), store) {
			return cost.Estimator{}, "", nil, fmt.Errorf("variant %q: allowed is %s%s", name, compare.VariantSyntax(), didYouMean(store, compare.Stores()))
		}
	}
	root, err := fleet.ModuleRoot()
	return estimator, root, variants, err
}

// templatesOf returns the templates in the folder called name or, if it is not a folder with templates, those from otherwise.
func templatesOf(name string, otherwise func() ([]cost.Template, error)) ([]cost.Template, error) {
	if cost.IsAssembly(name) {
		return cost.ReadAssembly(name)
	}
	return otherwise()
}

// estimator returns an estimator with the lab's prices and, with --prices, the user's.
func (o costOptions) estimator() (cost.Estimator, error) {
	prices, err := cost.DefaultPrices()
	if err != nil {
		return cost.Estimator{}, err
	}
	if o.prices != "" {
		file, err := os.Open(o.prices)
		if err != nil {
			return cost.Estimator{}, fmt.Errorf("--prices: %w", err)
		}
		defer file.Close()
		own, err := cost.LoadPrices(file, o.prices)
		if err != nil {
			return cost.Estimator{}, fmt.Errorf("--prices: %w", err)
		}
		prices = prices.With(own)
	}
	if regions := prices.Regions(); !slices.Contains(regions, o.region) {
		return cost.Estimator{}, notAllowed("region", o.region, strings.Join(regions, ", ")+"; --prices takes a file with prices of other regions")
	}
	counts, err := cost.LibraryCounts()
	return cost.Estimator{Region: o.region, Prices: prices, Counts: counts}, err
}

// write writes the report to the files of the flags, and as text to standard output unless another format goes there.
func (o costOptions) write(r compare.Report, stdout, stderr io.Writer) error {
	text := true
	for _, to := range []struct {
		flag, path string
		write      func(io.Writer) error
	}{{"json", o.json, r.WriteJSON}, {"markdown", o.markdown, r.WriteMarkdown}, {"html", o.html, r.WriteHTML}} {
		switch to.path {
		case "":
			continue
		case "-":
			text = false
			if err := to.write(stdout); err != nil {
				return err
			}
			continue
		}
		file, err := os.Create(to.path)
		if err != nil {
			return fmt.Errorf("--%s: %w", to.flag, err)
		}
		if err := errors.Join(to.write(file), file.Close()); err != nil {
			return fmt.Errorf("--%s: %w", to.flag, err)
		}
		fmt.Fprintln(stderr, "Wrote "+to.path)
	}
	if !text {
		return nil
	}
	return r.WriteText(stdout, columns(stdout))
}

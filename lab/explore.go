package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stateless-servers/app/config"
	"stateless-servers/app/config/allowed"
	"stateless-servers/lab/contract"
	"stateless-servers/lab/explore"
	"stateless-servers/lab/localstore"
	"stateless-servers/session/sessiontest/storeserver"
)

// exploreOptions are the flags of lab explore.
type exploreOptions struct {
	explore.Options
	stores   string
	scenario string
	json     string
	report   string
	replay   string
	hang     bool
}

// exploredStores are the stores that servers share, so that there is something to explore.
var exploredStores = []config.StoreKind{config.StoreValkey, config.StoreDynamoDB, config.StorePostgres, config.StoreMemcached}

func newExplore(build func(context.Context) (string, error)) *cobra.Command {
	o := exploreOptions{stores: string(config.StoreValkey), Options: explore.Options{
		Requests: 2, MaxOrders: explore.DefaultMax, MaxFaults: explore.DefaultMax, Parallel: 4 * runtime.NumCPU(), // runs wait more than they compute
	}}
	c := &cobra.Command{
		Use:   "explore",
		Short: "Find session races: run every order and every failure of overlapping requests",
		Long: "Explore sends requests of one visitor at once, each to a server of its own, and holds every call that the servers\n" +
			"make to their store. It releases the calls in every order, and with a failure at every call: the reply is dropped, the\n" +
			"call is refused, the store replies with an error or is down, the server is killed. After each run it compares the\n" +
			"session with what the answers promised. For each promise that is broken it draws the simplest schedule that breaks it.\n\n" +
			"It explores the sample application, or any application in any language that a scenario file describes:\n\n" +
			"  name: my application\n" +
			"  server: node server.js     # reads PORT and STORE_URL\n" +
			"  store: valkey\n\n" +
			"docs/explore.md has the other lines. The exit status is 1 when a promise is broken, and when something can't be run.",
		Example: "  lab explore\n" +
			"  lab explore --store all --requests 3 --report explore.html\n" +
			"  lab explore --scenario peers/scs/scenario.yaml\n" +
			"  lab explore --scenario peers/scs/scenario.yaml --replay visits+logout:A,B,B,A",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("scenario") && c.Flags().Changed("store") {
				return errors.New("--store is for the sample application; the scenario file names the store of another one")
			}
			return runExplore(c.Context(), o, c.OutOrStdout(), c.ErrOrStderr(), build)
		},
	}
	flags := c.Flags()
	flags.SortFlags = false
	add(flags, "store", &o.stores, allowed.Text(storesSyntax(), func(text string) bool { _, ok := parseStores(text); return ok }), "stores of the sample application")
	flags.StringVar(&o.scenario, "scenario", "", "explore the application of this scenario `file`")
	add(flags, "requests", &o.Requests, allowed.Number(1, 3), "requests that overlap")
	flags.StringVar(&o.Only, "only", "", "explore only the scenario of this `name`, such as visits+logout")
	flags.BoolVar(&o.hang, "hang", false, "also measure what requests do while the store takes calls and never answers")
	add(flags, "max-orders", &o.MaxOrders, allowed.Number(1, 1_000_000), "schedules of a scenario without a failure; beyond it those with the fewest switches")
	add(flags, "max-faults", &o.MaxFaults, allowed.Number(0, 1_000_000), "schedules of a scenario with a failure; 0 for none")
	add(flags, "parallel", &o.Parallel, allowed.Number(1, 64), "runs at a time")
	flags.StringVar(&o.json, "json", "", "write the findings to this `file`, for programs")
	flags.StringVar(&o.report, "report", "", "write the findings, with their diagrams, to this HTML `file`")
	flags.StringVar(&o.replay, "replay", "", "run one `schedule`, such as visits+logout:A,B,B,A, and draw it")
	return c
}

func storesSyntax() string {
	var names []string
	for _, store := range exploredStores {
		names = append(names, string(store))
	}
	return strings.Join(names, ", ") + ", several of them with commas between, or all"
}

func parseStores(text string) ([]config.StoreKind, bool) {
	if text == "all" {
		return exploredStores, true
	}
	var list []config.StoreKind
	for name := range strings.SplitSeq(text, ",") {
		store := config.StoreKind(strings.TrimSpace(name))
		if !slices.Contains(exploredStores, store) {
			return nil, false
		}
		list = append(list, store)
	}
	return list, true
}

// An opened target is ready to be explored. Its close ends the store.
type openedTarget struct {
	explore.Target
	store string
	close func() error
}

func runExplore(ctx context.Context, o exploreOptions, stdout, stderr io.Writer, build func(context.Context) (string, error)) error {
	line := func(text string) { fmt.Fprintln(stderr, text) }
	application := explore.Contract()
	var open []func() (openedTarget, error)
	if o.scenario != "" {
		file, err := explore.ReadFile(o.scenario)
		if err != nil {
			return err
		}
		application = file.Application
		open = append(open, func() (openedTarget, error) { return openFile(ctx, file, line) })
	} else {
		stores, _ := parseStores(o.stores) // the flag has been checked
		for _, store := range stores {
			open = append(open, func() (openedTarget, error) { return openSample(ctx, store, line, build) })
		}
	}
	if o.Only != "" {
		if _, err := application.Scenario(o.Only); err != nil {
			return fmt.Errorf("--only=%q: %w", o.Only, err)
		}
	}
	if o.replay != "" {
		return replay(ctx, o, open[0], stdout)
	}
	var report explore.Report
	broken := 0
	for _, open := range open {
		r, err := exploreTarget(ctx, o, open, stdout, stderr)
		if err != nil {
			return err
		}
		report.Runs = append(report.Runs, r)
		_, n := r.Totals()
		broken += n
	}
	if err := errors.Join(writeTo(o.json, report.WriteJSON), writeTo(o.report, report.WriteHTML)); err != nil {
		return err
	}
	if broken > 0 {
		return fmt.Errorf("%d schedules break a promise", broken)
	}
	return nil
}

// writeTo writes a file, unless the path is empty.
func writeTo(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	file, err := os.Create(path) // #nosec G304 -- the user's file
	if err != nil {
		return err
	}
	return errors.Join(write(file), file.Close())
}

// openFile starts the store of a scenario file and builds its application.
func openFile(ctx context.Context, file explore.File, line func(string)) (openedTarget, error) {
	if file.Build != "" {
		line("Building " + file.Name)
	}
	if err := file.Prepare(ctx); err != nil {
		return openedTarget{}, err
	}
	if file.StoreAddr != "" {
		t, err := file.Target("tcp://" + file.StoreAddr)
		return openedTarget{t, "the store at " + file.StoreAddr, func() error { return nil }}, err
	}
	c := config.Default()
	store, err := startRealStore(ctx, file.Store, &c, line)
	if err != nil {
		return openedTarget{}, err
	}
	t, err := file.Target(contract.StoreURL(c))
	return openedTarget{t, string(file.Store), store.Close}, err
}

// openSample builds the sample application and starts its store.
func openSample(ctx context.Context, kind config.StoreKind, line func(string), build func(context.Context) (string, error)) (openedTarget, error) {
	line("Building the server")
	program, err := build(ctx)
	if err != nil {
		return openedTarget{}, err
	}
	c := config.Default()
	c.PlainHTTP, c.ShutdownDelay = true, 0
	store, err := startRealStore(ctx, kind, &c, line)
	if err != nil {
		return openedTarget{}, err
	}
	t, err := explore.Sample(program, c)
	return openedTarget{t, string(kind), store.Close}, err
}

// startRealStore starts the store. The Valkey that is embedded in the lab would prove nothing.
func startRealStore(ctx context.Context, kind config.StoreKind, c *config.Config, line func(string)) (localstore.Store, error) {
	if kind == config.StoreValkey {
		if _, err := storeserver.ValkeyProgram(); err != nil {
			return localstore.Store{}, err
		}
	}
	line("Starting " + string(kind))
	return localstore.Start(ctx, kind, "", c, line)
}

func exploreTarget(ctx context.Context, o exploreOptions, open func() (openedTarget, error), stdout, stderr io.Writer) (r explore.ServerReport, err error) {
	t, err := open()
	if t.close != nil {
		defer func() { err = errors.Join(err, t.close()) }()
	}
	if err != nil {
		return r, err
	}
	out := summary{stdout, colours(stdout)}
	view := newProgressView(stderr)
	began := time.Now()
	fmt.Fprintf(stdout, "%s on %s\n", t.Name, t.store)
	fmt.Fprintf(stdout, scenarioColumns+"\n", "requests", "orders: broken of all", "with a failure: broken of all")
	o.Progress = func(p explore.Progress) {
		rate := float64(p.Explored) / time.Since(began).Seconds()
		if p.Ended == nil {
			view.line(time.Since(began), fmt.Sprintf("%d of %d scenarios, %s: %d schedules, %.0f per second, %d broken",
				p.Done, p.All, p.Scenario, p.Explored, rate, p.Broken), p.Broken > 0)
			return
		}
		view.end()
		out.explored(*p.Ended)
	}
	r = explore.ServerReport{Server: t.Name, Store: t.store}
	r.Scenarios, err = explore.Explore(ctx, t.Target, o.Options)
	view.end()
	if err != nil {
		return r, err
	}
	took := time.Since(began).Seconds()
	if o.hang {
		if r.Hanging, err = explore.Hang(ctx, t.Target); err != nil {
			return r, fmt.Errorf("while the store hangs: %w", err)
		}
		fmt.Fprintln(stdout, "\nWhile the store takes calls and never answers:")
		for _, h := range r.Hanging {
			fmt.Fprintf(stdout, "  %-10s %s after %.1f s\n", h.Request, h.Answer, h.Seconds)
		}
	}
	r.Seconds = float64(int(took*10)) / 10
	explored, broken := r.Totals()
	for _, s := range r.Scenarios {
		for i, f := range s.Findings {
			if i > 0 {
				fmt.Fprintf(stdout, "  Also: %s, in %d of %d schedules, such as %s.\n", f.Promise, f.Broken, s.Explored, f.Schedule)
				continue
			}
			fmt.Fprintf(stdout, "\n%s: %s, in %d of %d schedules. The simplest is %s; %d of %d more runs of it ended alike.\n%s",
				s.Name, f.Promise, f.Broken, s.Explored, f.Schedule, f.Replayed, explore.Replays, f.Text(s.Requests))
		}
	}
	text := fmt.Sprintf("%d schedules in %.0f s, %.0f per second: %d broken", explored, took, float64(explored)/took, broken)
	if fmt.Fprintln(stdout); broken > 0 {
		out.warn("%s", text)
	} else {
		out.good(text)
	}
	return r, nil
}

// scenarioColumns are the name of a scenario and its counts, in the 80 columns of a terminal.
const scenarioColumns = "%-24s  %21s  %29s"

// explored writes the line of a scenario.
func (s summary) explored(scenario explore.Scenario) {
	counts := func(c explore.Counts) string {
		if c.Explored == 0 {
			return "-"
		}
		text := fmt.Sprintf("%d of %d", c.Broken, c.Explored)
		if !c.Complete {
			text += ", " + c.Extent()
		}
		return text
	}
	line := fmt.Sprintf(scenarioColumns, scenario.Name, counts(scenario.Orders), counts(scenario.Faults))
	if scenario.Unreached > 0 {
		line += fmt.Sprintf("  %d not reached", scenario.Unreached)
	}
	if scenario.Broken > 0 {
		s.warn("%s", line)
	} else {
		fmt.Fprintln(s.w, line)
	}
}

// replay runs one schedule and draws it.
func replay(ctx context.Context, o exploreOptions, open func() (openedTarget, error), stdout io.Writer) (err error) {
	scenario, schedule, found := strings.Cut(o.replay, ":")
	if !found || strings.TrimSpace(schedule) == "" {
		return notAllowed("replay", o.replay, "the name of a scenario, a colon, and "+explore.ScheduleSyntax)
	}
	t, err := open()
	if t.close != nil {
		defer func() { err = errors.Join(err, t.close()) }()
	}
	if err != nil {
		return err
	}
	finding, requests, err := explore.Replay(ctx, t.Target, scenario, schedule)
	if err != nil {
		return err
	}
	fmt.Fprint(stdout, finding.Text(requests))
	if finding.Promise != "" {
		return errors.New("the schedule breaks a promise: " + string(finding.Promise))
	}
	return nil
}

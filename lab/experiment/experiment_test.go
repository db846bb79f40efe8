package experiment

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/chart"
	"stateless-servers/lab/fleet"
	"stateless-servers/lab/machine"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/storeserver"
)

var update = flag.Bool("update", false, "write the golden files anew")

var server = sync.OnceValues(func() (string, error) { return fleet.Build(context.Background()) })

// testRunner returns a Runner for short experiments.
func testRunner(t *testing.T) *Runner {
	t.Helper()
	return &Runner{
		Build:    func(context.Context) (string, error) { return server() },
		Phase:    1500 * time.Millisecond,
		Length:   24 * time.Second,
		Seed:     28, // whose faults include one of each kind early
		Sessions: 2000,
		Report:   func(line string) { t.Log(line) },
	}
}

func observe(t *testing.T, e Experiment) Observation {
	t.Helper()
	runner, store := testRunner(t), "valkey"
	switch e := e.(type) {
	case replicaLag:
		store = "dynamodb"
	case scale:
		store, runner.Phase = e.stores[0].name, 600*time.Millisecond
	}
	storeserver.SkipIfSkipped(t, store)
	o, err := Run(t.Context(), e, runner)
	if err != nil {
		t.Fatal(err)
	}
	for _, assertion := range o.Assertions {
		t.Logf("%t: %s %g, %s", assertion.Holds, assertion.What, assertion.Is, assertion.Claim)
	}
	for _, event := range o.Timeline {
		t.Logf("%s, %.1f s: %s", event.Run, event.T, event.What)
	}
	return o
}

// Setups that start quickly.
var (
	onValkey = setup{store: config.StoreValkey, servers: 3}
	onMemory = setup{store: config.StoreMemory, servers: 3, sticky: true}
	onCookie = setup{store: config.StoreCookie, servers: 3}
	onToken  = setup{store: config.StoreToken, servers: 3}
	onDisk   = quick(setup{store: config.StoreValkey, servers: 3, durable: true, change: defaultTimeout})
	linked   = setup{store: config.StoreValkey, servers: 2, link: true, change: defaultTimeout}
)

func TestClaimsHold(t *testing.T) {
	for _, e := range []Experiment{
		newStickyImbalance(),
		serverLoss{pinned: onMemory, shared: []setup{onValkey}},
		newRollingDeploy(),
		newScaleOut(),
		newScaleIn(),
		cacheLoss{alone: []setup{linked}, replicated: linked},
		newReplicaLag(),
		storeOutage{[]setup{linked}},
		newLostUpdate(),
		newLogoutRace(),
		latency{setups: []setup{onValkey}, maxP50: time.Minute},
		newCookieSize(),
		tokenRevocation{client: []setup{onToken}, server: []setup{onValkey}},
		soak{onDisk, 3 * time.Second, 20},
		scaleOn(0), scaleOn(1), scaleOn(2), scaleOn(3),
	} {
		t.Run(e.Name(), func(t *testing.T) {
			if !slices.Contains([]string{"server-loss", "token-revocation"}, e.Name()) {
				sessiontest.Long(t)
			}
			t.Parallel()
			if o := observe(t, e); o.Verdict != Holds {
				t.Errorf("%s: %s", o.Verdict, o.Reason)
			}
		})
	}
}

// With a wrong setup, each claim does not hold.
func TestClaimsDoNotHoldWithWrongSetup(t *testing.T) {
	// Servers on this setup bypass the link.
	direct := setup{store: config.StoreValkey, servers: 2, link: true, change: beside}
	tests := []struct {
		name       string
		experiment Experiment
		failed     []string // parts of the assertions that must fail
	}{
		{"visitors are pinned in neither run", stickyImbalance{onValkey, onValkey}, []string{"max/mean with stickiness, after"}},
		{"visitors are pinned in both runs", stickyImbalance{sticky(onValkey), sticky(onValkey)}, []string{"share of the added server without stickiness"}},
		{"no store is shared", serverLoss{pinned: onMemory, shared: []setup{onMemory}}, []string{"consistency violations"}},
		{"no session is in memory", serverLoss{pinned: onValkey, shared: nil}, []string{"sessions lost after the kill with valkey"}},
		{"the shared store writes whole sessions back", serverLoss{pinned: onMemory, shared: []setup{onCookie}}, []string{"consistency violations with cookie"}},
		{"the deployed servers keep sessions in memory", rollingDeploy{onMemory}, []string{"consistency violations"}},
		{"visitors are pinned to the old servers", scaleOut{sticky(onValkey)}, []string{"share of server-"}},
		{"the drained servers keep sessions in memory", scaleIn{onMemory}, []string{"consistency violations"}},
		{"reads are strong for eventual, and the other way round", replicaLag{eventual: false, strong: true, lag: 500 * time.Millisecond},
			[]string{"reads eventually consistent", "refreshes with an old session, reads strongly consistent"}},
		{"the store is not out", storeOutage{[]setup{direct}}, []string{"while valkey refuses"}},
		{"the cache keeps its sessions", cacheLoss{alone: []setup{direct}, replicated: linked}, []string{"sessions lost with valkey, alone"}},
		{"the library writes whole sessions back", lostUpdate{scsLibrary, ownLibrary}, []string{"lose an update with this library", "lose an update with scs"}},
		{"the library brings sessions back", logoutRace{scsLibrary, ownLibrary}, []string{"alive after logout with this library", "alive after logout with scs"}},
		{"no store is that fast", latency{setups: []setup{onValkey}, maxP50: time.Nanosecond}, []string{"p50 with valkey"}},
		{"cookies are for servers", cookieSize{onCookie, onValkey}, []string{"grows with cookie", "grows with valkey", "retained with cookie", "retained with valkey"}},
		{"tokens are for servers", tokenRevocation{client: []setup{onValkey}, server: []setup{onToken}}, []string{"with valkey", "with token"}},
		{"the store restarts without its data", soak{quick(onValkey), 3 * time.Second, 20},
			[]string{"sessions lost", "the first session was there again"}},
		{"the store loses sessions, and none is that flat", scale{[]scaledKind{forgetful(scaledKinds()[0])}, 0},
			[]string{"failed operations with valkey", "growth of the median of login with valkey"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.name != "no store is shared" && test.name != "tokens are for servers" {
				sessiontest.Long(t)
			}
			t.Parallel()
			o := observe(t, test.experiment)
			if o.Verdict != DoesNotHold {
				t.Errorf("the claim %s (%s), want that it does not hold", o.Verdict, o.Reason)
			}
			var failed []string
			for _, assertion := range o.Failed() {
				failed = append(failed, assertion.What)
			}
			for _, part := range test.failed {
				if !strings.Contains(strings.Join(failed, "\n"), part) {
					t.Errorf("%q does not fail; the failed assertions are %q", part, failed)
				}
			}
		})
	}
}

// beside makes the servers use another Valkey, which has no faults.
func beside(ctx context.Context, c *config.Config) (func() error, error) {
	other, err := storeserver.Valkey(ctx)
	if err != nil {
		return nil, err
	}
	c.ValkeyAddress = other.Addr
	return other.Close, nil
}

// scaleOn returns the experiment scale on one store, without a claim about time.
func scaleOn(store int) scale { return scale{scaledKinds()[store : store+1], 1e6} }

func TestQuantiles(t *testing.T) {
	took := []time.Duration{4, 2, 3, 1}
	for share, want := range map[float64]time.Duration{0: 1, 0.25: 1, 0.5: 2, 0.51: 3, 0.99: 4, 1: 4} {
		if got := quantile(took, share); got != want {
			t.Errorf("quantile %g of %v: %d, want %d", share, took, got, want)
		}
	}
}

// Records have the size that the tables name.
func TestRecordsHaveTheirSize(t *testing.T) {
	for _, size := range []int{sessionBytes, largeBytes} {
		for _, user := range []string{"", "ada", "user-"} {
			if got := newRecords(size, user).live(7).Size(); got != size {
				t.Errorf("a session of %d bytes of user %q has %d", size, user, got)
			}
		}
	}
}

// forgetful makes a Valkey lose everything before sessions expire.
func forgetful(k scaledKind) scaledKind {
	begin := k.begin
	k.begin = func(ctx context.Context, s *scaled) error {
		err := begin(ctx, s)
		deleted := s.deleted
		s.deleted = func(ctx context.Context) (int64, error) {
			err := storeserver.Exec(ctx, s.server, "FLUSHALL")
			n, countErr := deleted(ctx)
			return n, errors.Join(err, countErr)
		}
		return err
	}
	return k
}

// quick gives the load balancer a short idle timeout.
func quick(s setup) setup {
	s.idle = 2 * time.Second
	return s
}

func sticky(s setup) setup {
	s.sticky = true
	return s
}

// Without the store's program, an experiment is not run, and says what to install.
func TestMissingProgramIsNotRun(t *testing.T) {
	if _, err := server(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	for _, test := range []struct {
		store config.StoreKind
		want  string
	}{
		{config.StoreMemcached, "install memcached"},
		{config.StoreValkey, "install valkey-server or redis-server"},
	} {
		o := observe(t, rollingDeploy{setup{store: test.store, servers: 1}})
		if o.Verdict != NotRun || !strings.Contains(o.Reason, test.want) {
			t.Errorf("%s: %s: %s", test.store, o.Verdict, o.Reason)
		}
	}
}

// An interrupted experiment returns an error.
func TestInterruptionIsError(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	runner := testRunner(t)
	runner.Report = func(line string) {
		if strings.Contains(line, "under load") {
			time.AfterFunc(runner.Phase/2, interrupt)
		}
	}
	if o, err := Run(ctx, newRollingDeploy(), runner); err == nil {
		t.Errorf("the interrupted experiment has the verdict %s, want an error", o.Verdict)
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range append(All(), Long()...) {
		if e.Name() == "" || e.Claim() == "" || seen[e.Name()] {
			t.Errorf("%q claims %q", e.Name(), e.Claim())
		}
		seen[e.Name()] = true
	}
	if list, err := ByName("scale-in", "server-loss"); err != nil || len(list) != 2 || list[0].Name() != "scale-in" {
		t.Errorf("got %v %v", list, err)
	}
	if _, err := ByName("scale-in", "nosuch"); err == nil || !strings.Contains(err.Error(), `"nosuch" is no experiment; there are: all, sticky-imbalance`) {
		t.Errorf("got %v", err)
	}
	if list, err := ByName("soak"); err != nil || len(list) != 1 {
		t.Errorf("got %v %v", list, err)
	}
	// Long experiments are not part of all.
	if list, err := ByName("all"); err != nil || len(list) != len(seen)-len(Long()) {
		t.Errorf("got %v %v", list, err)
	}
}

// scripted is an experiment with a given observation.
type scripted struct {
	Observation
	err error
}

func (s scripted) Name() string                                      { return "scripted" }
func (s scripted) Claim() string                                     { return "What is scripted holds." }
func (s scripted) Run(context.Context, *Runner) (Observation, error) { return s.Observation, s.err }

func TestPages(t *testing.T) {
	full := Observation{
		Advice:   "Do it.",
		Tables:   []Table{{Title: "Figures", Columns: []string{"a|b", "n"}, Rows: [][]any{{"x|y\nz", 3}, {"<b>", 0.123456}}}},
		Charts:   []Chart{{"scripted", chart.Chart{Title: "A chart"}}},
		Timeline: []Event{{"first", 1, 1.25, "server-1 | killed"}},
	}
	full.set("fleet", "%d servers", 3)
	full.assertAtMost("lost", 0, 0)
	full.assertAtLeast("kept", 12.5, 12)
	fallen := full
	fallen.assertAtMost("failed", 7, 0)
	for name, script := range map[string]scripted{
		"holds": {full, nil}, "does-not-hold": {fallen, nil}, "not-run": {Observation{}, errors.New("no Memcached: install memcached")},
		"nothing-found": {},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := Run(t.Context(), script, testRunner(t))
			if err != nil {
				t.Fatal(err)
			}
			o.Started, o.Took, o.Machine = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), 61.5, machine.Machine{System: "linux/arm64", CPUs: 2, Go: "go1.26"}
			var page bytes.Buffer
			if err := o.WritePage(&page); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".golden.md")
			if *update {
				if err := os.WriteFile(golden, page.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if page.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", page.String(), want)
			}
		})
	}
}

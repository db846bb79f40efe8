package explore_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"stateless-servers/app/config"
	"stateless-servers/lab/contract"
	"stateless-servers/lab/explore"
	"stateless-servers/lab/fleet"
	"stateless-servers/lab/localstore"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/process"
)

// startStore starts a store until the test ends, and returns the configuration of servers on it.
func startStore(t *testing.T, kind config.StoreKind) config.Config {
	t.Helper()
	c := config.Default()
	c.PlainHTTP, c.ShutdownDelay = true, 0
	store, err := localstore.Start(t.Context(), kind, "", &c, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// sample returns the sample application on a store.
func sample(t *testing.T, kind config.StoreKind) explore.Target {
	t.Helper()
	program, err := fleet.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	target, err := explore.Sample(program, startStore(t, kind))
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// options returns the options of most explorations. Each run waits more than it computes.
func options(requests int) explore.Options {
	return explore.Options{Requests: requests, MaxOrders: explore.DefaultMax, MaxFaults: explore.DefaultMax, Parallel: 4}
}

// keepsPromises explores the target and fails the test if a schedule breaks a promise.
func keepsPromises(t *testing.T, target explore.Target, o explore.Options) {
	t.Helper()
	scenarios, err := explore.Explore(t.Context(), target, o)
	if err != nil {
		t.Fatal(err)
	}
	orders, faults := 0, 0
	for _, s := range scenarios {
		orders, faults = orders+s.Orders.Explored, faults+s.Faults.Explored
		if s.Orders.Broken+s.Faults.Broken > 0 {
			t.Errorf("%s: %d of %d schedules break a promise, want none; the simplest is %s:\n%s",
				s.Name, s.Broken, s.Explored, s.Shortest.Schedule, s.Shortest.Text(s.Requests))
		}
		if s.Orders.Explored == 0 {
			t.Errorf("%s: no schedule was run", s.Name)
		}
	}
	t.Logf("%d orders and %d schedules with a fault, of %d scenarios", orders, faults, len(scenarios))
	if faults == 0 && o.MaxFaults > 0 {
		t.Error("no fault was reached")
	}
}

func TestPairsAndFaultsOnValkeyKeepPromises(t *testing.T) {
	o := options(2)
	if testing.Short() {
		o.MaxFaults = 25 // of each scenario, all of single requests among them
	}
	keepsPromises(t, sample(t, config.StoreValkey), o)
}

func TestPairsOnEveryStoreKeepPromises(t *testing.T) {
	sessiontest.Long(t) // TestPairsAndFaultsOnValkeyKeepPromises is the one that -short runs
	for _, kind := range []config.StoreKind{config.StoreMemcached, config.StorePostgres, config.StoreDynamoDB} {
		t.Run(string(kind), func(t *testing.T) {
			o := options(2)
			// A login on Memcached has thousands of schedules, and DynamoDB Local runs about four of them per second.
			o.MaxOrders, o.MaxFaults = 60, 40
			keepsPromises(t, sample(t, kind), o)
		})
	}
}

func TestThreesOnValkeyKeepPromises(t *testing.T) {
	sessiontest.Long(t) // TestPairsAndFaultsOnValkeyKeepPromises is the one that -short runs
	o := options(3)
	o.MaxFaults = 20
	keepsPromises(t, sample(t, config.StoreValkey), o)
}

// shop returns the application of testdata/shop, which writes back whole sessions.
func shop(t *testing.T) explore.Target {
	t.Helper()
	return shopWith(t, nil)
}

// shopWith returns the same with further variables of the servers.
func shopWith(t *testing.T, env map[string]string) explore.Target {
	t.Helper()
	file, err := explore.ReadFile("testdata/shop/scenario.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file.Env = env
	target, err := file.Target(contract.StoreURL(startStore(t, file.Store)))
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestRacesOfAnotherLanguageAreFound(t *testing.T) {
	o := options(2)
	o.MaxFaults = 0
	scenarios, err := explore.Explore(t.Context(), shop(t), o)
	if err != nil {
		t.Fatal(err)
	}
	// What an application does that reads the session, changes it and writes it back whole, counted by hand: of the six
	// orders of two reads and two writes, only the two that don't overlap keep both changes.
	want := map[string]struct {
		broken, explored, sequential int
		promise                      explore.Promise
	}{
		"visits + visits": {4, 6, 0, explore.LostUpdate},
		"visits + cart":   {4, 6, 0, explore.LostUpdate},
		"visits + logout": {2, 6, 0, explore.AliveAfter},
		"visits + login":  {9, 10, 1, explore.LoginLost},
		"logout + logout": {0, 6, 0, ""},
	}
	for _, s := range scenarios {
		expected, ok := want[s.Name]
		if !ok {
			continue
		}
		delete(want, s.Name)
		if s.Broken != expected.broken || s.Explored != expected.explored || s.Orders.Sequential != expected.sequential || !s.Orders.Complete {
			t.Errorf("%s: %d of %d schedules broken, %d sequential, complete %t; want %d of %d, %d sequential", s.Name, s.Broken, s.Explored,
				s.Orders.Sequential, s.Orders.Complete, expected.broken, expected.explored, expected.sequential)
		}
		if s.Shortest == nil {
			continue
		}
		if s.Shortest.Promise != expected.promise || s.Shortest.Replayed != explore.Replays {
			t.Errorf("%s: broken is %q, replayed alike %d times; want %q, %d times", s.Name, s.Shortest.Promise, s.Shortest.Replayed,
				expected.promise, explore.Replays)
		}
	}
	for name := range want {
		t.Errorf("%s was not explored", name)
	}
	checkReport(t, explore.Report{Runs: []explore.ServerReport{{Server: "shop", Store: "valkey", Scenarios: scenarios}}})
}

func TestEveryOrderOfRequestsThatComputeIsExplored(t *testing.T) {
	t.Parallel()
	target, o := shopWith(t, map[string]string{"THINK": "0.15"}), options(2)
	target.Requests = target.Requests[:1] // so that little else computes
	o.MaxFaults, o.Only = 0, "visits + visits"
	scenarios, err := explore.Explore(t.Context(), target, o)
	if err != nil {
		t.Fatal(err)
	}
	if s := scenarios[0]; s.Explored != 6 || s.Broken != 4 || s.Unreached != 0 {
		t.Errorf("%d of %d orders broken, %d not reached; want 4 of 6, and all reached", s.Broken, s.Explored, s.Unreached)
	}
}

// checkReport checks the JSON of a report against its schema, and that its page has every diagram.
func checkReport(t *testing.T, r explore.Report) {
	t.Helper()
	var text bytes.Buffer
	if err := r.WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	schema, err := jsonschema.NewCompiler().Compile("report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(&text)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(document); err != nil {
		t.Errorf("the report does not follow its schema: %v", err)
	}
	var page strings.Builder
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	findings := 0
	for _, s := range r.Runs[0].Scenarios {
		findings += len(s.Findings)
	}
	if n := strings.Count(page.String(), "<svg"); n != findings || n == 0 {
		t.Errorf("the page has %d diagrams, want one for each of the %d findings", n, findings)
	}
}

func TestReplay(t *testing.T) {
	target := shop(t)
	finding, requests, err := explore.Replay(t.Context(), target, "visits + logout", "A B B A")
	if err != nil {
		t.Fatal(err)
	}
	if finding.Promise != explore.AliveAfter {
		t.Errorf("broken is %q, want %q", finding.Promise, explore.AliveAfter)
	}
	text := finding.Text(requests)
	for _, want := range []string{"A: visits", "B: logout", "GET session:old", "DEL session:old -> 1", "== 200", "The old cookie opens", "alive after logout"} {
		if !strings.Contains(text, want) {
			t.Errorf("the diagram has no %q:\n%s", want, text)
		}
	}
	if finding, _, err = explore.Replay(t.Context(), target, "visits + logout", "A A B B"); err != nil || finding.Promise != "" {
		t.Errorf("requests that don't overlap: broken is %q, error %v; want none", finding.Promise, err)
	}
	if _, _, err := explore.Replay(t.Context(), target, "visits + logout", "A A A A A"); err == nil {
		t.Error("a schedule with more calls than the request makes was replayed, want an error")
	}
}

// Spring Session leaves a session behind, after some orders, that it can't read any more.
func TestSessionThatCantBeReadIsBroken(t *testing.T) {
	target := shopWith(t, map[string]string{"UNREADABLE_VISITS": "3"})
	finding, _, err := explore.Replay(t.Context(), target, "visits + visits", "A A B B")
	if err != nil {
		t.Fatal(err)
	}
	if finding.Promise != explore.Unreadable || !strings.Contains(finding.Sentence, "GET /api/session answers 500") {
		t.Errorf("broken is %q: %s; want %q and the answer", finding.Promise, finding.Sentence, explore.Unreadable)
	}
	// The old cookie gets an error here and so opens nothing; the browser's opens the new session, without the last visit.
	finding, _, err = explore.Replay(t.Context(), target, "visits + visits + login", "A A B C C B C")
	if err != nil || finding.Promise != explore.LostUpdate {
		t.Errorf("an old cookie that gets an error: broken is %q, error %v; want %q", finding.Promise, err, explore.LostUpdate)
	}
}

// Dalli doesn't try a server of Memcached again for a minute, and sessions are empty meanwhile.
func TestServerThatStaysAwayFromItsStoreIsStartedAnew(t *testing.T) {
	t.Parallel()
	o := options(1)
	o.Only = "visits"
	scenarios, err := explore.Explore(t.Context(), shopWith(t, map[string]string{"STAYS_AWAY": "yes"}), o)
	if err != nil {
		t.Fatal(err)
	}
	if s := scenarios[0]; s.Faults.Explored != 10 || s.Unreached > 0 || s.Broken > 0 {
		t.Errorf("%d schedules with a fault, %d not reached, %d broken; want each of 2 calls with each of 5 faults, all kept",
			s.Faults.Explored, s.Unreached, s.Broken)
	}
}

func TestServerWhosePortIsTakenIsStartedAgain(t *testing.T) {
	target := shop(t)
	start := target.Start
	var begun atomic.Bool
	target.Start = func(name, storeAddr string) (string, *process.Process, error) {
		if begun.Swap(true) { // not the first server
			return start(name, storeAddr)
		}
		p, err := process.Start(process.Command{Name: name, Path: "sh", Args: []string{"-c", "echo Address already in use; exit 1"}})
		return "http://127.0.0.1:1", p, err
	}
	o := options(1)
	o.Only, o.MaxFaults, o.Parallel = "visits", 0, 1
	keepsPromises(t, target, o)
}

func TestServersThatDontUseTheirStoreAreRefused(t *testing.T) {
	target := shop(t)
	other := target
	direct := target.StoreAddr
	other.Start = func(name, _ string) (string, *process.Process, error) { return target.Start(name, direct) }
	_, err := explore.Explore(t.Context(), other, options(2))
	if err == nil || !strings.Contains(err.Error(), "no call at the address of the store") {
		t.Errorf("servers that go past the explorer: error %v, want one that says so", err)
	}
}

func TestProgressNamesEveryScenario(t *testing.T) {
	var ended []string
	o := options(1)
	o.MaxFaults, o.Only = 0, "visits"
	o.Progress = func(p explore.Progress) {
		if p.Ended != nil {
			ended = append(ended, p.Ended.Name)
		}
	}
	if _, err := explore.Explore(t.Context(), shop(t), o); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ended, []string{"visits"}) {
		t.Errorf("ended: %v, want visits alone", ended)
	}
}

func TestExplorationEndsWithItsContext(t *testing.T) {
	target := shop(t)
	ctx, cancel := context.WithCancel(t.Context())
	o := options(2)
	o.Progress = func(explore.Progress) { cancel() }
	if _, err := explore.Explore(ctx, target, o); err == nil {
		t.Error("an exploration that was cancelled returns no error")
	}
}

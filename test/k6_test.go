package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// k6Run is the output of testdata/k6/run.mjs.
type k6Run struct {
	Options struct {
		Scenarios struct {
			Visitors struct {
				Executor, Duration string
				Rate, MaxVUs       int
				PreAllocatedVUs    int
			}
		}
		NoCookiesReset bool
		Thresholds     map[string][]string
	}
	Responses map[string]int // by method, route and status
	Counters  map[string]int
}

// runK6 runs the scenario against an application, with replacements for the modules of k6.
func runK6(t *testing.T, url string, iterations int) k6Run {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("this test needs Node 20 or later: ", err)
	}
	folder := t.TempDir()
	for from, to := range map[string]string{
		filepath.Join(root, "lab/k6/visitors.js"): "visitors.mjs",
		"testdata/k6/run.mjs":                     "run.mjs",
		"testdata/k6/http.js":                     "node_modules/k6/http.js",
		"testdata/k6/metrics.js":                  "node_modules/k6/metrics.js",
	} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(folder, to)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, to), text, 0o644)
		}
		must.Succeed(t, err)
	}
	manifest := `{"name": "k6", "type": "module", "exports": {"./http": "./http.js", "./metrics": "./metrics.js"}}`
	must.Succeed(t, os.WriteFile(filepath.Join(folder, "node_modules/k6/package.json"), []byte(manifest), 0o644))
	var said strings.Builder
	command := exec.CommandContext(t.Context(), node, "run.mjs", url, fmt.Sprint(iterations))
	command.Dir, command.Stderr = folder, &said
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	var run k6Run
	if err := json.Unmarshal(output, &run); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return run
}

// On a shared store the scenario finds no violation, and the application has a route for each of its requests.
func TestK6(t *testing.T) {
	run := runK6(t, labUp(t, 3, "--store", "valkey").url, 600)
	for name, n := range run.Counters {
		if n != 0 {
			t.Errorf("%s: %d, want 0", name, n)
		}
	}
	want := []string{"GET /api/session 200", "GET /none 200", "POST /api/cart/{sku} 200", "POST /api/visits 200",
		"POST /login 200", "POST /logout 200"}
	if got := slices.Sorted(maps.Keys(run.Responses)); !slices.Equal(got, want) {
		t.Errorf("responses %v, want exactly %q", run.Responses, want)
	}
	visitors := run.Options.Scenarios.Visitors
	if visitors.Executor != "constant-arrival-rate" || visitors.Rate != 50 || visitors.Duration != "20s" ||
		visitors.MaxVUs != 7 || visitors.PreAllocatedVUs != 7 || !run.Options.NoCookiesReset {
		t.Errorf("options %+v", run.Options)
	}
	for name := range run.Counters {
		if !slices.Equal(run.Options.Thresholds[name], []string{"count==0"}) {
			t.Errorf("the threshold of %s is %q, want count==0", name, run.Options.Thresholds[name])
		}
	}
}

// With sessions in the servers' memory, the scenario finds lost sessions.
func TestK6FindsLostSessions(t *testing.T) {
	run := runK6(t, labUp(t, 3, "--store", "memory").url, 300)
	if run.Counters["sessions_lost"] == 0 || run.Counters["updates_lost"] == 0 {
		t.Errorf("counters %v, want lost sessions and lost updates", run.Counters)
	}
}

//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stateless-servers/lab/explore"
	"stateless-servers/session/sessiontest/must"
)

const shopScenario = "explore/testdata/shop/scenario.yaml"

func TestExploreDrawsWhatIsBroken(t *testing.T) {
	dir := t.TempDir()
	file, page := filepath.Join(dir, "found.json"), filepath.Join(dir, "found.html")
	code, stdout, stderr := lab(t, "explore", "--scenario", shopScenario, "--only", "visits+logout", "--max-faults", "0", "--parallel", "2",
		"--json", file, "--report", page)
	if code != 1 {
		t.Errorf("exit status %d for an application with a race, want 1", code)
	}
	contains(t, stdout, "shop on valkey", "visits + logout", "2 of 6", "The simplest is A B B A; 5 of 5", "A: visits", "DEL session:old -> 1",
		"Broken: alive after logout", "6 schedules in")
	contains(t, stderr, "lab: 2 schedules break a promise")
	var report explore.Report
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	if err != nil || len(report.Runs) != 1 || report.Runs[0].Scenarios[0].Shortest.Promise != explore.AliveAfter {
		t.Errorf("--json wrote %s (%v), want one run whose shortest schedule is %q", text, err, explore.AliveAfter)
	}
	if html, err := os.ReadFile(page); err != nil || !strings.Contains(string(html), "<svg") {
		t.Errorf("--report wrote no page with a diagram: %v", err)
	}
}

func TestExploreReplaysASchedule(t *testing.T) {
	code, stdout, stderr := lab(t, "explore", "--scenario", shopScenario, "--replay", "visits+logout:A,A,B,B")
	if code != 0 || strings.Contains(stdout, "Broken") {
		t.Errorf("exit status %d for a schedule without overlap, want 0: %s%s", code, stdout, stderr)
	}
	contains(t, stdout, "A: visits", "== 200")
	if code, _, stderr = lab(t, "explore", "--scenario", shopScenario, "--replay", "visits+logout:A,B,B,A"); code != 1 {
		t.Errorf("exit status %d for a schedule that breaks a promise, want 1", code)
	}
	contains(t, stderr, "alive after logout")
}

func TestExploreRefusesBadInput(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "scenario.yaml")
	must.Succeed(t, os.WriteFile(bad, []byte("server: x\nstore: mysql\n"), 0o600))
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--store", "mysql"}, `--store="mysql": allowed is valkey, dynamodb`},
		{[]string{"--scenario", "none.yaml"}, "none.yaml"},
		{[]string{"--scenario", bad}, bad + ":2: "},
		{[]string{"--scenario", bad, "--store", "valkey"}, "--store is for the sample application"},
		{[]string{"--requests", "4"}, `--requests="4": allowed is`},
		{[]string{"--scenario", shopScenario, "--only", "visits+pay"}, `no request is named "pay"; there are: visits, cart, login, logout`},
		{[]string{"--scenario", shopScenario, "--replay", "visits"}, `--replay="visits": allowed is the name of a scenario`},
		{[]string{"--scenario", shopScenario, "--replay", "visits:B"}, `"B" is no letter from A to A`},
	} {
		code, _, stderr := lab(t, append([]string{"explore"}, test.args...)...)
		if code != 1 || !strings.Contains(stderr, test.want) {
			t.Errorf("lab explore %v: exit status %d and %q, want 1 and %q", test.args, code, stderr, test.want)
		}
	}
}

// The table of scenarios fits a terminal of 80 columns.
func TestScenariosFitTheTerminal(t *testing.T) {
	var out strings.Builder
	summary{w: &out}.explored(explore.Scenario{Name: "visits + logout",
		Orders: explore.Counts{Explored: 3, Complete: true}, Faults: explore.Counts{Explored: 40, Complete: true}})
	heading := fmt.Sprintf(scenarioColumns, "requests", "orders: broken of all", "with a failure: broken of all") + "\n"
	if want := fmt.Sprintf(scenarioColumns, "visits + logout", "0 of 3", "0 of 40") + "\n"; out.String() != want || len(want) > 80 || len(want) != len(heading) {
		t.Errorf("got\n%s%swant\n%s, in 80 columns", heading, out.String(), want)
	}
}

//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"stateless-servers/lab/load"
	"stateless-servers/session/sessiontest/must"
)

// A server of another application runs as a fleet, and lab load understands its responses. Whether requests overlap and lose
// updates depends on the machine; lab explore finds that race for certain.
func TestUpRunsAnyServer(t *testing.T) {
	script, err := filepath.Abs("explore/testdata/shop/server.py")
	must.Succeed(t, err)
	lab1 := startLab(t, "--servers", "2", "--server", "python3 "+script)
	if !slices.Contains(lab1.lines, "Starting 2 servers") || slices.Contains(lab1.lines, "Building the server") {
		t.Errorf("the lab said %q, want that it starts 2 servers and builds none", lab1.lines)
	}
	file := filepath.Join(t.TempDir(), "result.json")
	code, stdout, stderr := lab(t, "load", "--url", lab1.url, "--rate", "200", "--warmup", "0s", "--duration", "3s", "--sessions", "4", "--json", file)
	var result load.Result
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &result)
	}
	if err != nil {
		t.Fatalf("lab load: exit status %d, %v\n%s%s", code, err, stdout, stderr)
	}
	if result.Errors["unreadable"] > 0 || result.OK == 0 || result.Sessions.Total == 0 {
		t.Errorf("%d of %d requests succeeded with %d sessions, errors %v; want most, and none unreadable",
			result.OK, result.Requests, result.Sessions.Total, result.Errors)
	}
	served := 0
	for _, server := range lab1.fleet(t).Servers {
		if server.Requests > 0 {
			served++
		}
	}
	if served != 2 {
		t.Errorf("%d servers have responded, want both", served)
	}
}

func TestUpRefusesStoresThatAServerCannotUse(t *testing.T) {
	code, stdout, stderr := lab(t, "up", "--server", "true", "--store", "cookie")
	oneLine(t, code, stdout, stderr, []string{`--store="cookie": allowed is with --server valkey`})
}

//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stateless-servers/lab/experiment"
	"stateless-servers/lab/fleet"
	"stateless-servers/session/sessiontest/storeserver"
)

func TestList(t *testing.T) {
	code, stdout, stderr := lab(t, "list")
	if code != 0 || stderr != "" {
		t.Errorf("exit status %d\n%s", code, stderr)
	}
	for _, e := range append(experiment.All(), experiment.Long()...) {
		contains(t, stdout, e.Name(), e.Claim())
	}
	contains(t, stdout, "Takes over 20 minutes; not part of all.")
}

func TestRunWritesPages(t *testing.T) {
	storeserver.SkipIfSkipped(t, "valkey")
	dir := t.TempDir()
	out, file := filepath.Join(dir, "new", "pages"), filepath.Join(dir, "o.json")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"run", "cookie-size", "--out", out, "--json", file}, &stdout, &stderr, fleet.Build); code != 0 {
		t.Fatalf("exit status %d\n%s%s", code, &stdout, &stderr)
	}
	contains(t, stdout.String(), "PASS  cookie-size, ", "\n      measured  required", "  at least 100  bytes that")
	contains(t, stderr.String(), "cookie-size (1 of 1), about ", "starting 2 servers on valkey")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var observations []experiment.Observation
	if err := json.Unmarshal(text, &observations); err != nil || len(observations) != 1 || observations[0].Verdict != experiment.Holds {
		t.Errorf("%v\n%s", err, text)
	}
	page, err := os.ReadFile(filepath.Join(out, "cookie-size.md"))
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(page), "# cookie-size", "The claim holds.", "go run ./lab run cookie-size", "](cookie-size.svg)")
	if _, err := os.Stat(filepath.Join(out, "README.md")); err == nil {
		t.Error("the list of all pages is replaced by one of this one")
	}
	if svg, err := os.ReadFile(filepath.Join(out, "cookie-size.svg")); err != nil || !bytes.Contains(svg, []byte("</svg>")) {
		t.Errorf("no chart: %v", err)
	}
}

func TestListOfPages(t *testing.T) {
	dir := t.TempDir()
	found := experiment.Observation{Name: "a", Claim: "A | b.", Verdict: experiment.Holds, Took: 61.4, Started: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	if err := writeIndex(dir, []experiment.Observation{found}); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(page), `| [a](a.md) | A \| b. | holds | 2026-11-21, 61 s |`)
}

// A program that isn't there is one line, and no pass.
func TestRunWithoutAStore(t *testing.T) {
	program, err := fleet.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"run", "rolling-deploy"}, &stdout, &stderr, func(context.Context) (string, error) { return program, nil })
	if code != 1 || !strings.HasSuffix(stderr.String(), "lab: rolling-deploy not run\n") {
		t.Errorf("exit status %d\n%s", code, &stderr)
	}
	contains(t, stdout.String(), "NOT RUN  rolling-deploy: ", "install valkey-server or redis-server")
}

func TestRunInterrupted(t *testing.T) {
	storeserver.SkipIfSkipped(t, "valkey")
	before := children(os.Getpid())
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stdout bytes.Buffer
	stderr := &trigger{word: "replacing every server under load", then: func() { time.AfterFunc(time.Second, interrupt) }}
	code := run(ctx, []string{"run", "rolling-deploy", "scale-in"}, &stdout, stderr, fleet.Build)
	if code != 1 || !strings.HasSuffix(stderr.String(), "lab: interrupted\n") || stdout.Len() > 0 {
		t.Errorf("exit status %d\n%s%s", code, &stdout, stderr)
	}
	if strings.Contains(stderr.String(), "scale-in (") {
		t.Error("it went on with the next")
	}
	for _, pid := range children(os.Getpid()) {
		if !slices.Contains(before, pid) {
			gone(t, pid, true)
		}
	}
}

// trigger is a buffer that does something once a word is written.
type trigger struct {
	bytes.Buffer
	word string
	then func()
}

func (b *trigger) Write(p []byte) (int, error) {
	n, err := b.Buffer.Write(p)
	if b.then != nil && strings.Contains(b.String(), b.word) {
		b.then()
		b.then = nil
	}
	return n, err
}

func TestRefusedRuns(t *testing.T) {
	for _, test := range []struct {
		args string
		want []string
	}{
		{"run", []string{"names of experiments, or all; lab list"}},
		{"run nosuch", []string{`"nosuch" is no experiment; there are: all, sticky-imbalance, server-loss`}},
		{"run sever-loss", []string{`"sever-loss" is no experiment (did you mean server-loss?); there are: all`}},
		{"run all server-loss", []string{`"all" is no experiment`}},
		{"run cookie-size --out /dev/null/pages", []string{"--out", "/dev/null"}},
		{"run soak --length 1m", []string{`--length="1m"`, "a duration from 3m to 24h"}},
		{"run soak --seed -1", []string{`--seed="-1"`, "a whole number from 0 to"}},
		{"run scale-in --seed 3", []string{"--seed is for soak, which is not among scale-in"}},
		{"run scale --sessions 100", []string{`--sessions="100"`, "a whole number from 10000 to"}},
		{"list all", []string{`"all"`, "flags only"}},
	} {
		t.Run(test.args, func(t *testing.T) {
			code, stdout, stderr := lab(t, strings.Fields(test.args)...)
			oneLine(t, code, stdout, stderr, test.want)
		})
	}
}

// Ctrl-C ends every command with one word, wherever it was.
func TestInterruptedCommands(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	build := func(ctx context.Context) (string, error) {
		interrupt()
		return "", fmt.Errorf("go build: %w", ctx.Err())
	}
	var stdout, stderr strings.Builder
	if code := run(ctx, []string{"explore"}, &stdout, &stderr, build); code != 1 || !strings.HasSuffix(stderr.String(), "\nlab: interrupted\n") {
		t.Errorf("exit status %d, %q, want 1 and interrupted", code, stderr.String())
	}
}

//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"stateless-servers/app/leaderboard"
	"stateless-servers/app/web"
	"stateless-servers/lab/load"
	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/sessiontest/must"
)

// application is the sample application on the store, in this process.
func application(t *testing.T, store session.Store) string {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	sessions, err := session.New(store, session.Options{PlainHTTP: true, Logger: quiet})
	must.Succeed(t, err)
	server := httptest.NewServer(web.New(web.Options{
		Server: "server-1", Zone: "a", Sessions: sessions, Board: leaderboard.NewMemory(), Logger: quiet,
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func lab(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs, nil)
	return code, out.String(), errs.String()
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
}

// quickly are the flags of a short test.
var quickly = []string{"--rate", "100", "--duration", "1s", "--warmup", "0s", "--sessions", "10"}

func TestLoadMergeAndCheck(t *testing.T) {
	dir := t.TempDir()
	schemaFile, err := filepath.Abs("load/result.schema.json")
	must.Succeed(t, err)
	t.Chdir(dir)
	deployed := fmt.Sprintf(`{"StatelessLab":{"Store":"valkey","URL":%q},"StatelessNetwork":{"Vpc":"vpc-1"}}`,
		application(t, memory.New()))
	must.Succeed(t, os.WriteFile("cdk-outputs.json", []byte(deployed), 0o600))
	// Both at the same time, for only then do they add up.
	var loads sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		loads.Go(func() {
			code, stdout, stderr := lab(t, append([]string{"load", "--json", name + ".json", "--history", name + ".jsonl", "--report", name + ".html",
				"--summary", "summary.md", "--max-p99", "1h", "--max-errors", "0%", "--max-lost", "0"}, quickly...)...)
			if code != 0 {
				t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
			}
			contains(t, stderr, "Sending 100 requests/s to http://127.0.0.1:")
			contains(t, stdout, " ok (100 %)", "100.0/s target", "Latency    p50 ", "from due", "Service    p50 ",
				"server-1 100 %", "0 lost, 0 updates lost, 0 stale reads, 0 cross-session leaks, 0 alive after logout",
				"PASS  p99 ", "PASS  errors               0 %  at most 0 %\n", "PASS  violations             0  at most 0\n")
			if strings.Contains(stdout+stderr, "\x1b") {
				t.Error("there are escape sequences where there is no terminal")
			}
		})
	}
	loads.Wait()
	if t.Failed() {
		return
	}

	code, stdout, stderr := lab(t, "merge", "a.json", "b.json", "--json", "all.json", "--max-errors", "0%")
	if code != 0 {
		t.Fatalf("exit status %d\n%s%s", code, stdout, stderr)
	}
	contains(t, stdout, "200.0/s target", "PASS  errors               0 %  at most 0 %\n", "PASS  violations")
	code, stdout, stderr = lab(t, "merge", "b.json", "all.json")
	oneLine(t, code, stdout, stderr, []string{"results 1 and 2 both have the requests of run"})
	summaries, err := os.ReadFile("summary.md")
	if n := strings.Count(string(summaries), "## ✅ Passed: 3 of 3 thresholds hold."); err != nil || n != 2 {
		t.Errorf("%d summaries of tests that passed in one file, %v, want 2:\n%s", n, err, summaries)
	}
	schema, err := jsonschema.NewCompiler().Compile(schemaFile)
	must.Succeed(t, err)
	var results [3]load.Result
	for i, name := range []string{"a.json", "b.json", "all.json"} {
		text, err := os.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(text, &results[i])
		}
		var document any
		if err == nil {
			document, err = jsonschema.UnmarshalJSON(bytes.NewReader(text))
		}
		if err == nil {
			err = schema.Validate(document)
		}
		must.Succeed(t, err)
	}
	if sum := results[0].Requests + results[1].Requests; results[2].Requests != sum || sum == 0 {
		t.Errorf("%d requests merged, of %d", results[2].Requests, sum)
	}

	if code, stdout, stderr := lab(t, "report", "a.json", "b.json", "-o", "all.html"); code != 0 || stdout != "all.html\n" {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
	for name, requests := range map[string]int64{"a.html": results[0].Requests, "all.html": results[2].Requests} {
		page, err := os.ReadFile(name)
		must.Succeed(t, err)
		contains(t, string(page), fmt.Sprintf("<dt>requests</dt><dd>%d</dd>", requests), "<svg", "</html>")
	}

	code, stdout, stderr = lab(t, "check", "b.jsonl")
	if code != 0 || stderr != "" {
		t.Errorf("exit status %d\n%s%s", code, stdout, stderr)
	}
	contains(t, stdout, "0 sessions lost, 0 updates lost", "Linearizable   ")
}

// forgetful is a store that finds no session.
type forgetful struct{ session.Store }

func (forgetful) Load(context.Context, session.ID, time.Time) (session.Record, error) {
	return session.Record{}, session.ErrNotFound
}

// An exceeded threshold, or a violation in a history, gives exit status 1 and a line with the reason.
func TestExceededThresholdsFail(t *testing.T) {
	history := filepath.Join(t.TempDir(), "history.jsonl")
	url := application(t, forgetful{memory.New()})
	args := append([]string{"load", "--url", url, "--history", history, "--max-lost", "0", "--max-p99", "1h"}, quickly...)
	code, stdout, stderr := lab(t, append(args, "--sessions", "1", "--mix", "read=1")...)
	last := stderr[strings.LastIndex(strings.TrimSpace(stderr), "\n")+1:]
	oneLine(t, code, "", last, []string{"thresholds exceeded: 1"})
	contains(t, stdout, "FAIL  violations", "PASS  p99", "was lost", "answered at", "by server-1")

	code, stdout, stderr = lab(t, "check", history)
	oneLine(t, code, stdout, stderr, []string{history, "violations"})
	contains(t, stdout, "was lost", "answered at", "by server-1")
}

func TestLoadInterrupted(t *testing.T) {
	url := application(t, memory.New())
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stdout bytes.Buffer
	stderr := &trigger{word: " errors", then: interrupt} // of the first line of progress
	file := filepath.Join(t.TempDir(), "result.json")
	args := []string{"load", "--url", url, "--duration", "1h", "--warmup", "0s", "--max-lost", "0", "--json", file}
	if code := run(ctx, args, &stdout, stderr, nil); code != 130 {
		t.Errorf("exit status %d, want 130: %s", code, stderr.String())
	}
	contains(t, stderr.String(), "lab: interrupted: the figures apply to the ")
	contains(t, stdout.String(), "INTERRUPTED\nPASS  violations", "interrupted", "Latency    p50 ", "0 lost")
	if r, err := readResult(file); err != nil || r.Verdict != load.Interrupted || r.Requests == 0 {
		t.Errorf("the verdict %q on %d requests, %v, want interrupted, and the figures up to then", r.Verdict, r.Requests, err)
	}
}

func TestRefusedLoads(t *testing.T) {
	t.Chdir(t.TempDir())
	url := application(t, memory.New())
	for name, content := range map[string]string{
		"hello.txt": "hello", "none.json": `{"A":{}}`, "two.json": `{"A":{"URL":"http://a"},"B":{"URL":"http://b"}}`,
	} {
		must.Succeed(t, os.WriteFile(name, []byte(content), 0o600))
	}
	for _, test := range []struct {
		args string
		want []string
	}{
		{"load", []string{"--url is missing, and so is cdk-outputs.json", "npx cdk deploy --outputs-file cdk-outputs.json", "lab up"}},
		{"load extra", []string{`"extra"`, "flags only"}},
		{"load --url here", []string{`--url="here"`, "http://127.0.0.1:8080"}},
		{"load --url " + url + "/path", []string{"--url=", "http://127.0.0.1:8080"}},
		{"load --rate 0", []string{`--rate="0"`, "100..500", "100,200,400"}},
		{"load --mix wash=1", []string{`--mix="wash=1"`, "none, read, write, cart, login and logout"}},
		{"load --duration 0s", []string{`--duration="0s"`, "1s to 24h"}},
		{"load --sessions 0", []string{`--sessions="0"`, "1 to 100000"}},
		{"load --warmup -1s", []string{`--warmup="-1s"`, "0s to 1h"}},
		{"load --timeout 2h", []string{`--timeout="2h"`, "10ms to 1m"}},
		{"load --max-p99 fast", []string{`--max-p99="fast"`, "1ms to 1h"}},
		{"load --max-errors 1", []string{`--max-errors="1"`, "such as 0.1%"}},
		{"load --max-errors 101%", []string{`--max-errors="101%"`, "0% to 100%"}},
		{"load --max-lost some", []string{`--max-lost="some"`, "0 to 1000000"}},
		{"load --json nosuch/a.json --url " + url, []string{"--json", "nosuch/a.json"}},
		{"load --summary nosuch/s.md --url " + url, []string{"--summary", "nosuch/s.md"}},
		{"load --history nosuch/h.jsonl --url " + url, []string{"--history", "nosuch/h.jsonl"}},
		{"load --report nosuch/r.html --url " + url, []string{"--report", "nosuch/r.html"}},
		{"report", []string{"takes files"}},
		{"report hello.txt", []string{"hello.txt: not the result of a load test"}},
		{"merge", []string{"two machines or more"}},
		{"merge hello.txt", []string{"two machines or more"}},
		{"merge hello.txt none.json", []string{"hello.txt: not the result of a load test"}},
		{"merge nosuch.json nosuch.json", []string{"nosuch.json"}},
		{"check", []string{"takes one file"}},
		{"check nosuch.jsonl", []string{"nosuch.jsonl"}},
		{"check hello.txt", []string{"hello.txt: line 1 is not the header of a history"}},
	} {
		t.Run(test.args, func(t *testing.T) {
			code, stdout, stderr := lab(t, strings.Fields(test.args)...)
			oneLine(t, code, stdout, stderr, test.want)
		})
	}
	for name, want := range map[string]string{
		"hello.txt": "is not a file of stack outputs", "none.json": "no stack in none.json has an output URL", "two.json": "(A, B): choose one",
		".": "the outputs of the deployment are unreadable",
	} {
		if _, err := deployedURL(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestURLOfANamedConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), outputsFile)
	text := `{"shop-Lab": {"URL": "https://shop.example.com"}, "shop-Load": {"Start": "aws"}, "shop-Network": {"Vpc": "vpc-1"}}`
	must.Succeed(t, os.WriteFile(file, []byte(text), 0o600))
	if url, err := deployedURL(file); err != nil || url != "https://shop.example.com" {
		t.Errorf("got %s, %v, want the URL of shop-Lab", url, err)
	}
}

func TestProgressLines(t *testing.T) {
	var b strings.Builder
	v := newProgressView(&b)
	p := load.Progress{Phase: load.Warmup, Total: 32 * time.Second, Rate: 199.6, P50: 1200 * time.Microsecond, P99: 12 * time.Millisecond}
	for s := range 4 {
		p.Elapsed = time.Duration(s+1) * time.Second
		v.show(p)
	}
	p.Phase, p.Elapsed, p.Requests, p.OK = load.Measure, 33*time.Second, 100, 97
	p.Errors, p.Servers = map[string]int64{"timeout": 1, "http_502": 2}, map[string]int64{"server-10": 25, "server-2": 75}
	p.Sessions.CrossSessionLeaks = 1
	v.show(p)
	v.end()
	want := "2 of 32 s, warm-up: 200/s, p50 1.2 ms, p99 12.0 ms, 0 errors\n" +
		"4 of 32 s, warm-up: 200/s, p50 1.2 ms, p99 12.0 ms, 0 errors\n" +
		"32 of 32 s: 200/s, p50 1.2 ms, p99 12.0 ms, 3 errors (http_502 2, timeout 1), violations: 1, server-2 75 %, server-10 25 %\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	if got := bar(p); got != strings.Repeat("█", 10) {
		t.Errorf("the bar is %q", got)
	}
	p.Elapsed = 8 * time.Second
	if got := bar(p); got != strings.Repeat("█", 2)+strings.Repeat("░", 8) {
		t.Errorf("the bar is %q", got)
	}
}

func TestSummaryWarnsOfMissedRate(t *testing.T) {
	var b strings.Builder
	_ = summary{w: &b}.write(load.Result{Requests: 90, OK: 80, RateTarget: 100, RateAchieved: 90, Late: 20, Errors: map[string]int64{"timeout": 10}})
	contains(t, b.String(), "RATE MISSED: 10.0 % of the requests were never sent", "SENT LATE: 1 % of the requests were sent at least 20 ms late",
		"80 ok (88.89 %)", "Errors     timeout 10")
	if strings.Contains(b.String(), "\x1b") {
		t.Error("colours, though none are wanted")
	}
	b.Reset()
	_ = summary{w: &b, colours: true}.write(load.Result{Requests: 100, OK: 100, RateTarget: 100, RateAchieved: 99.5, Late: 1})
	if strings.Contains(b.String(), "MISSED") || strings.Contains(b.String(), "LATE") || strings.Contains(b.String(), "\x1b") {
		t.Errorf("warned of nothing:\n%s", b.String())
	}
}

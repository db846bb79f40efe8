package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stateless-servers/lab/compare"
	"stateless-servers/session/sessiontest/must"
)

func TestCostOfEveryStoreWithoutNode(t *testing.T) {
	t.Setenv("PATH", "")
	status, stdout, stderr := lab(t, "cost")
	if status != 0 {
		t.Fatal(stderr)
	}
	for _, store := range compare.Stores() {
		if !regexp.MustCompile(`(?m)^` + store + ` .*\d+\.\d\d`).MatchString(stdout) {
			t.Errorf("no line for %s:\n%s", store, stdout)
		}
	}
	for _, word := range []string{"Break-even points", "Unverified", "us-east-1"} {
		if !strings.Contains(stdout, word) {
			t.Errorf("the output lacks %q", word)
		}
	}
}

func TestCostFollowsItsFlags(t *testing.T) {
	total := func(args ...string) float64 {
		t.Helper()
		status, stdout, stderr := lab(t, append([]string{"cost", "dynamodb", "--json", "-"}, args...)...)
		var report compare.Report
		if status != 0 {
			t.Fatal(stderr)
		}
		must.Succeed(t, json.Unmarshal([]byte(stdout), &report))
		return report.Variants[0].Bill.Total
	}
	usual := total()
	for _, more := range [][]string{
		{"--requests-per-second", "200"}, {"--session-bytes", "5000"}, {"--reads-per-write", "1"}, {"--untouched", "10%"},
		{"--response-bytes", "20000"}, {"--sessions", "100000"}, {"--logins", "50%"},
	} {
		if got := total(more...); got <= usual+0.01 {
			t.Errorf("%v: %.2f USD, want more than the default of %.2f", more, got, usual)
		}
	}
	prices := filepath.Join(t.TempDir(), "mine.csv")
	row := "region,item,unit,usd,date,source,status\nus-east-1,alb:hour,hour,1.0225,2026-11-01,contract,verified\n"
	must.Succeed(t, os.WriteFile(prices, []byte(row), 0o644))
	if got := total("--prices", prices); got < usual+729.9 || got > usual+730.1 {
		t.Errorf("one dollar more per hour: %.2f USD, want 730 more than %.2f", got, usual)
	}
}

func TestCostOfAFolder(t *testing.T) {
	folder := t.TempDir()
	template := `{"Resources": {"A": {"Type": "AWS::KMS::Key"}, "B": {"Type": "AWS::Made::Up"}}}`
	must.Succeed(t, os.WriteFile(filepath.Join(folder, "X.template.json"), []byte(template), 0o644))
	status, stdout, stderr := lab(t, "cost", folder)
	if status != 0 || !strings.Contains(stdout, "NOT PRICED and missing from the totals: AWS::Made::Up") || !strings.Contains(stdout, "customer key") {
		t.Errorf("%s%s", stdout, stderr)
	}
}

func TestCostAndCompareRefuse(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.csv")
	must.Succeed(t, os.WriteFile(bad, []byte("region,item,unit,usd,date,source,status\nus-east-1,ipv4,hour,x,2026-01-01,me,verified\n"), 0o644))
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"cost", "valky"}, `variant "valky": allowed is dynamodb, valkey`},
		{[]string{"compare", "valky", "dynamodb"}, "(did you mean valkey?)"},
		{[]string{"cost", "valkey+shards=2"}, `variant "valkey+shards=2": allowed is one of dynamodb`},
		{[]string{"compare", "valkey+shards"}, `"shards" is not of the form key=value`},
		{[]string{"cost", "--requests-per-second", "0"}, `--requests-per-second="0": allowed is a number from 0.001 to 10000000`},
		{[]string{"cost", "--sessions", "NaN"}, `--sessions="NaN": allowed is a number from 0`},
		{[]string{"cost", "--untouched", "50"}, `--untouched="50": allowed is a percentage`},
		{[]string{"cost", "--region", "mars-1"}, `--region="mars-1": allowed is us-east-1; --prices takes`},
		{[]string{"cost", "--prices", bad}, `bad.csv row 2, column usd="x": allowed is a number from 0 to 1000000`},
		{[]string{"cost", "--prices", "/nowhere.csv"}, "--prices: open /nowhere.csv"},
		{[]string{"cost", "--html", "/nowhere/at/all.html"}, "--html: open /nowhere"},
		{[]string{"compare", "valkey"}, `two variants or more, not "valkey" alone`},
		{[]string{"compare", "valkey", "valkey"}, `variant "valkey" is named twice`},
		{[]string{"compare", "valkey", "dynamodb+billing"}, `variant "dynamodb+billing": "billing" is not of the form key=value`},
	}
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			if status, _, stderr := lab(t, test.args...); status != 1 || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("status %d: %s\nwant one line with %s", status, stderr, test.want)
			}
		})
	}
}

// The page loads nothing, and the numbers of its chart are in tables.
func TestCostPageIsSelfContained(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cost.html")
	if status, _, stderr := lab(t, "cost", "--html", path); status != 0 {
		t.Fatal(stderr)
	}
	text := must.Get(os.ReadFile(path))(t)
	page := string(text)
	for _, external := range []string{"<script", "<img", "<iframe", "@import", "url(", "src=", `href="http`} {
		if strings.Contains(page, external) {
			t.Errorf("the page has %s", external)
		}
	}
	for _, word := range []string{`<html lang="en">`, `role="img" aria-label=`, "prefers-color-scheme:dark", `<th scope="col">`, "Numbers of the chart",
		"https://aws.amazon.com/elasticloadbalancing/pricing/", "unverified"} {
		if !strings.Contains(page, word) {
			t.Errorf("the page has no %s", word)
		}
	}
	if strings.Count(page, "<svg") != 2 || strings.Count(page, "<details") != 2 {
		t.Error("want a chart, also for phones, and two collapsed tables in the page")
	}
}

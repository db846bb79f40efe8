package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/must"
)

// Every program sends at the given rate and reports latencies.
func TestRun(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // the servers leave their logs there
	var text strings.Builder
	succeeds := func(o outcome, _ int) bool { return o.sent > 0 && o.succeeded == 1 } // on a slow machine too
	p := plan{rounds: 1, length: 2 * time.Second, minRate: 20, maxRate: 20, step: 1, sustained: succeeds}
	must.Succeed(t, run(t.Context(), p, &text, io.Discard))
	rows := strings.Split(strings.TrimSpace(text.String()), "\n")[4:]
	if len(rows) != 3 {
		t.Fatalf("%d programs in the report, want 3:\n%s", len(rows), text.String())
	}
	for _, row := range rows {
		if strings.Contains(row, "| 0.000 |") || !strings.Contains(row, "| 20/s | 1.00× |") {
			t.Errorf("nothing was measured: %s", row)
		}
	}
}

func TestSustains(t *testing.T) {
	for _, test := range []struct {
		outcome
		want bool
	}{
		{outcome{sent: 100, succeeded: 1, p99: 10}, true},
		{outcome{sent: 98, succeeded: 1, p99: 10}, false},
		{outcome{sent: 100, succeeded: 0.98, p99: 10}, false},
		{outcome{sent: 100, succeeded: 1, p99: 251}, false},
	} {
		if got := test.sustains(100); got != test.want {
			t.Errorf("%+v sustains 100/s: %t, want %t", test.outcome, got, test.want)
		}
	}
}

// The highest rate is the last one before a rate at which all tries failed.
func TestHighest(t *testing.T) {
	attempts := map[int]int{} // of the sender middling, by rate
	succeed := func(rate int) (outcome, error) { return outcome{sent: float64(rate), succeeded: 1}, nil }
	middling := sender{"middling", func(_ context.Context, rate int, _ time.Duration) (outcome, error) {
		attempts[rate]++
		if rate > 30 || rate == 20 && attempts[rate] == 1 {
			return outcome{sent: 0}, nil
		}
		return succeed(rate)
	}}
	best := sender{"best", func(_ context.Context, rate int, _ time.Duration) (outcome, error) { return succeed(rate) }}
	failed := errors.New("failed")
	worst := sender{"worst", func(context.Context, int, time.Duration) (outcome, error) { return outcome{}, nil }}
	broken := sender{"broken", func(context.Context, int, time.Duration) (outcome, error) { return outcome{}, failed }}
	p := plan{length: 2 * time.Millisecond, minRate: 10, maxRate: 50, step: 10, sustained: outcome.sustains}
	got, err := p.highest(t.Context(), []sender{middling, best, worst}, io.Discard)
	if err != nil || !slices.Equal(got, []int{30, 50, 0}) || attempts[20] != 2 || attempts[40] != tries || attempts[50] != 0 {
		t.Errorf("highest rates %d, attempts by rate %v, %v", got, attempts, err)
	}
	if _, err := p.highest(t.Context(), []sender{broken}, io.Discard); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

func TestReport(t *testing.T) {
	r := report{half: 500, rows: []row{
		{"vegeta", 1000, []outcome{{500, 1, 1, 4}, {500, 1, 3, 2}, {500, 1, 2, 3}}},
		{"other", 800, []outcome{{500, 1, 1, 3}, {100, 1, 2, 6}}},
	}}
	const want = "| vegeta | 1000/s | 1.00× | 3 of 3 | 2.000 | 1.00× | 3.000 | 1.00× |\n" +
		"| other | 800/s | 0.80× | 1 of 2 | 1.500 | 0.75× | 4.500 | 1.50× |\n"
	if got := r.markdown(); !strings.HasSuffix(got, want) {
		t.Errorf("got\n%swant at its end\n%s", got, want)
	}
}

package main

import (
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	seconds := func(list ...float64) (times []time.Duration) {
		for _, s := range list {
			times = append(times, time.Duration(s*float64(time.Second)))
		}
		return times
	}
	got := report([]app{{name: "stock"}, {name: "ours"}}, [][]time.Duration{seconds(4, 9, 2, 6), seconds(6, 6.5, 20, 7)})
	want := "| warm `npx cdk synth -q`, 4 times in turn | median (s) | fastest | slowest | of the stock app |\n|---|---|---|---|---|\n" +
		"| stock | 5.00 | 2.00 | 9.00 | 1.00 |\n| ours | 6.75 | 6.00 | 20.00 | 1.35 |\n"
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	if odd := median(seconds(3, 1, 2)); odd != 2*time.Second {
		t.Errorf("the median of 3, 1 and 2 s is %v", odd)
	}
}

package main

import (
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	samples := func(seconds ...float64) (list []sample) {
		for _, s := range seconds {
			list = append(list, sample{time.Duration(s * float64(time.Second)), time.Duration(s * float64(2*time.Second))})
		}
		return list
	}
	got := report([]app{{name: "stock"}, {name: "ours"}}, [][]sample{samples(4, 9, 2, 6), samples(6, 6.5, 20, 7)})
	want := "| warm `npx cdk synth -q`, 4 times in turn | median (s) | min | max | vs stock app | " +
		"CPU time, median (s) | vs stock app |\n|---|---|---|---|---|---|---|\n" +
		"| stock | 5.00 | 2.00 | 9.00 | 1.00 | 10.00 | 1.00 |\n| ours | 6.75 | 6.00 | 20.00 | 1.35 | 13.50 | 1.35 |\n"
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
	if odd := median([]time.Duration{1, 2, 3}); odd != 2 {
		t.Errorf("the median of 1, 2 and 3 is %d, want 2", odd)
	}
}

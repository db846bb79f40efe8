package load

import "testing"

func TestSpread(t *testing.T) {
	for want, figures := range map[string][]float64{
		"2.00 (2.00–2.00)": {2}, "2.00 (1.00–9.00)": {9, 1, 2}, "2.50 (1.00–9.00)": {3, 9, 1, 2},
	} {
		var results []Result
		for _, p50 := range figures {
			results = append(results, Result{Latency: Quantiles{P50: p50}})
		}
		if got := SpreadOf(results, func(r Result) float64 { return r.Latency.P50 }).String(); got != want {
			t.Errorf("%v: %s, want %s", figures, got, want)
		}
	}
}

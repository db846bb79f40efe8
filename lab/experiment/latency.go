package experiment

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/chart"
	"stateless-servers/lab/load"
	"stateless-servers/lab/report"
)

// latency measures a fleet on every store: at one rate for all, and then at growing rates until one isn't sustained.
type latency struct {
	setups []setup
	maxP50 time.Duration // the greatest allowed median latency
}

func newLatency() latency {
	e := latency{maxP50: 250 * time.Millisecond}
	e.setups = append(e.setups, setup{store: config.StoreMemory, sticky: true, servers: 2})
	for _, kind := range append(sharedStores(), config.StoreCookie, config.StoreToken) {
		e.setups = append(e.setups, setup{store: kind, servers: 2})
	}
	return e
}

func (latency) Name() string { return "latency" }

func (latency) Claim() string {
	return "Every store is fast enough for a call in every request: at the same rate nearly all responses are right, " +
		"and half of them take at most a quarter of a second."
}

const (
	sameRate = 100                    // requests per second
	maxP99   = 250 * time.Millisecond // of a sustained rate
	minShare = 0.99                   // the least share of requests that are sent, and answered correctly
)

// higherRates returns the rates that are tried in turn, in requests per second.
func higherRates() []float64 { return []float64{200, 400, 800, 1600} }

func (e latency) Run(ctx context.Context, runner *Runner) (Observation, error) {
	o := Observation{Advice: "Choose a store by its promises and its cost. Its latency rarely decides. One small " +
		"machine ran everything: visitors, load balancer, servers and store."}
	v := e.visitors(sameRate)
	o.set("fleet", "%d servers for each store", e.setups[0].servers)
	o.set("visitors", "%d, who send %d requests per second in total, reads and (but with tokens, which don't change) "+
		"writes: %s",
		v.Sessions, sameRate, v.Mix)
	o.set("runs", "%d at this rate for each store; the latencies are medians of the runs, with the range. Stores whose ranges overlap don't differ", runs)
	o.set("highest rate", "of %v per second, in turn: the last with a p99 up to %v and 99 %% of the requests sent "+
		"and answered right; each is tried %d times", higherRates(), maxP99, tries)
	table := Table{Title: fmt.Sprintf("Latency at %d requests per second, in ms, and the highest sustained rate", sameRate), Columns: []string{
		"sessions in", "requests", "failed", "p50", "p90", "p99", "max", "sustained, requests/s"}}
	curves := chart.Chart{
		Title: fmt.Sprintf("Latency by percentile at %d requests per second, for each store: the run with the median p99", sameRate),
		X:     chart.Axis{Label: "percentile", Kind: chart.Percentile}, Y: chart.Axis{Label: "latency, ms", Kind: chart.Log},
	}
	for _, s := range e.setups {
		same, held, err := e.observe(ctx, runner, s)
		if err != nil {
			return o, err
		}
		var requests, ok int64
		for _, r := range same {
			requests, ok = requests+r.Requests, ok+r.OK
		}
		spread := func(figure func(load.Quantiles) float64) load.Spread {
			return load.SpreadOf(same, func(r load.Result) float64 { return figure(r.Latency) })
		}
		p50 := spread(func(q load.Quantiles) float64 { return q.P50 })
		rate := any(held)
		if held == 0 {
			rate = "less than " + cell(sameRate)
		}
		table.Rows = append(table.Rows, []any{s.String(), requests, requests - ok, p50, spread(func(q load.Quantiles) float64 { return q.P90 }),
			spread(func(q load.Quantiles) float64 { return q.P99 }), spread(func(q load.Quantiles) float64 { return q.Max }), rate})
		o.assertAtLeast("share of the requests answered correctly with "+s.String(), float64(ok)/float64(max(1, requests)), minShare)
		o.assertAtMost("p50 with "+s.String()+", ms", p50.Median, float64(e.maxP50.Milliseconds()))
		slices.SortFunc(same, func(a, b load.Result) int { return cmp.Compare(a.Latency.P99, b.Latency.P99) })
		line, err := report.LatencyLine(s.String(), same[len(same)/2].Histograms.Latency)
		if err != nil {
			return o, err
		}
		curves.Series = append(curves.Series, line)
	}
	o.Tables = append(o.Tables, table)
	o.Charts = append(o.Charts, Chart{e.Name(), curves})
	return o, nil
}

func (latency) visitors(rate float64) load.Options {
	v := visitors()
	v.Rate, v.Mix = load.Rate{{From: rate, To: rate}}, readsAndWrites(true)
	return v
}

// readsAndWrites returns the mix of all stores; tokens take no writes.
func readsAndWrites(writes bool) load.Mix {
	mix, _ := load.ParseMix("read=100")
	if writes {
		mix, _ = load.ParseMix("read=75,write=25")
	}
	return mix
}

// runs is the number of load tests at the rate for all stores.
const runs = 5

// tries is the number of attempts at each rate, since the machine may be busy for a moment.
const tries = 2

// observe returns the results at the rate for all stores, and the highest sustained rate; 0 if not even that one was sustained.
func (e latency) observe(ctx context.Context, runner *Runner, s setup) (same []load.Result, held float64, err error) {
	env, err := runner.open(ctx, s)
	if err != nil {
		return nil, 0, err
	}
	defer env.Close()
	send := func(rate float64, warmup, duration time.Duration) (load.Result, error) {
		runner.Report(fmt.Sprintf("%s at %g requests per second", s, rate))
		v := e.visitors(rate)
		v.Mix = readsAndWrites(s.store != config.StoreToken)
		v.Warmup, v.Duration = warmup, duration
		return env.runLoad(ctx, v)
	}
	// DynamoDB Local runs in a Java virtual machine, which needs a warm-up.
	if _, err = send(sameRate/4, 0, runner.Phase); err != nil {
		return nil, 0, err
	}
	for range runs {
		r, err := send(sameRate, runner.Phase/2, runner.Phase)
		if err != nil {
			return nil, 0, err
		}
		if same = append(same, r); sustained(r, sameRate) {
			held = sameRate
		}
	}
	for _, rate := range higherRates() {
		for try := 0; try < tries && held < rate; try++ {
			r, err := send(rate, runner.Phase/2, runner.Phase)
			if err != nil {
				return nil, 0, err
			}
			if sustained(r, rate) {
				held = rate
			}
		}
		if held < rate {
			break
		}
	}
	return same, held, nil
}

// sustained reports whether the load test sustained the rate.
func sustained(r load.Result, rate float64) bool {
	return r.RateAchieved >= minShare*rate && float64(r.OK) >= minShare*float64(r.Requests) &&
		r.Latency.P99 <= float64(maxP99.Milliseconds())
}

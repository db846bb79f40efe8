package experiment

import (
	"context"
	"fmt"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/chart"
	"stateless-servers/lab/load"
	"stateless-servers/lab/report"
)

// latency sends requests to a fleet on every store: at one rate, and then at rates that grow until one isn't held.
type latency struct {
	setups []setup
	half   time.Duration // in which half of the answers must come
}

func newLatency() latency {
	e := latency{half: 250 * time.Millisecond}
	e.setups = append(e.setups, setup{store: config.StoreMemory, sticky: true, servers: 2})
	for _, kind := range append(sharedStores(), config.StoreCookie, config.StoreToken) {
		e.setups = append(e.setups, setup{store: kind, servers: 2})
	}
	return e
}

func (latency) Name() string { return "latency" }

func (latency) Claim() string {
	return "Every store is fast enough to be asked on every request: at the same rate nearly all answers are " +
		"right, and half of them come within a quarter of a second, wherever sessions are."
}

const (
	sameRate  = 100                    // requests a second
	limitP99  = 250 * time.Millisecond // of a rate that is held
	rightOnes = 0.99                   // of the requests, at least
)

// steps are the rates that are tried in turn, in requests a second.
func steps() []float64 { return []float64{200, 400, 800, 1600} }

func (e latency) Run(ctx context.Context, lab *Lab) (Observation, error) {
	o := Observation{Advice: "Choose by what a store promises and costs; its latency is seldom what decides. The " +
		"figures are those of one small machine that runs everything: visitors, load balancer, servers and store."}
	v := e.visitors(sameRate)
	o.set("fleet", "%d servers for each store", e.setups[0].servers)
	o.set("visitors", "%d, who send %d requests a second together, reads and (but with tokens, which don't change) "+
		"writes: %s",
		v.Sessions, sameRate, v.Mix)
	o.set("highest rate", "of %v a second, in turn: the last with a p99 up to %v and 99 %% of the requests sent "+
		"and answered right; each is tried %d times", steps(), limitP99, tries)
	table := Table{Title: fmt.Sprintf("Latency at %d requests a second, in ms, and the highest rate held", sameRate), Columns: []string{
		"sessions in", "requests", "failed", "p50", "p90", "p99", "p99.9", "max", "held, requests/s"}}
	curves := chart.Chart{
		Title: fmt.Sprintf("Latency by percentile at %d requests a second, for each store", sameRate),
		X:     chart.Axis{Label: "percentile", Kind: chart.Percentile}, Y: chart.Axis{Label: "latency, ms", Kind: chart.Log},
	}
	for _, s := range e.setups {
		r, held, err := e.observe(ctx, lab, s)
		if err != nil {
			return o, err
		}
		q := r.Latency
		rate := any(held)
		if held == 0 {
			rate = "less than " + cell(sameRate)
		}
		table.Rows = append(table.Rows, []any{s.String(), r.Requests, r.Requests - r.OK, q.P50, q.P90, q.P99, q.P999, q.Max, rate})
		o.atLeast("share of the requests answered right with "+s.String(), float64(r.OK)/float64(max(1, r.Requests)), rightOnes)
		o.atMost("p50 with "+s.String()+", ms", q.P50, float64(e.half.Milliseconds()))
		line, err := report.LatencyLine(s.String(), r.Histograms.Latency)
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

// readsAndWrites is the same for all stores, but that tokens change by login only.
func readsAndWrites(writes bool) load.Mix {
	mix, _ := load.ParseMix("read=100")
	if writes {
		mix, _ = load.ParseMix("read=75,write=25")
	}
	return mix
}

// tries is how often a rate is tried until it is held: a machine that is busy with something else for a moment proves
// nothing.
const tries = 2

// observe returns what came of the same rate, and the highest rate that was held; 0 if not even that was.
func (e latency) observe(ctx context.Context, lab *Lab, s setup) (same load.Result, held float64, err error) {
	scene, err := lab.open(ctx, s)
	if err != nil {
		return same, 0, err
	}
	defer scene.Close()
	send := func(rate float64, warmup, duration time.Duration) (load.Result, error) {
		lab.Report(fmt.Sprintf("%s at %g requests a second", s, rate))
		v := e.visitors(rate)
		v.Mix = readsAndWrites(s.store != config.StoreToken)
		v.Warmup, v.Duration = warmup, duration
		return scene.send(ctx, v)
	}
	// A store in a virtual machine for Java is slow until that has compiled it.
	if _, err = send(sameRate/4, 0, lab.Phase); err != nil {
		return same, 0, err
	}
	if same, err = send(sameRate, lab.Phase, 5*lab.Phase/2); err != nil {
		return same, 0, err
	}
	if holds(same, sameRate) {
		held = sameRate
	}
	for _, rate := range steps() {
		for try := 0; try < tries && held < rate; try++ {
			r, err := send(rate, lab.Phase/2, lab.Phase)
			if err != nil {
				return same, 0, err
			}
			if holds(r, rate) {
				held = rate
			}
		}
		if held < rate {
			break
		}
	}
	return same, held, nil
}

// holds reports whether the rate was held.
func holds(r load.Result, rate float64) bool {
	return r.RateAchieved >= rightOnes*rate && float64(r.OK) >= rightOnes*float64(r.Requests) &&
		r.Latency.P99 <= float64(limitP99.Milliseconds())
}

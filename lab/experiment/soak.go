package experiment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"stateless-servers/app/config"
	"stateless-servers/lab/balancer"
	"stateless-servers/lab/load"
)

// soak kills servers, and pauses and restarts their store, at random times for the Runner's Length.
type soak struct {
	setup    setup
	every    time.Duration // the mean time from the end of a fault to the next of its kind; 0.5 to 1.5 times as long
	visitors int           // each sends a request a second, and logs out about once a minute: sessions live through faults
}

func newSoak() soak {
	s := setup{store: config.StoreValkey, durable: true, servers: 3, change: defaultTimeout, idle: 10 * time.Second}
	return soak{s, 30 * time.Second, 100}
}

func (soak) Name() string { return "soak" }

func (soak) Claim() string {
	return "While servers are killed, and their store is paused and restarted with its data, no session and no " +
		"acknowledged update is lost, and there are no stale reads, cross-session leaks or sessions alive after logout. A " +
		"server that keeps running needs no more memory, goroutines and file descriptors at the end than at the start."
}

const (
	survivor = "server-1" // the server that is never killed, and is measured
	seeds    = 1_000_000  // the number of random seeds: short ones are easy to type

	// A pause is longer than the servers' timeout for the store.
	minPause, maxPause = time.Second, 4 * time.Second
	maxAbsence         = 2 * time.Second // the longest time from the end of a store to its restart
)

func (e soak) Run(ctx context.Context, runner *Runner) (Observation, error) {
	seed := runner.Seed
	if seed == 0 {
		// #nosec G404 -- faults must be repeatable
		seed = 1 + rand.IntN(seeds)
	}
	runner.Report(fmt.Sprintf("the faults' times and kinds are of the seed %d", seed))
	v := visitors()
	v.Rate = load.Rate{{From: float64(e.visitors), To: float64(e.visitors)}}
	v.Sessions, v.Duration = e.visitors, runner.Length+maxDrill
	o := Observation{Advice: "Servers and their store can restart at any time, if sessions are in a store that keeps " +
		"acknowledged changes on disk or on several machines."}
	o.set("length", "%v, with a fault of servers and one of the store every %v on average, each kind on its own", runner.Length, e.every)
	o.set("seed", "%d, which draws the faults: `--seed %d` draws the same", seed, seed)
	o.set("fleet", "%d servers, of which %s is never killed; a store has %v to answer",
		e.setup.servers, survivor, config.Default().StoreTimeout)
	o.set("store", "Valkey, which writes each update to its file and has that on disk (appendfsync always) before it acknowledges")
	o.set("load balancer", "closes connections that are idle for %v, so that those of one fault are gone by the next", e.setup.idle)
	o.describeLoad(v)

	env, err := runner.open(ctx, e.setup)
	if err != nil {
		return o, err
	}
	defer env.Close()
	url, err := env.fleet.Metrics(survivor)
	if err != nil {
		return o, err
	}
	witness := newClient(env.url)
	for range e.setup.servers { // each connects to the store
		if err := visit(ctx, witness); err != nil {
			return o, err
		}
	}
	// #nosec G115 -- any bits are a seed
	s := &soakRun{environment: env, every: e.every, seed: uint64(seed), meter: newMeter(url), witness: witness}
	if s.before, err = s.meter.watch(ctx, time.Now(), idleLength); err != nil {
		return o, err
	}
	runner.Report("killing servers, pausing and restarting their store under load")
	r, err := env.runUnderLoad(ctx, v, s.run)
	if err != nil {
		return o, err
	}
	runner.Report("waiting until the load balancer has closed its connections")
	if err = pause(ctx, e.setup.idle+runner.Phase); err != nil {
		return o, err
	}
	if s.after, err = s.meter.watch(ctx, time.Now(), idleLength); err != nil {
		return o, err
	}
	e.assess(&o, r, s)
	return o, nil
}

// visit repeats the client's first request until it succeeds, because servers time out while the store starts.
func visit(ctx context.Context, witness *client) error {
	for began := time.Now(); ; {
		_, err := witness.must(ctx, http.MethodPost, "/api/visits", nil)
		if err == nil || ctx.Err() != nil || time.Since(began) > healTimeout {
			return err
		}
		_ = pause(ctx, readPause)
	}
}

// assess adds the assertions, tables and charts of the soak.
func (e soak) assess(o *Observation, r load.Result, s *soakRun) {
	c := r.Sessions
	o.assertAtLeast("sessions checked", float64(c.Total), float64(e.visitors))
	o.assertAtMost("sessions lost", float64(c.Lost), 0)
	o.assertAtMost("acknowledged updates lost", float64(c.LostUpdates), 0)
	o.assertAtMost("stale reads", float64(c.StaleReads), 0)
	o.assertAtMost("cross-session leaks", float64(c.CrossSessionLeaks), 0)
	o.assertAtMost("sessions alive after logout", float64(c.AliveAfterLogout), 0)
	o.assertAtLeast("servers killed", float64(s.kills), 1)
	o.assertAtLeast("pauses of the store", float64(s.pauses), 1)
	o.assertAtLeast("restarts of the store", float64(s.restarts), 1)
	o.assertAtLeast(fmt.Sprintf("of these %d times, the first session was there again within %v", s.pauses+s.restarts, healTimeout),
		float64(s.healed), float64(s.pauses+s.restarts))
	o.assertAtLeast("servers that run at the end", float64(s.running()), float64(e.setup.servers))
	o.assertNoGrowth(s.samples, s.runner.Length)
	o.assertNoLeak(s.before, s.after)

	o.addLoadTable(r)
	classes := Table{Title: "Failed requests", Columns: []string{"class", "requests"}}
	for _, class := range slices.Sorted(maps.Keys(r.Errors)) {
		classes.Rows = append(classes.Rows, []any{class, r.Errors[class]})
	}
	o.Tables = append(o.Tables, classes)
	if len(r.Findings) > 0 {
		found := Table{Title: "Violations", Columns: []string{"explanation"}}
		for _, finding := range r.Findings {
			found.Rows = append(found.Rows, []any{finding})
		}
		o.Tables = append(o.Tables, found)
	}
	o.Timeline = s.faults
	o.drawSamples(e.Name(), s.samples, s.faults)
}

// soakRun is the state of a running soak.
type soakRun struct {
	*environment
	every   time.Duration
	seed    uint64
	meter   meter
	witness *client // has a session from before the first fault
	began   time.Time

	before, samples, after   []sample // idle before the load, under load, idle after it
	kills                    int
	pauses, restarts, healed int
	deck                     []int // the kinds of the store's next faults

	mu     sync.Mutex
	faults []Event
}

// run causes faults until the time is up, and waits for one phase after the last.
func (s *soakRun) run(ctx context.Context) error {
	s.began = time.Now()
	group, together := errgroup.WithContext(ctx)
	// #nosec G404 -- faults must be repeatable
	group.Go(func() error { return s.repeat(together, s.kill, rand.New(rand.NewPCG(s.seed, 1))) })
	// #nosec G404 -- faults must be repeatable
	group.Go(func() error { return s.repeat(together, s.disturb, rand.New(rand.NewPCG(s.seed, 2))) })
	group.Go(func() error {
		var err error
		s.samples, err = s.meter.watch(together, s.began, s.runner.Length)
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return pause(ctx, s.runner.Phase)
}

// repeat causes one fault after another until the time is up.
func (s *soakRun) repeat(ctx context.Context, fault func(context.Context, *rand.Rand) error, r *rand.Rand) error {
	end := s.began.Add(s.runner.Length)
	for {
		gap := s.every/2 + time.Duration(r.Int64N(int64(s.every)))
		if time.Now().Add(gap).After(end) {
			return pause(ctx, time.Until(end))
		}
		if err := pause(ctx, gap); err != nil {
			return err
		}
		if err := fault(ctx, r); err != nil {
			return err
		}
	}
}

// addFault adds a fault to the timeline and reports it.
func (s *soakRun) addFault(format string, arguments ...any) {
	what := fmt.Sprintf(format, arguments...)
	s.mu.Lock()
	s.faults = append(s.faults, Event{"soak", len(s.faults) + 1, time.Since(s.began).Seconds(), what})
	s.mu.Unlock()
	s.runner.Report(what)
}

// kill kills a healthy server, and starts another once the load balancer has noticed.
func (s *soakRun) kill(ctx context.Context, r *rand.Rand) error {
	var others []string
	for _, server := range s.fleet.Servers() {
		if server.State == balancer.StateHealthy && server.Name != survivor {
			others = append(others, server.Name)
		}
	}
	n := r.Int() // drawn in every case, so that the following faults are the same
	if len(others) == 0 {
		return nil
	}
	victim := others[n%len(others)]
	s.addFault("%s is killed, and another launched in its place", victim)
	s.kills++
	if err := s.fleet.Kill(victim); err != nil {
		return err
	}
	if err := s.fleet.Balancer().Await(ctx, victim, balancer.StateUnhealthy); err != nil {
		return err
	}
	_, err := s.fleet.Add(ctx)
	return err
}

// disturb pauses or restarts the store, each equally often, and waits until the witness has its session again.
func (s *soakRun) disturb(ctx context.Context, r *rand.Rand) error {
	if len(s.deck) == 0 {
		s.deck = r.Perm(2)
	}
	kind, share := s.deck[0], r.Float64()
	s.deck = s.deck[1:]
	store := s.store.Server
	var err error
	if kind == 0 {
		length := minPause + time.Duration(share*float64(maxPause-minPause))
		s.addFault("the store is paused for %.1f s", length.Seconds())
		s.pauses++
		err = store.Pause()
		if err == nil {
			err = errors.Join(pause(ctx, length), store.Resume())
		}
	} else {
		length := time.Duration(share * float64(maxAbsence))
		s.addFault("the store is killed, and started again after %.1f s", length.Seconds())
		s.restarts++
		err = store.Kill()
		if err == nil {
			err = pause(ctx, length)
		}
		if err == nil {
			err = store.Restart(ctx)
		}
	}
	if err != nil {
		return err
	}
	_, back := storeOutage{}.heal(ctx, s.witness)
	s.healed += back
	return ctx.Err()
}

// running returns the number of servers whose process has not ended.
func (s *soakRun) running() (n int) {
	for _, server := range s.fleet.Servers() {
		if process, err := s.fleet.Process(server.Name); err == nil && process.Ended() == nil {
			n++
		}
	}
	return n
}

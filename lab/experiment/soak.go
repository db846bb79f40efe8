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

// soak kills servers, and pauses and restarts their store, at random times for as long as the lab says.
type soak struct {
	setup    setup
	every    time.Duration // from the end of a fault to the next of its kind, on average: half as long to half as long again
	visitors int           // each sends a request a second, and logs out about once a minute: sessions live through faults
}

func newSoak() soak {
	s := setup{store: config.StoreValkey, durable: true, servers: 3, change: impatient, idle: 10 * time.Second}
	return soak{s, 30 * time.Second, 100}
}

func (soak) Name() string { return "soak" }

func (soak) Claim() string {
	return "For as long as servers are killed, and their store is paused and restarted with its data, no session and no " +
		"acknowledged update is lost, and none is stale, crossed or resurrected. A server that stays takes no more " +
		"memory, goroutines and file descriptors in the end than in the beginning."
}

const (
	survivor = "server-1" // is never killed, and measured
	seeds    = 1_000_000  // to draw one from that is easy to type

	// A pause outlasts what servers give the store to answer.
	shortestPause, longestPause = time.Second, 4 * time.Second
	maxAbsence                  = 2 * time.Second // of a store, from its end to its start
)

func (e soak) Run(ctx context.Context, lab *Lab) (Observation, error) {
	seed := lab.Seed
	if seed == 0 {
		// #nosec G404 -- a drill that can be repeated
		seed = 1 + rand.IntN(seeds)
	}
	lab.Report(fmt.Sprintf("the faults' times and kinds are of the seed %d", seed))
	v := visitors()
	v.Rate = load.Rate{{From: float64(e.visitors), To: float64(e.visitors)}}
	v.Sessions, v.Duration = e.visitors, lab.Length+maxDrill
	o := Observation{Advice: "Let servers and their store be restarted whenever that is convenient, and keep sessions " +
		"in a store that has on disk, or on several machines, what it acknowledges."}
	o.set("length", "%v, with a fault of servers and one of the store every %v on average, each kind on its own", lab.Length, e.every)
	o.set("seed", "%d, which draws the faults: `--seed %d` draws the same", seed, seed)
	o.set("fleet", "%d servers, of which %s is never killed; a store has %v to answer",
		e.setup.servers, survivor, config.Default().StoreTimeout)
	o.set("store", "Valkey, which writes each update to its file and has that on disk (appendfsync always) before it acknowledges")
	o.set("load balancer", "closes connections that are idle for %v, so that those of one fault are gone by the next", e.setup.idle)
	o.describe(v)

	scene, err := lab.open(ctx, e.setup)
	if err != nil {
		return o, err
	}
	defer scene.Close()
	scene.expected = lab.Phase + lab.Length + lab.Phase
	url, err := scene.fleet.Metrics(survivor)
	if err != nil {
		return o, err
	}
	witness := newBrowser(scene.url)
	for range e.setup.servers { // each connects to the store
		if err := visit(ctx, witness); err != nil {
			return o, err
		}
	}
	// #nosec G115 -- any bits are a seed
	s := &soaking{scene: scene, every: e.every, seed: uint64(seed), meter: newMeter(url), witness: witness}
	if s.before, err = s.meter.watch(ctx, time.Now(), restLength); err != nil {
		return o, err
	}
	lab.Report("killing servers, pausing and restarting their store under load")
	r, err := scene.under(ctx, v, s.run)
	if err != nil {
		return o, err
	}
	lab.Report("waiting until the load balancer has closed its connections")
	if err = pause(ctx, e.setup.idle+lab.Phase); err != nil {
		return o, err
	}
	if s.after, err = s.meter.watch(ctx, time.Now(), restLength); err != nil {
		return o, err
	}
	e.judge(&o, r, s)
	return o, nil
}

// visit sends the witness's first requests until one is answered: servers have little patience with a store that starts.
func visit(ctx context.Context, witness *browser) error {
	for began := time.Now(); ; {
		_, err := witness.must(ctx, http.MethodPost, "/api/visits", nil)
		if err == nil || ctx.Err() != nil || time.Since(began) > healTimeout {
			return err
		}
		_ = pause(ctx, readPause)
	}
}

// judge says what came of it.
func (e soak) judge(o *Observation, r load.Result, s *soaking) {
	c := r.Sessions
	o.atLeast("sessions followed", float64(c.Total), float64(e.visitors))
	o.atMost("sessions lost", float64(c.Lost), 0)
	o.atMost("acknowledged updates lost", float64(c.LostUpdates), 0)
	o.atMost("stale reads", float64(c.StaleReads), 0)
	o.atMost("answers with another session's data", float64(c.CrossSessionLeaks), 0)
	o.atMost("sessions back after logout", float64(c.AliveAfterLogout), 0)
	o.atLeast("servers killed", float64(s.kills), 1)
	o.atLeast("pauses of the store", float64(s.pauses), 1)
	o.atLeast("restarts of the store", float64(s.restarts), 1)
	o.atLeast(fmt.Sprintf("of these %d times, the first session was there again within %v", s.pauses+s.restarts, healTimeout),
		float64(s.healed), float64(s.pauses+s.restarts))
	o.atLeast("servers that run at the end", float64(s.running()), float64(e.setup.servers))
	o.steady(s.samples, s.lab.Length)
	o.settled(s.before, s.after)

	o.figures(r)
	classes := Table{Title: "Failed requests", Columns: []string{"class", "requests"}}
	for _, class := range slices.Sorted(maps.Keys(r.Errors)) {
		classes.Rows = append(classes.Rows, []any{class, r.Errors[class]})
	}
	o.Tables = append(o.Tables, classes)
	if len(r.Findings) > 0 {
		found := Table{Title: "What was found wrong", Columns: []string{"in words"}}
		for _, finding := range r.Findings {
			found.Rows = append(found.Rows, []any{finding})
		}
		o.Tables = append(o.Tables, found)
	}
	o.Timeline = s.faults
	o.drawSamples(e.Name(), s.samples, s.faults)
}

// soaking is a soak that is on.
type soaking struct {
	*scene
	every   time.Duration
	seed    uint64
	meter   meter
	witness *browser // whose session began before the first fault
	began   time.Time

	before, samples, after   []sample // at rest, under load, at rest again
	kills                    int
	pauses, restarts, healed int
	deck                     []int // the kinds of the store's next faults

	mu     sync.Mutex
	faults []Event
}

// run makes faults until the time is up, and lets what began last settle.
func (s *soaking) run(ctx context.Context) error {
	s.began = time.Now()
	group, together := errgroup.WithContext(ctx)
	// #nosec G404 -- a drill that can be repeated
	group.Go(func() error { return s.repeat(together, s.kill, rand.New(rand.NewPCG(s.seed, 1))) })
	// #nosec G404 -- a drill that can be repeated
	group.Go(func() error { return s.repeat(together, s.disturb, rand.New(rand.NewPCG(s.seed, 2))) })
	group.Go(func() error {
		var err error
		s.samples, err = s.meter.watch(together, s.began, s.lab.Length)
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	return pause(ctx, s.lab.Phase)
}

// repeat makes a fault after the other until the time is up.
func (s *soaking) repeat(ctx context.Context, fault func(context.Context, *rand.Rand) error, r *rand.Rand) error {
	end := s.began.Add(s.lab.Length)
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

// note puts a fault into the timeline, and tells of it.
func (s *soaking) note(format string, arguments ...any) {
	what := fmt.Sprintf(format, arguments...)
	s.mu.Lock()
	s.faults = append(s.faults, Event{"soak", len(s.faults) + 1, time.Since(s.began).Seconds(), what})
	s.mu.Unlock()
	s.lab.Report(what)
}

// kill ends one of the servers that are healthy, and launches another once the load balancer has noticed.
func (s *soaking) kill(ctx context.Context, r *rand.Rand) error {
	var others []string
	for _, server := range s.fleet.Servers() {
		if server.State == balancer.StateHealthy && server.Name != survivor {
			others = append(others, server.Name)
		}
	}
	n := r.Int() // drawn in any case, so that what follows is the same
	if len(others) == 0 {
		return nil
	}
	victim := others[n%len(others)]
	s.note("%s is killed, and another launched in its place", victim)
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

// disturb pauses the store or restarts it, each as often as the other, and waits until the witness has its session again.
func (s *soaking) disturb(ctx context.Context, r *rand.Rand) error {
	if len(s.deck) == 0 {
		s.deck = r.Perm(2)
	}
	kind, share := s.deck[0], r.Float64()
	s.deck = s.deck[1:]
	store := s.store.Server
	var err error
	if kind == 0 {
		length := shortestPause + time.Duration(share*float64(longestPause-shortestPause))
		s.note("the store is paused for %.1f s", length.Seconds())
		s.pauses++
		err = store.Pause()
		if err == nil {
			err = errors.Join(pause(ctx, length), store.Resume())
		}
	} else {
		length := time.Duration(share * float64(maxAbsence))
		s.note("the store is killed, and started again after %.1f s", length.Seconds())
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

// running counts the servers whose process has not ended.
func (s *soaking) running() (n int) {
	for _, server := range s.fleet.Servers() {
		if process, err := s.fleet.Process(server.Name); err == nil && process.Ended() == nil {
			n++
		}
	}
	return n
}

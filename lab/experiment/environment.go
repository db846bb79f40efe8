package experiment

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/balancer"
	"stateless-servers/lab/check"
	"stateless-servers/lab/fleet"
	"stateless-servers/lab/load"
	"stateless-servers/lab/localstore"
	"stateless-servers/session/sessiontest/storeserver"
)

// Runner has the options of running experiments. It isn't safe for concurrent use.
type Runner struct {
	// Build compiles the sample server and returns the path of the program.
	Build func(context.Context) (string, error)
	// Phase is the duration of each part of a test that doesn't wait for an event.
	Phase time.Duration
	// Length is the duration of the experiment soak.
	Length time.Duration
	// Seed determines the faults of the experiment soak and their times; 0 draws a random seed.
	Seed int
	// Sessions is the greatest number of sessions of the experiment scale, at least 2000.
	Sessions int
	// Report is called with a line for each step. It must be safe for concurrent use.
	Report func(line string)
	// Progress is called once a second while requests are sent; may be nil.
	Progress func(load.Progress)

	versions []string // of the stores and libraries in use
}

// DefaultPhase is long enough for stable figures, and short enough to run all experiments in 20 minutes.
const DefaultPhase = 4 * time.Second

// DefaultLength is long enough to detect a leak of 200 bytes per request.
const DefaultLength = 20 * time.Minute

// DefaultSessions is far more than fit into the memory of a processor's caches.
const DefaultSessions = 1_000_000

const (
	healthInterval = time.Second     // a fifth of the least interval of an ALB, so that experiments are short
	healthTimeout  = 5 * time.Second // generous, since the machine may be slow; a dead server refuses at once
	keepAlive      = 75 * time.Second
	storeTimeout   = 9 * time.Second // generous, so that a busy machine causes no timeouts
)

// setup describes the fleet and the store that an experiment needs.
type setup struct {
	store   config.StoreKind
	sticky  bool
	servers int
	link    bool // put a forwarder between servers and store
	durable bool // the store is a Valkey that keeps its data over a restart
	// revocation is the store of the list of revoked tokens; empty for none.
	revocation config.StoreKind
	// idle is the load balancer's idle timeout; 0 for that of an ALB.
	idle time.Duration
	// change changes the servers' configuration; the environment calls the close that it returns. May be nil.
	change func(context.Context, *config.Config) (close func() error, err error)
}

func (s setup) String() string {
	if s.sticky {
		return string(s.store) + ", sticky"
	}
	if s.revocation != "" {
		return string(s.store) + ", revoked in " + string(s.revocation)
	}
	return string(s.store)
}

// environment is a running fleet with its load balancer and its store.
type environment struct {
	setup
	runner *Runner
	url    string
	fleet  *fleet.Fleet
	store  localstore.Store
	link   *storeserver.Forwarder // nil unless setup.link
	closes []func() error         // in the order of opening

	mu     sync.Mutex
	note   func(string) // adds an event to the running load test; nil when there is none
	counts check.Counts // as of the last progress of the load test
}

// addVersion records the version of a program or library in use, once.
func (r *Runner) addVersion(version string) {
	if !slices.Contains(r.versions, version) {
		r.versions = append(r.versions, version)
	}
}

// open starts the environment of the setup. The caller must Close it.
func (r *Runner) open(ctx context.Context, s setup) (*environment, error) {
	r.Report(fmt.Sprintf("starting %d servers on %s", s.servers, s))
	env := &environment{setup: s, runner: r}
	if err := env.open(ctx); err != nil {
		return nil, errors.Join(err, env.Close())
	}
	return env, nil
}

func (env *environment) open(ctx context.Context) error {
	c := config.Default()
	c.AllowDelay, c.PlainHTTP, c.ShutdownDelay, c.KeepAlive, c.StoreTimeout = true, true, 0, keepAlive, storeTimeout
	if env.setup.store == config.StoreValkey || env.revocation == config.StoreValkey {
		if _, err := storeserver.ValkeyProgram(); err != nil {
			return err // the experiment needs a real server, not the embedded one
		}
	}
	var err error
	if env.durable {
		env.store, err = localstore.StartDurable(ctx, &c)
	} else {
		env.store, err = localstore.Start(ctx, env.setup.store, "", &c, env.runner.Report)
	}
	if err != nil {
		return err
	}
	env.closes = append(env.closes, env.store.Close)
	if env.revocation != "" {
		if env.store, err = localstore.StartRevocations(ctx, env.revocation, &c, env.runner.Report); err != nil {
			return err
		}
		env.closes = append(env.closes, env.store.Close)
	}
	if env.store.Server != nil {
		env.runner.addVersion(env.store.Server.Version())
	}
	if env.setup.link {
		if env.link, err = storeserver.NewForwarder(env.store.Server.Addr); err != nil {
			return err
		}
		env.closes = append(env.closes, func() error { env.link.Close(); return nil })
		redirectStore(&c, env.store.Server.Addr, env.link.Addr)
	}
	if env.change != nil {
		closeChange, err := env.change(ctx, &c)
		if err != nil {
			return err
		}
		env.closes = append(env.closes, closeChange)
	}
	program, err := env.runner.Build(ctx)
	if err != nil {
		return err
	}
	env.fleet, err = fleet.New(fleet.Options{
		Program: program, Config: c, Report: env.addEvent,
		Balancer: balancer.Options{
			HealthInterval: healthInterval, HealthTimeout: healthTimeout, Sticky: env.sticky, IdleTimeout: env.idle,
		},
	})
	if err != nil {
		return err
	}
	env.closes = append(env.closes, func() error { env.fleet.Close(); return nil })
	if _, err := env.fleet.Launch(ctx, env.servers); err != nil {
		return err
	}
	return env.listen()
}

// redirectStore replaces the address of the store in the servers' configuration.
func redirectStore(c *config.Config, from, to string) {
	instead := func(text string) string { return strings.Replace(text, from, to, 1) }
	for _, address := range []*string{&c.ValkeyAddress, &c.DynamoDBEndpoint, &c.PostgresURL} {
		*address = instead(*address)
	}
	for i, address := range c.MemcachedAddresses {
		c.MemcachedAddresses[i] = instead(address)
	}
}

func (env *environment) listen() error {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for visitors: %w", err)
	}
	server := env.fleet.Balancer().Serve(listener, env.fleet)
	env.url = "http://" + listener.Addr().String()
	env.closes = append(env.closes, server.Close)
	return nil
}

// Close stops everything, in the reverse order of opening.
func (env *environment) Close() error {
	var errs []error
	for i := len(env.closes) - 1; i >= 0; i-- {
		errs = append(errs, env.closes[i]())
	}
	env.closes = nil
	return errors.Join(errs...)
}

// addEvent adds an event to the running load test, if there is one.
func (env *environment) addEvent(what string) {
	env.mu.Lock()
	defer env.mu.Unlock()
	if env.note != nil {
		env.note(what)
	}
}

// visitors returns the load of most experiments.
func visitors() load.Options {
	return load.Options{
		Rate: load.Rate{{From: 100, To: 100}}, Duration: maxDrill, Sessions: 30, Mix: load.DefaultMix(),
		Timeout: 10 * time.Second,
	}
}

// maxDrill bounds the duration of the load of most experiments.
const maxDrill = 3 * time.Minute

// runUnderLoad runs the drill while visitors send requests, and returns the result of the load test. The load begins one phase
// before the drill and ends with it, or after the options' duration. When the drill begins, every visitor has a session.
func (env *environment) runUnderLoad(ctx context.Context, o load.Options, drill func(context.Context) error) (load.Result, error) {
	o.URL = env.url
	o.Progress = func(p load.Progress) {
		env.mu.Lock()
		env.counts = p.Sessions
		env.mu.Unlock()
		if env.runner.Progress != nil {
			p.Total = 0 // not the bound maxDrill
			env.runner.Progress(p)
		}
	}
	run, err := load.Start(ctx, o)
	if err != nil {
		return load.Result{}, err
	}
	env.setNote(run.Note)
	defer env.setNote(nil)
	ctx, cancel := context.WithTimeout(ctx, o.Duration)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer run.Finish()
		err := pause(ctx, env.runner.Phase)
		if err == nil {
			err = env.awaitSessions(ctx, o.Sessions)
		}
		if err == nil {
			err = drill(ctx)
		}
		done <- err
	}()
	result, err := run.Do(ctx)
	return result, errors.Join(err, <-done)
}

// maxSignUp bounds the time until every visitor has a session. On a broken fleet some never get one.
const maxSignUp = 20 * time.Second

// awaitSessions waits until n sessions have begun, at most for maxSignUp.
func (env *environment) awaitSessions(ctx context.Context, n int) error {
	for deadline := time.Now().Add(maxSignUp); time.Now().Before(deadline) && env.latestCounts().Total < int64(n); {
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// runLoad runs a load test for the options' duration.
func (env *environment) runLoad(ctx context.Context, o load.Options) (load.Result, error) {
	o.URL, o.Progress = env.url, env.runner.Progress
	run, err := load.Start(ctx, o)
	if err != nil {
		return load.Result{}, err
	}
	return run.Do(ctx)
}

// latestCounts returns the sessions and violations as of the last progress, at most a second ago.
func (env *environment) latestCounts() check.Counts {
	env.mu.Lock()
	defer env.mu.Unlock()
	return env.counts
}

func (env *environment) setNote(note func(string)) {
	env.mu.Lock()
	defer env.mu.Unlock()
	env.note = note
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// timeline appends the events of a load test.
func (o *Observation) timeline(run string, r load.Result) {
	for i, event := range r.Events {
		o.Timeline = append(o.Timeline, Event{run, i + 1, event.T, event.What})
	}
}

// describeLoad adds the parameters of the load.
func (o *Observation) describeLoad(v load.Options) {
	o.set("visitors", "%d, each with a session, who send %s requests per second in total: %s", v.Sessions, v.Rate, v.Mix)
}

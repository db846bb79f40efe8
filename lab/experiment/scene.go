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

// Lab is where experiments run.
type Lab struct {
	// Build compiles the server's program and returns where it is.
	Build func(context.Context) (string, error)
	// Bench compiles the program of test/bench, which has other libraries' servers, and returns where it is.
	Bench func(context.Context) (string, error)
	// Phase is how long each part of a drill lasts that isn't waited for otherwise.
	Phase time.Duration
	// Length is how long the experiment soak goes on.
	Length time.Duration
	// Seed draws the times of its faults; 0 for one that nobody knows before.
	Seed int
	// Report is called with a line for each step.
	Report func(line string)
	// Progress is called once a second while requests are sent; nil for nobody.
	Progress func(load.Progress)

	versions []string // of the stores that the experiment has started
}

// DefaultPhase is long enough for the figures to be steady, and short enough for a test of all claims in 20 minutes.
const DefaultPhase = 4 * time.Second

// DefaultLength is long enough for a leak of 200 bytes a request to show.
const DefaultLength = 20 * time.Minute

const (
	healthInterval = time.Second     // five times as often as an ALB can, so that drills take less time
	healthTimeout  = 5 * time.Second // of servers that are slow because the machine is; dead ones refuse at once
	keepAlive      = 75 * time.Second
	storeTimeout   = 9 * time.Second // so that a machine that is busy with something else proves nothing
)

// setup says what fleet an experiment needs.
type setup struct {
	store   config.StoreKind
	sticky  bool
	servers int
	link    bool // put a forwarder between servers and store
	durable bool // the store is a Valkey that loses nothing when it restarts
	// idle is when the load balancer closes a connection that isn't used; 0 for when an ALB does.
	idle time.Duration
	// change has the servers set up otherwise; what it starts is closed with the scene. Nil for nothing.
	change func(context.Context, *config.Config) (close func() error, err error)
}

func (s setup) String() string {
	if s.sticky {
		return string(s.store) + ", sticky"
	}
	return string(s.store)
}

// scene is a fleet behind its load balancer, with its store.
type scene struct {
	setup
	lab    *Lab
	url    string
	fleet  *fleet.Fleet
	store  localstore.Store
	link   *storeserver.Forwarder // nil without
	closes []func() error         // in the order of what was opened
	// expected is how long a drill takes, for the progress; 0 where nobody knows.
	expected time.Duration

	mu     sync.Mutex
	note   func(string) // of the load that is on; nil for none
	counts check.Counts // of the last second of a load
}

// used notes a version, once.
func (l *Lab) used(version string) {
	if !slices.Contains(l.versions, version) {
		l.versions = append(l.versions, version)
	}
}

// open starts what the setup says. Close ends it.
func (l *Lab) open(ctx context.Context, s setup) (*scene, error) {
	l.Report(fmt.Sprintf("starting %d servers on %s", s.servers, s))
	scene := &scene{setup: s, lab: l}
	if err := scene.open(ctx); err != nil {
		return nil, errors.Join(err, scene.Close())
	}
	return scene, nil
}

func (s *scene) open(ctx context.Context) error {
	c := config.Default()
	c.AllowDelay, c.PlainHTTP, c.ShutdownDelay, c.KeepAlive, c.StoreTimeout = true, true, 0, keepAlive, storeTimeout
	if s.setup.store == config.StoreValkey {
		if _, err := storeserver.ValkeyProgram(); err != nil {
			return err // the one that is embedded in the lab proves nothing
		}
	}
	var err error
	if s.durable {
		s.store, err = localstore.StartDurable(ctx, &c)
	} else {
		s.store, err = localstore.Start(ctx, s.setup.store, "", &c, s.lab.Report)
	}
	if err != nil {
		return err
	}
	s.closes = append(s.closes, s.store.Close)
	if s.store.Server != nil {
		s.lab.used(s.store.Server.Version())
	}
	if s.setup.link {
		if s.link, err = storeserver.NewForwarder(s.store.Server.Addr); err != nil {
			return err
		}
		s.closes = append(s.closes, func() error { s.link.Close(); return nil })
		lead(&c, s.store.Server.Addr, s.link.Addr)
	}
	if s.change != nil {
		closeChange, err := s.change(ctx, &c)
		if err != nil {
			return err
		}
		s.closes = append(s.closes, closeChange)
	}
	program, err := s.lab.Build(ctx)
	if err != nil {
		return err
	}
	s.fleet, err = fleet.New(fleet.Options{
		Program: program, Config: c, Report: s.happened,
		Balancer: balancer.Options{
			HealthInterval: healthInterval, HealthTimeout: healthTimeout, Sticky: s.sticky, IdleTimeout: s.idle,
		},
	})
	if err != nil {
		return err
	}
	s.closes = append(s.closes, func() error { s.fleet.Close(); return nil })
	if _, err := s.fleet.Launch(ctx, s.servers); err != nil {
		return err
	}
	return s.listen()
}

// lead has the servers find the store at another address.
func lead(c *config.Config, from, to string) {
	instead := func(text string) string { return strings.Replace(text, from, to, 1) }
	for _, address := range []*string{&c.ValkeyAddress, &c.DynamoDBEndpoint, &c.PostgresURL} {
		*address = instead(*address)
	}
	for i, address := range c.MemcachedAddresses {
		c.MemcachedAddresses[i] = instead(address)
	}
}

func (s *scene) listen() error {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listening for visitors: %w", err)
	}
	server := balancer.Serve(listener, s.fleet)
	s.url = "http://" + listener.Addr().String()
	s.closes = append(s.closes, server.Close)
	return nil
}

// Close ends everything, the last first.
func (s *scene) Close() error {
	var errs []error
	for i := len(s.closes) - 1; i >= 0; i-- {
		errs = append(errs, s.closes[i]())
	}
	s.closes = nil
	return errors.Join(errs...)
}

// happened notes what the fleet or a drill did, in the events of the load that is on.
func (s *scene) happened(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.note != nil {
		s.note(what)
	}
}

// visitors are those of most experiments.
func visitors() load.Options {
	return load.Options{
		Rate: load.Rate{{From: 100, To: 100}}, Duration: maxDrill, Sessions: 30, Mix: load.DefaultMix(),
		Timeout: 10 * time.Second,
	}
}

// maxDrill bounds the load of most experiments, should a drill never end.
const maxDrill = 3 * time.Minute

// under runs the drill while visitors send requests, and returns what came of these. They are sent for a phase before the
// drill begins, and until it ends, but no longer than the options' duration.
func (s *scene) under(ctx context.Context, o load.Options, drill func(context.Context) error) (load.Result, error) {
	o.URL = s.url
	o.Progress = func(p load.Progress) {
		s.mu.Lock()
		s.counts = p.Sessions
		s.mu.Unlock()
		if s.lab.Progress != nil {
			p.Total = s.expected // and not the longest that it may take
			s.lab.Progress(p)
		}
	}
	run, err := load.Start(ctx, o)
	if err != nil {
		return load.Result{}, err
	}
	s.setNote(run.Note)
	defer s.setNote(nil)
	ctx, cancel := context.WithTimeout(ctx, o.Duration)
	defer cancel()
	drilled := make(chan error, 1)
	go func() {
		defer run.Finish()
		err := pause(ctx, s.lab.Phase)
		if err == nil {
			err = drill(ctx)
		}
		drilled <- err
	}()
	result, err := run.Do(ctx)
	return result, errors.Join(err, <-drilled)
}

// send sends requests for as long as the options say, and returns what came of them.
func (s *scene) send(ctx context.Context, o load.Options) (load.Result, error) {
	o.URL, o.Progress = s.url, s.lab.Progress
	run, err := load.Start(ctx, o)
	if err != nil {
		return load.Result{}, err
	}
	return run.Do(ctx)
}

// seen is what had gone wrong with sessions a second ago.
func (s *scene) seen() check.Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

func (s *scene) setNote(note func(string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note = note
}

// pause lets time pass.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// timeline appends the events of a load.
func (o *Observation) timeline(run string, r load.Result) {
	for i, event := range r.Events {
		o.Timeline = append(o.Timeline, Event{run, i + 1, event.T, event.What})
	}
}

// describe sets what the visitors do.
func (o *Observation) describe(v load.Options) {
	o.set("visitors", "%d, each with a session, who send %s requests a second together: %s", v.Sessions, v.Rate, v.Mix)
}

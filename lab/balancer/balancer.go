// Package balancer is a load balancer that behaves towards visitors and servers as an Application Load Balancer (ALB)
// with one target group does, down to its faults: a request that a dying server drops is a 502, never tried again.
// What it promises is what docs.aws.amazon.com/elasticloadbalancing/latest/application says of target groups, health
// checks, sticky sessions and the causes of 5xx answers.
package balancer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Balancer. Zero fields take the defaults.
type Options struct {
	HealthInterval     time.Duration // between two health checks of a target; default 5 s, the shortest on an ALB
	HealthTimeout      time.Duration // after which a check has failed; default the interval, but from 1 s to 2 s
	HealthyThreshold   int           // checks in a row that must succeed before an unhealthy target is healthy; default 2
	UnhealthyThreshold int           // checks in a row that must fail before a target is unhealthy; default 2
	// IdleTimeout is how long a target may take to begin its answer, after which the visitor gets a 504, how long a visitor
	// may leave a part of the answer unread, after which the connection is closed, and how long an idle connection to a
	// target is kept. The target must keep idle connections longer. Default 60 s.
	IdleTimeout time.Duration
	// DeregistrationDelay is how long the requests in flight of a draining target may take before they are cut.
	// Default 30 s; an ALB's own default is 300 s.
	DeregistrationDelay time.Duration
	// Sticky pins each visitor to one target with the cookie AWSALB.
	Sticky bool
	// OnChange is called after a target's state changed, from several goroutines. It must not wait for the Balancer.
	OnChange func(Change)
}

func (o Options) withDefaults() Options {
	o.HealthInterval = cmp.Or(o.HealthInterval, 5*time.Second)
	o.HealthTimeout = cmp.Or(o.HealthTimeout, min(2*time.Second, max(time.Second, o.HealthInterval)))
	o.HealthyThreshold = cmp.Or(o.HealthyThreshold, 2)
	o.UnhealthyThreshold = cmp.Or(o.UnhealthyThreshold, 2)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, time.Minute)
	o.DeregistrationDelay = cmp.Or(o.DeregistrationDelay, 30*time.Second)
	if o.OnChange == nil {
		o.OnChange = func(Change) {}
	}
	return o
}

// State is the health of a target.
type State string

// The states of a target.
const (
	StateInitial   State = "initial"   // registered; no check has succeeded yet
	StateHealthy   State = "healthy"   // gets requests
	StateUnhealthy State = "unhealthy" // gets requests only when no target is healthy
	StateDraining  State = "draining"  // gets no new requests; those in flight finish
)

// Target is a snapshot of a registered target.
type Target struct {
	Name     string
	Address  string // host:port
	State    State
	Requests int64 // answered by the target, with whatever status
}

// Change is a change of a target's state.
type Change struct {
	Target   string
	From, To State
	Reason   string // why a check failed; empty when none did
}

// Errors counts the answers that the balancer itself gave, because no target did.
type Errors struct {
	BadGateway         int64 // 502: the target refused or reset the connection, or closed it before an answer
	ServiceUnavailable int64 // 503: no target is registered
	GatewayTimeout     int64 // 504: the target did not begin its answer within the idle timeout
}

// ErrNoTarget is the answer to the name of a target that is not registered.
var ErrNoTarget = errors.New("no such target")

// Balancer is the handler of the load balancer's listener.
type Balancer struct {
	options Options
	checker *http.Client

	mu      sync.Mutex    // guards targets, their state, changed, and writes of routable
	targets []*target     // in the order of registration
	changed chan struct{} // closed, and replaced, whenever targets or their state change

	routable atomic.Pointer[[]*target] // those that get new requests
	turn     atomic.Uint64             // counts them off

	badGateway, unavailable, timeout atomic.Int64
}

// New returns a Balancer without targets.
func New(options Options) *Balancer {
	b := &Balancer{options: options.withDefaults(), changed: make(chan struct{})}
	b.checker = newChecker(b.options.HealthTimeout)
	b.routable.Store(new([]*target))
	return b
}

// ServeHTTP forwards the request to one target.
func (b *Balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !printable(r.Header.Get("Upgrade")) {
		answer(w, http.StatusBadRequest, "The header Upgrade names no protocol.")
		return
	}
	t := b.acquire(r)
	if t == nil {
		b.unavailable.Add(1)
		answer(w, http.StatusServiceUnavailable, "No server is registered with the load balancer.")
		return
	}
	defer t.release()
	v, request := newVisitor(w, r, b.options.IdleTimeout)
	t.proxy.ServeHTTP(v, request)
}

// acquire chooses a target and counts the request as in flight there.
func (b *Balancer) acquire(r *http.Request) *target {
	for {
		targets := *b.routable.Load()
		if len(targets) == 0 {
			return nil
		}
		t := b.pinned(r, targets)
		if t == nil {
			t = targets[b.turn.Add(1)%uint64(len(targets))]
		}
		if t.acquire() {
			return t
		}
		// It began draining after the list was read; the next list is without it.
	}
}

// Register adds a target, which gets requests once a health check has succeeded. The first check is made at once.
func (b *Balancer) Register(name, address string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.find(name) != nil {
		return fmt.Errorf("registering %s: there is a target of this name", name)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := b.newTarget(name, address, cancel)
	b.targets = append(b.targets, t)
	b.reroute()
	go b.watch(ctx, t)
	return nil
}

// Await returns when the target is in the state. The error is ErrNoTarget once it is deregistered.
func (b *Balancer) Await(ctx context.Context, name string, state State) error {
	for {
		b.mu.Lock()
		t, changed := b.find(name), b.changed
		reached := t != nil && t.state == state
		b.mu.Unlock()
		if t == nil {
			return fmt.Errorf("%s: %w", name, ErrNoTarget)
		}
		if reached {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to be %s: %w", name, state, ctx.Err())
		}
	}
}

// Deregister drains the target: it gets no new requests, and once those in flight have finished, the deregistration
// delay has passed or ctx ends, it is gone, with whatever is in flight then. Deregister returns after that.
func (b *Balancer) Deregister(ctx context.Context, name string) error {
	t, err := b.lookup(name)
	if err != nil {
		return err
	}
	b.setState(t, StateDraining, "")
	ctx, cancel := context.WithTimeout(ctx, b.options.DeregistrationDelay)
	defer cancel()
	select {
	case <-t.drained:
	case <-t.removed:
	case <-ctx.Done():
	}
	b.remove(t)
	return nil
}

// Targets lists the registered targets in the order of their registration.
func (b *Balancer) Targets() []Target {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Target, len(b.targets))
	for i, t := range b.targets {
		list[i] = Target{t.name, t.address, t.state, t.requests.Load()}
	}
	return list
}

// Errors returns the counts so far.
func (b *Balancer) Errors() Errors {
	return Errors{b.badGateway.Load(), b.unavailable.Load(), b.timeout.Load()}
}

// Close removes every target, cutting what is in flight, and ends the health checks.
func (b *Balancer) Close() {
	b.mu.Lock()
	targets := slices.Clone(b.targets)
	b.mu.Unlock()
	for _, t := range targets {
		b.remove(t)
	}
}

func (b *Balancer) lookup(name string) (*target, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.find(name); t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("%s: %w", name, ErrNoTarget)
}

func (b *Balancer) find(name string) *target {
	if i := slices.IndexFunc(b.targets, func(t *target) bool { return t.name == name }); i >= 0 {
		return b.targets[i]
	}
	return nil
}

// setState makes the change known to the routing before it reports it. A target that drains stays draining.
func (b *Balancer) setState(t *target, state State, reason string) {
	b.mu.Lock()
	from := t.state
	if from == state || from == StateDraining {
		b.mu.Unlock()
		return
	}
	t.state = state
	b.reroute()
	b.mu.Unlock()
	if state == StateDraining {
		t.drain()
	}
	b.options.OnChange(Change{Target: t.name, From: from, To: state, Reason: reason})
}

func (b *Balancer) remove(t *target) {
	b.mu.Lock()
	b.targets = slices.DeleteFunc(b.targets, func(other *target) bool { return other == t })
	b.reroute()
	b.mu.Unlock()
	t.close()
}

// reroute follows a change of targets or their state: it wakes who awaits one and chooses who gets new
// requests: the healthy targets; when there is none, all that aren't draining ("fail open"), for health checks may be
// wrong about all of them at once. The caller holds mu.
func (b *Balancer) reroute() {
	var healthy, others []*target
	for _, t := range b.targets {
		switch t.state {
		case StateHealthy:
			healthy = append(healthy, t)
		case StateInitial, StateUnhealthy:
			others = append(others, t)
		}
	}
	if len(healthy) == 0 {
		healthy = others
	}
	b.routable.Store(&healthy)
	close(b.changed)
	b.changed = make(chan struct{})
}

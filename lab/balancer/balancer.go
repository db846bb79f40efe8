// Package balancer is an HTTP load balancer that behaves like an AWS Application Load Balancer (ALB) with one target group.
// It imitates the weaknesses too: if a server dies while it handles a request, the client gets a 502, and the request is not
// sent again. Its behaviour follows docs.aws.amazon.com/elasticloadbalancing/latest/application on target groups, health
// checks, sticky sessions and the causes of 5xx responses. Make a Balancer with New, add targets with Register, and serve it
// on a listener with Serve. Start reading at Balancer.ServeHTTP.
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

// Options configure a Balancer. A zero field takes its default.
type Options struct {
	HealthInterval     time.Duration // between two health checks of a target; default 5 s, the shortest on an ALB
	HealthTimeout      time.Duration // of one health check; default the interval, but at least 1 s and at most 2 s
	HealthyThreshold   int           // consecutive successful checks that make an unhealthy target healthy; default 2
	UnhealthyThreshold int           // consecutive failed checks that make a target unhealthy; default 2
	// IdleTimeout bounds three waits. If a target does not begin its response in time, the client gets a 504. If a client
	// does not read a part of the response in time, its connection is closed. A connection to a target that is idle for as
	// long is closed; the target must keep idle connections longer. Default 60 s.
	IdleTimeout time.Duration
	// DeregistrationDelay bounds how long a draining target may take to finish its requests in flight. Then their connections
	// are closed. Default 30 s; the default of an ALB is 300 s.
	DeregistrationDelay time.Duration
	// MaxInFlight bounds the requests in flight, of all targets together. Further ones get a 503 at once. Serve accepts a tenth
	// more connections, for those 503s and for other handlers. Default DefaultMaxInFlight().
	MaxInFlight int
	// Sticky sends all requests of a client to the same target, by the cookie AWSALB.
	Sticky bool
	// OnTransition is called after the state of a target has changed, from several goroutines. It must not block on the
	// Balancer.
	OnTransition func(Transition)
}

func (o Options) withDefaults() Options {
	o.HealthInterval = cmp.Or(o.HealthInterval, 5*time.Second)
	o.HealthTimeout = cmp.Or(o.HealthTimeout, min(2*time.Second, max(time.Second, o.HealthInterval)))
	o.HealthyThreshold = cmp.Or(o.HealthyThreshold, 2)
	o.UnhealthyThreshold = cmp.Or(o.UnhealthyThreshold, 2)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, time.Minute)
	o.DeregistrationDelay = cmp.Or(o.DeregistrationDelay, 30*time.Second)
	o.MaxInFlight = cmp.Or(o.MaxInFlight, DefaultMaxInFlight())
	if o.OnTransition == nil {
		o.OnTransition = func(Transition) {}
	}
	return o
}

// A TargetState is the health of a target.
type TargetState string

// The states of a target.
const (
	StateInitial   TargetState = "initial"   // registered; no check has succeeded yet
	StateHealthy   TargetState = "healthy"   // gets requests
	StateUnhealthy TargetState = "unhealthy" // gets requests only when no target is healthy
	StateDraining  TargetState = "draining"  // gets no new requests; those in flight finish
)

// A Target is a snapshot of a registered target.
type Target struct {
	Name     string
	Address  string // host:port
	State    TargetState
	Requests int64 // requests that the target responded to, with any status
	InFlight int64 // requests that it has not responded to yet
}

// A Transition is a change of a target's state.
type Transition struct {
	Target   string
	From, To TargetState
	Reason   string // why the health check failed, or "" if none did
}

// Errors counts the error responses of the load balancer itself.
type Errors struct {
	BadGateway         int64 // 502: the target refused or reset the connection, or closed it before a response
	ServiceUnavailable int64 // 503: no target is registered, or the load balancer is at its limit of requests or of connections
	GatewayTimeout     int64 // 504: the target did not begin its response within the idle timeout
}

// ErrNoTarget reports that no target of that name is registered.
var ErrNoTarget = errors.New("no such target")

// A Balancer is an http.Handler that forwards requests to its healthy targets in turn. Its methods may be called from several
// goroutines.
type Balancer struct {
	options      Options
	healthClient *http.Client

	mu      sync.Mutex    // guards targets, their state, changed, and writes of routable
	targets []*target     // in the order of registration
	changed chan struct{} // closed and replaced on every change of targets or of their state

	routable atomic.Pointer[[]*target] // the targets that get new requests
	next     atomic.Uint64             // the round-robin counter

	inFlight                         atomic.Int64 // requests, of all targets
	badGateway, unavailable, timeout atomic.Int64
}

// New returns a Balancer without targets.
func New(options Options) *Balancer {
	b := &Balancer{options: options.withDefaults(), changed: make(chan struct{})}
	b.healthClient = newHealthClient(b.options.HealthTimeout)
	b.routable.Store(new([]*target))
	return b
}

// ServeHTTP forwards the request to one target. It responds itself with 503 without a target or at its limit, with 502 or 504
// if the target gives no response, and with 400 or 408 if the request can't be read.
func (b *Balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !printable(r.Header.Get("Upgrade")) {
		writeErrorPage(w, http.StatusBadRequest, "The header Upgrade is malformed.")
		return
	}
	defer b.inFlight.Add(-1)
	if b.inFlight.Add(1) > int64(b.options.MaxInFlight) {
		w.Header().Set("Connection", "close") // makes room for other clients
		b.refuse(w, "The load balancer has too many requests in flight.")
		return
	}
	t := b.acquire(r)
	if t == nil {
		b.refuse(w, "No server is registered with the load balancer.")
		return
	}
	defer t.release()
	rw, request := newResponseWriter(w, r, b.options.IdleTimeout)
	t.proxy.ServeHTTP(rw, request)
}

// refuse responds with a 503 and counts it.
func (b *Balancer) refuse(w http.ResponseWriter, reason string) {
	b.unavailable.Add(1)
	w.Header().Set("Retry-After", "1")
	writeErrorPage(w, http.StatusServiceUnavailable, reason)
}

// acquire chooses a target and counts the request as in flight there.
func (b *Balancer) acquire(r *http.Request) *target {
	for {
		targets := *b.routable.Load()
		if len(targets) == 0 {
			return nil
		}
		t := b.stickyTarget(r, targets)
		if t == nil {
			t = targets[b.next.Add(1)%uint64(len(targets))]
		}
		if t.acquire() {
			return t
		}
		// The target began to drain after the list was read. The next list lacks it.
	}
}

// Register adds a target at the address, host:port. It gets requests after its first successful health check, which is made
// at once.
func (b *Balancer) Register(name, address string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.find(name) != nil {
		return fmt.Errorf("registering %s: the name is in use", name)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := b.newTarget(name, address, cancel)
	b.targets = append(b.targets, t)
	b.updateRouting()
	go b.checkHealth(ctx, t)
	return nil
}

// Await waits until the target is in the state. It returns ErrNoTarget if the target is not registered or is deregistered
// meanwhile.
func (b *Balancer) Await(ctx context.Context, name string, state TargetState) error {
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

// Deregister drains the target and then removes it. A draining target gets no new requests. It is removed when its requests in
// flight have finished, the deregistration delay has passed, or ctx has ended; requests still in flight then fail.
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

// Targets returns the registered targets in the order of their registration.
func (b *Balancer) Targets() []Target {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Target, len(b.targets))
	for i, t := range b.targets {
		list[i] = Target{t.name, t.address, t.state, t.requests.Load(), t.inFlight.Load()}
	}
	return list
}

// Errors returns the numbers of error responses so far.
func (b *Balancer) Errors() Errors {
	return Errors{b.badGateway.Load(), b.unavailable.Load(), b.timeout.Load()}
}

// Close ends the health checks and removes every target. Requests in flight fail.
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

// setState updates the routing and then reports the transition. A draining target stays draining.
func (b *Balancer) setState(t *target, state TargetState, reason string) {
	b.mu.Lock()
	from := t.state
	if from == state || from == StateDraining {
		b.mu.Unlock()
		return
	}
	t.state = state
	b.updateRouting()
	b.mu.Unlock()
	if state == StateDraining {
		t.drain()
	}
	b.options.OnTransition(Transition{Target: t.name, From: from, To: state, Reason: reason})
}

func (b *Balancer) remove(t *target) {
	b.mu.Lock()
	b.targets = slices.DeleteFunc(b.targets, func(other *target) bool { return other == t })
	b.updateRouting()
	b.mu.Unlock()
	t.close()
}

// updateRouting must be called after every change of targets or of their state, with mu held. It chooses the targets that get
// new requests and wakes the callers of Await. The healthy targets get the requests; if there is none, all that aren't draining
// do ("fail open"), because a health check that fails everywhere may itself be wrong.
func (b *Balancer) updateRouting() {
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

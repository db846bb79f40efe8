// Package fleet imitates an Auto Scaling group with its load balancer on this machine. Each server is a process, registered
// with a balancer.Balancer. New returns an empty Fleet; Launch and Add start servers, Kill ends one abruptly, and Stop drains
// one first. A Fleet is the http.Handler of its load balancer. Build compiles the sample server. Start reading at Fleet.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/balancer"
	"stateless-servers/lab/contract"
	"stateless-servers/session/sessiontest/process"
)

const (
	readyTimeout      = time.Minute      // for a new server to respond and to pass its first health check
	stopTimeout       = 5 * time.Second  // from SIGTERM to SIGKILL when the whole fleet closes
	defaultRemoveDead = 30 * time.Second // see Options.RemoveDead
)

// MaxServers is the maximum number of servers of a fleet, including servers that are starting, stopping, or dead but listed.
const MaxServers = 50

// Options configure a Fleet.
type Options struct {
	// Program is the path of the server's program; see Build.
	Program string
	// Server, if its command line is not empty, starts servers of another application instead. They follow the lab's
	// contract and have no metrics.
	Server contract.Server
	// Config is the configuration of all servers. The fleet sets the name, zone and addresses of each.
	Config config.Config
	// Balancer has the options of the load balancer. The fleet replaces OnTransition; use Report instead.
	Balancer balancer.Options
	// LogDir is a folder for the output of the servers, a file for each, such as server-1.log. If it is empty, there are none.
	LogDir string
	// Output, if not nil, also gets the output of all servers.
	Output io.Writer
	// Report, if not nil, is called with a line for each event: a server added, unhealthy, killed, stopped.
	Report func(line string)
	// RemoveDead is how long a server whose process has ended stays registered after it became unhealthy; default 30 s. An Auto
	// Scaling group also deregisters an unhealthy instance after a while. Unlike it, a Fleet starts no replacement.
	RemoveDead time.Duration
}

// A Server is a snapshot of a server of the fleet.
type Server struct {
	Name     string               `json:"name"`
	Zone     string               `json:"zone"`
	PID      int                  `json:"pid"`
	Address  string               `json:"address"`
	State    balancer.TargetState `json:"state"`
	Requests int64                `json:"requests"` // that it responded to
	InFlight int64                `json:"-"`        // that it has not responded to yet
	Process  ProcessState         `json:"process"`
}

// A ProcessState is the state of a server's process, which the load balancer learns from its health checks only.
type ProcessState string

// The states of a process.
const (
	ProcessRunning ProcessState = "running"
	ProcessKilled  ProcessState = "killed" // by Kill
	ProcessEnded   ProcessState = "ended"  // by itself, or by a signal from elsewhere
)

// Errors of Launch, Add, Kill and Stop.
var (
	ErrFull     = fmt.Errorf("the fleet already has the maximum of %d servers", MaxServers)
	ErrNoServer = errors.New("no such server")
	ErrEnded    = errors.New("its process has already ended")
	ErrStopping = errors.New("it is already being stopped")
	ErrClosed   = errors.New("the fleet is closed")
)

// A Fleet is a group of servers behind a load balancer. Make one with New. Its methods may be called from several goroutines.
type Fleet struct {
	options    Options
	balancer   *balancer.Balancer
	ctx        context.Context // ends when the fleet closes
	cancel     context.CancelFunc
	running    sync.WaitGroup // the fleet's goroutines
	maxServers int            // MaxServers, except in tests

	mu      sync.Mutex // guards the fields below, and the fields of members
	members []*member  // in the order of their numbers
	started int        // number of servers ever started, and the number of the last one
	closed  bool
}

// A member is a server of the fleet.
type member struct {
	name, zone string
	address    string           // empty until it listens
	admin      string           // address of the admin server; empty until it listens
	process    *process.Process // nil until it is started
	killed     bool             // Kill was called
	stopping   bool             // Stop or Close was called, or a dead server is being removed
}

// New returns a fleet without servers. If the servers would refuse the configuration, the error is a config.Problems.
func New(options Options) (*Fleet, error) {
	if _, err := config.Parse(serverEnvironment(options.Config, "server-0", "a", "127.0.0.1:0", "127.0.0.1:0")); err != nil {
		return nil, err
	}
	if options.Report == nil {
		options.Report = func(string) {}
	}
	if options.RemoveDead == 0 {
		options.RemoveDead = defaultRemoveDead
	}
	f := &Fleet{options: options, maxServers: MaxServers}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	options.Balancer.OnTransition = f.reportTransition
	f.balancer = balancer.New(options.Balancer)
	return f, nil
}

// Balancer returns the load balancer of the fleet.
func (f *Fleet) Balancer() *balancer.Balancer { return f.balancer }

// ServeHTTP has the load balancer handle the request.
func (f *Fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.balancer.ServeHTTP(w, r) }

// Errors returns the numbers of error responses of the load balancer itself.
func (f *Fleet) Errors() balancer.Errors { return f.balancer.Errors() }

// Launch starts n servers at once and returns them, in the order of their names, when all are healthy. If they would exceed
// MaxServers, it starts none and returns ErrFull. If some fail to start, it returns the error of the first of them, and the
// others keep running.
func (f *Fleet) Launch(ctx context.Context, n int) ([]Server, error) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil, ErrClosed
	}
	if len(f.members)+n > f.maxServers {
		f.mu.Unlock()
		return nil, ErrFull
	}
	added := make([]*member, n)
	for i := range added {
		f.started++
		zone := string(rune('a' + (f.started-1)%3)) // three zones in turn, as an Auto Scaling group balances them
		added[i] = &member{name: fmt.Sprintf("server-%d", f.started), zone: zone}
	}
	f.members = append(f.members, added...)
	f.running.Add(n)
	f.mu.Unlock()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.ctx, cancel)()
	errs := make([]error, n)
	var launching sync.WaitGroup
	for i, m := range added {
		launching.Go(func() {
			defer f.running.Done()
			if errs[i] = f.launch(ctx, m); errs[i] != nil {
				f.remove(m)
			}
		})
	}
	launching.Wait()
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return nil, errs[i]
	}
	servers := make([]Server, n)
	for i, m := range added {
		servers[i], _ = f.Server(m.name)
	}
	return servers, nil
}

// Add starts one server and returns it when it is healthy.
func (f *Fleet) Add(ctx context.Context) (Server, error) {
	servers, err := f.Launch(ctx, 1)
	if err != nil {
		return Server{}, err
	}
	return servers[0], nil
}

// Kill ends the server's process with SIGKILL, like a failing machine. The load balancer is not told: the server stays registered
// and its requests fail until health checks notice.
func (f *Fleet) Kill(name string) error {
	f.mu.Lock()
	m := f.find(name)
	if m == nil || m.process == nil {
		f.mu.Unlock()
		return fmt.Errorf("%s: %w", name, ErrNoServer)
	}
	if m.process.Ended() != nil {
		f.mu.Unlock()
		return fmt.Errorf("%s: %w", name, ErrEnded)
	}
	m.killed = true
	f.mu.Unlock()
	m.process.Kill()
	return nil
}

// Stop removes the server as a deployment does. It deregisters the server, waits until its requests in flight have finished or
// the deregistration delay has passed, and sends SIGTERM. Stop itself returns at once. The channel is closed when the process has
// ended and Servers no longer has the server.
func (f *Fleet) Stop(name string) (stopped <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.find(name)
	switch {
	case f.closed:
		return nil, ErrClosed
	case m == nil || m.process == nil:
		return nil, fmt.Errorf("%s: %w", name, ErrNoServer)
	case m.stopping:
		return nil, fmt.Errorf("%s: %w", name, ErrStopping)
	}
	m.stopping = true
	done := make(chan struct{})
	f.running.Go(func() {
		defer close(done)
		f.stop(m)
	})
	return done, nil
}

// Servers returns the servers in the order in which they were added.
func (f *Fleet) Servers() []Server {
	targets := map[string]balancer.Target{}
	for _, target := range f.balancer.Targets() {
		targets[target.Name] = target
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]Server, 0, len(f.members))
	for _, m := range f.members {
		if m.process == nil {
			continue
		}
		target, registered := targets[m.name]
		server := Server{m.name, m.zone, m.process.Pid(), m.address, target.State, target.Requests, target.InFlight, m.state()}
		switch {
		case m.stopping:
			server.State = balancer.StateDraining
		case !registered:
			server.State = balancer.StateInitial
		}
		list = append(list, server)
	}
	return list
}

// Server returns the server called name, or ErrNoServer.
func (f *Fleet) Server(name string) (Server, error) {
	servers := f.Servers()
	if i := slices.IndexFunc(servers, func(s Server) bool { return s.Name == name }); i >= 0 {
		return servers[i], nil
	}
	return Server{}, fmt.Errorf("%s: %w", name, ErrNoServer)
}

// Process returns the process of the server called name, for experiments that pause it.
func (f *Fleet) Process(name string) (*process.Process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.find(name); m != nil && m.process != nil {
		return m.process, nil
	}
	return nil, fmt.Errorf("%s: %w", name, ErrNoServer)
}

// Metrics returns the URL of the metrics of the server called name, in the text format of Prometheus. The error is
// ErrNoServer if there is no such server, or if it has no metrics.
func (f *Fleet) Metrics(name string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.find(name); m != nil && m.process != nil && f.options.Server.Command == "" {
		return "http://" + m.admin + "/metrics", nil
	}
	return "", fmt.Errorf("%s: %w", name, ErrNoServer)
}

// Close ends every server and returns when all processes have ended, after at most about five seconds. Requests in flight fail.
func (f *Fleet) Close() {
	f.mu.Lock()
	f.closed = true
	for _, m := range f.members {
		m.stopping = true
	}
	f.mu.Unlock()
	f.cancel()
	f.balancer.Close()

	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	for _, m := range f.startedMembers() {
		f.running.Go(func() { _ = m.process.Stop(ctx) })
	}
	f.running.Wait() // includes calls of Launch, which end their processes themselves
}

// startedMembers returns the members that have a process.
func (f *Fleet) startedMembers() []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.members), func(m *member) bool { return m.process == nil })
}

// state returns the state of the process, which was started. The caller holds mu.
func (m *member) state() ProcessState {
	switch {
	case m.process.Ended() == nil:
		return ProcessRunning
	case m.killed:
		return ProcessKilled
	}
	return ProcessEnded
}

// find returns the member called name. The caller holds mu.
func (f *Fleet) find(name string) *member {
	if i := slices.IndexFunc(f.members, func(m *member) bool { return m.name == name }); i >= 0 {
		return f.members[i]
	}
	return nil
}

func (f *Fleet) remove(m *member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = slices.DeleteFunc(f.members, func(other *member) bool { return other == m })
}

// reportTransition reports a transition of a target.
func (f *Fleet) reportTransition(t balancer.Transition) {
	f.mu.Lock()
	m := f.find(t.Target)
	dead := m != nil && m.process != nil && m.state() != ProcessRunning
	f.mu.Unlock()
	switch {
	case t.To == balancer.StateDraining && dead:
		// It has nothing to finish; stop reports its removal.
	case t.From == balancer.StateInitial && t.To == balancer.StateHealthy:
		// Launch reports it as added.
	case t.Reason != "":
		f.options.Report(fmt.Sprintf("%s %s: %s", t.Target, t.To, strings.TrimSpace(t.Reason)))
	default:
		f.options.Report(fmt.Sprintf("%s %s", t.Target, t.To))
	}
}

// Package fleet runs what an Auto Scaling group and its load balancer run: servers that are processes of this machine,
// registered with a balancer, added, killed and stopped one by one.
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
	readyTimeout = time.Minute      // a new server's time to answer, and to pass its first health check
	stopTimeout  = 5 * time.Second  // from SIGTERM to SIGKILL when the whole fleet closes
	removeDead   = 30 * time.Second // how long a dead server stays in the list once it is unhealthy
)

// MaxServers is how many servers a fleet has at most, those included that are starting, stopping or dead but listed.
const MaxServers = 50

// Options of a Fleet.
type Options struct {
	// Program is the server's program; see Build. It is not used if Command is set.
	Program string
	// Command, if its command line is not empty, starts servers of another application, which follow the lab's contract.
	// They have no metrics.
	Command contract.Server
	// Config is the environment that all servers share. The fleet sets what differs: names, zones and addresses.
	Config config.Config
	// Balancer has the options of the load balancer. The fleet sets OnChange; Report says the same.
	Balancer balancer.Options
	// LogDir is a folder for the servers' output, one file each, such as server-1.log; empty for none.
	LogDir string
	// Output gets the output of all servers as well; nil for none.
	Output io.Writer
	// Report is called with one line for each event: a server added, unhealthy, killed, stopped. Nil for none.
	Report func(line string)
	// RemoveDead is how long a server whose process has ended stays registered once it is unhealthy; default 30 s.
	// An Auto Scaling group, too, deregisters an unhealthy instance some time after. This one starts no other in its place.
	RemoveDead time.Duration
}

// Server is a snapshot of one server of the fleet.
type Server struct {
	Name     string         `json:"name"`
	Zone     string         `json:"zone"`
	PID      int            `json:"pid"`
	Address  string         `json:"address"`
	State    balancer.State `json:"state"`
	Requests int64          `json:"requests"` // answered by it
}

// Errors of Launch, Add, Kill and Stop.
var (
	ErrFull     = fmt.Errorf("the fleet has all the servers that it may have, %d", MaxServers)
	ErrNoServer = errors.New("no such server")
	ErrEnded    = errors.New("its process has ended already")
	ErrStopping = errors.New("it is being stopped already")
	ErrClosed   = errors.New("the fleet is closed")
)

// Fleet is a group of servers behind a load balancer. Its zero value is of no use; see New.
type Fleet struct {
	options  Options
	balancer *balancer.Balancer
	ctx      context.Context // ends when the fleet closes
	cancel   context.CancelFunc
	running  sync.WaitGroup // the fleet's goroutines
	most     int            // members

	mu      sync.Mutex // guards what follows, and the fields of members
	members []*member  // in the order of their numbers
	started int        // servers ever started; the last number given
	closed  bool
}

// member is one server.
type member struct {
	name, zone string
	address    string           // empty until it listens
	admin      string           // the address of the admin server, as long
	process    *process.Process // nil until it listens
	killed     bool             // by Kill
	stopping   bool             // by Stop or Close
}

// New returns a fleet without servers. The error is a config.Problems if the servers would refuse their environment.
func New(options Options) (*Fleet, error) {
	if _, err := config.Parse(environment(options.Config, "server-0", "a", "127.0.0.1:0", "127.0.0.1:0")); err != nil {
		return nil, err
	}
	if options.Report == nil {
		options.Report = func(string) {}
	}
	if options.RemoveDead == 0 {
		options.RemoveDead = removeDead
	}
	f := &Fleet{options: options, most: MaxServers}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	options.Balancer.OnChange = f.changed
	f.balancer = balancer.New(options.Balancer)
	return f, nil
}

// Balancer is the load balancer that the servers are registered with.
func (f *Fleet) Balancer() *balancer.Balancer { return f.balancer }

// ServeHTTP is the listener of the load balancer.
func (f *Fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.balancer.ServeHTTP(w, r) }

// Errors counts the answers that the load balancer itself gave, because no server did.
func (f *Fleet) Errors() balancer.Errors { return f.balancer.Errors() }

// Launch adds n servers at once and returns when all are healthy, in the order of their names. The error is ErrFull, and
// none is added, when there is no room for all; otherwise it is the first one's that failed, and the others go on.
func (f *Fleet) Launch(ctx context.Context, n int) ([]Server, error) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil, ErrClosed
	}
	if len(f.members)+n > f.most {
		f.mu.Unlock()
		return nil, ErrFull
	}
	added := make([]*member, n)
	for i := range added {
		f.started++
		zone := string(rune('a' + (f.started-1)%3)) // three zones in turn, as a balanced group fills them
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
				f.drop(m)
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

// Add launches one server.
func (f *Fleet) Add(ctx context.Context) (Server, error) {
	servers, err := f.Launch(ctx, 1)
	if err != nil {
		return Server{}, err
	}
	return servers[0], nil
}

// Kill ends the server's process (SIGKILL), as a machine that fails. The balancer doesn't know: the server stays
// registered, and its requests fail, until health checks have noticed.
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

// Stop takes the server out as a deployment does: it is deregistered, and once its requests in flight have finished, or
// the deregistration delay has passed, told to end (SIGTERM). Stop returns at once; the channel is closed when the
// process has ended and the server is gone from the list.
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

// Servers lists the fleet in the order in which servers were added.
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
		server := Server{m.name, m.zone, m.process.Pid(), m.address, target.State, target.Requests}
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

// Server returns the one called name.
func (f *Fleet) Server(name string) (Server, error) {
	servers := f.Servers()
	if i := slices.IndexFunc(servers, func(s Server) bool { return s.Name == name }); i >= 0 {
		return servers[i], nil
	}
	return Server{}, fmt.Errorf("%s: %w", name, ErrNoServer)
}

// Process returns the server's process, for drills that pause it.
func (f *Fleet) Process(name string) (*process.Process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.find(name); m != nil && m.process != nil {
		return m.process, nil
	}
	return nil, fmt.Errorf("%s: %w", name, ErrNoServer)
}

// Metrics returns the URL of the server's metrics, in the text format of Prometheus. The error is ErrNoServer if there is no
// such server, or if it has none.
func (f *Fleet) Metrics(name string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.find(name); m != nil && m.process != nil && f.options.Command.Command == "" {
		return "http://" + m.admin + "/metrics", nil
	}
	return "", fmt.Errorf("%s: %w", name, ErrNoServer)
}

// Close ends every server, at the latest five seconds after it was called, and returns when they are gone. Requests in
// flight are cut.
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
	for _, m := range f.list() {
		f.running.Go(func() { _ = m.process.Stop(ctx) })
	}
	f.running.Wait() // also for launches under way, which end their processes themselves
}

// list returns the members that have a process.
func (f *Fleet) list() []*member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.members), func(m *member) bool { return m.process == nil })
}

// find returns the member called name. The caller holds mu.
func (f *Fleet) find(name string) *member {
	if i := slices.IndexFunc(f.members, func(m *member) bool { return m.name == name }); i >= 0 {
		return f.members[i]
	}
	return nil
}

func (f *Fleet) drop(m *member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.members = slices.DeleteFunc(f.members, func(other *member) bool { return other == m })
}

// changed reports what the balancer has found out.
func (f *Fleet) changed(change balancer.Change) {
	switch {
	case change.From == balancer.StateInitial && change.To == balancer.StateHealthy:
		// Launch reports it as added.
	case change.Reason != "":
		f.options.Report(fmt.Sprintf("%s %s: %s", change.Target, change.To, strings.TrimSpace(change.Reason)))
	default:
		f.options.Report(fmt.Sprintf("%s %s", change.Target, change.To))
	}
}

package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/balancer"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/process"
)

// stub is the path of the program built from testdata/stub.
var stub string

func TestMain(m *testing.M) {
	var err error
	if stub, err = BuildProgram(context.Background(), "stub", ".", "./lab/fleet/testdata/stub"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// A fixture is a fleet on a listener that records the reported lines.
type fixture struct {
	*Fleet
	url   string
	mu    sync.Mutex
	lines []string
}

func newFixture(t *testing.T, options Options) *fixture {
	t.Helper()
	b := &fixture{}
	options.Config = config.Default()
	if options.Program == "" {
		options.Program = stub
	}
	options.Balancer.HealthInterval = cmp.Or(options.Balancer.HealthInterval, 20*time.Millisecond)
	options.Balancer.HealthTimeout = time.Minute
	options.LogDir = t.TempDir()
	options.Report = func(line string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.lines = append(b.lines, line)
	}
	f := must.Get(New(options))(t)
	b.Fleet = f
	t.Cleanup(f.Close)
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

func (b *fixture) launch(t *testing.T, n int) []Server {
	t.Helper()
	return must.Get(b.Launch(t.Context(), n))(t)
}

func (b *fixture) reported(part string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.lines, func(line string) bool { return strings.Contains(line, part) })
}

func (b *fixture) process(t *testing.T, name string) *process.Process {
	t.Helper()
	return must.Get(b.Process(name))(t)
}

func (b *fixture) names() string {
	var names []string
	for _, s := range b.Servers() {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(body)
}

// servedBy sends n requests and counts them by the server that responded, or by a status other than 200.
func (b *fixture) servedBy(t *testing.T, n int) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for range n {
		status, body := get(t, b.url)
		if status != http.StatusOK {
			body = fmt.Sprint(status)
		}
		counts[body]++
	}
	return counts
}

func TestKilledServerBeforeHealthChecksNotice(t *testing.T) {
	b := newFixture(t, Options{Balancer: balancer.Options{HealthInterval: time.Hour}})
	b.launch(t, 2)
	victim := b.process(t, "server-1")
	must.Succeed(t, b.Kill("server-1"))
	if victim.Ended() == nil {
		t.Error("the process is alive after Kill")
	}
	if server, _ := b.Server("server-1"); server.State != balancer.StateHealthy || server.Process != ProcessKilled {
		t.Errorf("%s and %s before a health check, want healthy and killed", server.State, server.Process)
	}
	if got := b.servedBy(t, 4); !maps.Equal(got, map[string]int{"server-2": 2, "502": 2}) {
		t.Errorf("before health checks noticed: %v", got)
	}
	if err := b.Kill("server-1"); !errors.Is(err, ErrEnded) {
		t.Errorf("killing it twice: got %v, want ErrEnded", err)
	}
}

func TestKilledServerIsRemoved(t *testing.T) {
	b := newFixture(t, Options{RemoveDead: time.Millisecond})
	b.launch(t, 2)
	must.Succeed(t, b.Kill("server-1"))
	sessiontest.Await(t, "unhealthy", func() bool { return b.reported("server-1 unhealthy: connection refused") })
	if got := b.servedBy(t, 4); !maps.Equal(got, map[string]int{"server-2": 4}) {
		t.Errorf("after health checks noticed: %v", got)
	}
	sessiontest.Await(t, "removed", func() bool { return b.names() == "server-2" })
	for _, want := range []string{"server-1 killed", "server-1 unhealthy: connection refused", "server-1 removed"} {
		sessiontest.Await(t, want, func() bool { return b.reported(want) })
	}
	if b.reported("server-1 draining") {
		t.Error("a dead server is reported as draining")
	}
}

func TestCrashIsReported(t *testing.T) {
	b := newFixture(t, Options{RemoveDead: time.Hour})
	b.launch(t, 1)
	get(t, b.url+"/crash")
	sessiontest.Await(t, "the report", func() bool { return b.reported("server-1 ended: exit status 7: out of luck") })
	sessiontest.Await(t, "unhealthy", func() bool { return b.reported("server-1 unhealthy: connection refused") })
	if server, _ := b.Server("server-1"); server.Process != ProcessEnded {
		t.Errorf("its process is %s, want ended", server.Process)
	}
	stopped := must.Get(b.Stop("server-1"))(t) // before it is removed by itself
	<-stopped
	if names := b.names(); names != "" {
		t.Errorf("left: %s", names)
	}
}

func TestStopWaitsForRequestsInFlight(t *testing.T) {
	b := newFixture(t, Options{})
	old := b.launch(t, 1)[0]
	leaving := b.process(t, "server-1")
	held := make(chan int, 1)
	go func() {
		status, _ := get(t, b.url+"/hold")
		held <- status
	}()
	get(t, "http://"+old.Address+"/holding")
	b.launch(t, 1)

	stopped := must.Get(b.Stop("server-1"))(t)
	if server, err := b.Server("server-1"); err != nil || server.State != balancer.StateDraining {
		t.Errorf("got %+v, %v, want it draining", server, err)
	}
	if _, err := b.Stop("server-1"); !errors.Is(err, ErrStopping) {
		t.Errorf("stopping it twice: got %v, want ErrStopping", err)
	}
	sessiontest.Await(t, "no new requests", func() bool { return maps.Equal(b.servedBy(t, 4), map[string]int{"server-2": 4}) })
	if leaving.Ended() != nil {
		t.Error("the process ended with a request in flight")
	}
	get(t, "http://"+old.Address+"/release")
	if status := <-held; status != http.StatusOK {
		t.Errorf("the request in flight got %d, want 200", status)
	}
	<-stopped
	if leaving.ExitCode() != 0 {
		t.Errorf("%v, want exit status 0", leaving.Ended())
	}
	if names := b.names(); names != "server-2" {
		t.Errorf("left: %s", names)
	}
	for _, want := range []string{"server-1 draining", "server-1 stopped and removed"} {
		if !b.reported(want) {
			t.Errorf("nothing reported like %q in %q", want, b.lines)
		}
	}
}

func TestUnknownNames(t *testing.T) {
	b := newFixture(t, Options{})
	b.launch(t, 1)
	_, stop := b.Stop("server-2")
	_, server := b.Server("server-2")
	_, process := b.Process("server-2")
	_, metrics := b.Metrics("server-2")
	for _, err := range []error{b.Kill("server-2"), stop, server, process, metrics} {
		if !errors.Is(err, ErrNoServer) {
			t.Errorf("got %v, want ErrNoServer", err)
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	b := newFixture(t, Options{})
	b.launch(t, 3)
	var processes []*process.Process
	for _, s := range b.Servers() {
		processes = append(processes, b.process(t, s.Name))
	}
	if err := processes[1].Pause(); err != nil { // it can't react to SIGTERM
		t.Fatal(err)
	}
	must.Succeed(t, b.Kill("server-3"))
	b.Close()
	for i, p := range processes {
		if p.Ended() == nil {
			t.Errorf("server-%d is alive after Close", i+1)
		}
	}
	if _, err := b.Add(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("adding to a closed fleet: got %v, want ErrClosed", err)
	}
	if _, err := b.Stop("server-1"); !errors.Is(err, ErrClosed) {
		t.Errorf("stopping in a closed fleet: got %v, want ErrClosed", err)
	}
	if status, _ := get(t, b.url); status != http.StatusServiceUnavailable {
		t.Errorf("a closed fleet responds with %d, want 503", status)
	}
}

func TestCloseDuringLaunch(t *testing.T) {
	b := newFixture(t, Options{Program: script(t, "exec sleep 60")})
	launched := make(chan error, 1)
	go func() { _, err := b.Launch(t.Context(), 2); launched <- err }()
	sessiontest.Await(t, "two processes", func() bool { return len(b.Servers()) == 2 })
	processes := []*process.Process{b.process(t, "server-1"), b.process(t, "server-2")}
	b.Close()
	if err := <-launched; err == nil {
		t.Error("Launch succeeded, want an error")
	}
	for _, p := range processes {
		if p.Ended() == nil {
			t.Error("a process is alive after Close")
		}
	}
}

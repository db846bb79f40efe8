package browser

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/process"
)

// A runningLab is a running `lab up`.
type runningLab struct {
	t       *testing.T
	url     string
	process *process.Process
}

// A server is a server in GET /_lab/fleet.
type server struct{ Name, State string }

// labUp runs `lab up` with three servers until the test ends, and returns when they are healthy. Its load balancer notices
// a dead server within two seconds.
func labUp(t *testing.T, args ...string) *runningLab {
	t.Helper()
	p, err := process.Start(process.Command{
		Name: "lab up", Path: must.Get(labProgram())(t), Dir: root,
		Env:  append(os.Environ(), "TMPDIR="+t.TempDir()), // the servers' logs stay
		Args: append([]string{"up", "--no-browser", "--addr", "127.0.0.1:0", "--health-interval", "1s"}, args...),
	})
	must.Succeed(t, err)
	l := &runningLab{t: t, process: p}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Errorf("%v:\n%s", err, p.Tail())
		}
	})
	l.url = awaitOutput(t, p, labAddress)
	l.await("three healthy servers", func(fleet []server) bool {
		return len(fleet) == 3 && !slices.ContainsFunc(fleet, func(s server) bool { return s.State != "healthy" })
	})
	return l
}

// The lines in which programs print their address.
var (
	labAddress    = regexp.MustCompile(`\nApplication  (http://\S+)\n`)
	serverAddress = regexp.MustCompile(`"msg":"serving".*"addr":"([^"]+)".*\n`)
)

// awaitOutput waits until the output of the program matches the pattern, and returns the pattern's group. The timeout is long,
// because the lab compiles the server before it starts.
func awaitOutput(t *testing.T, p *process.Process, pattern *regexp.Regexp) string {
	t.Helper()
	for deadline := time.Now().Add(3 * pageTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ended := p.Ended()
		if found := pattern.FindStringSubmatch(p.Tail()); found != nil {
			return found[1]
		}
		if ended != nil {
			t.Fatalf("%v\n%s", ended, p.Tail())
		}
	}
	t.Fatalf("timed out waiting for %s in\n%s", pattern, p.Tail())
	return ""
}

// fleet returns the servers, or none while the lab doesn't respond.
func (l *runningLab) fleet() []server {
	response, err := http.Get(l.url + "/_lab/fleet")
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	var fleet struct{ Servers []server }
	_ = json.NewDecoder(response.Body).Decode(&fleet)
	return fleet.Servers
}

// await waits until the condition holds for the fleet.
func (l *runningLab) await(what string, condition func([]server) bool) {
	l.t.Helper()
	for deadline := time.Now().Add(3 * pageTimeout); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err := l.process.Ended(); err != nil {
			l.t.Fatalf("%v:\n%s", err, l.process.Tail())
		}
		if condition(l.fleet()) {
			return
		}
	}
	l.t.Fatalf("timed out waiting for %s: %+v\n%s", what, l.fleet(), l.process.Tail())
}

// kill kills the server and waits until the load balancer sends it no more requests.
func (l *runningLab) kill(name string) {
	l.t.Helper()
	l.killUnnoticed(name)
	l.await(name+" out of service", func(fleet []server) bool { return !slices.Contains(fleet, server{name, "healthy"}) })
}

// killUnnoticed kills the server. The load balancer still sends it requests.
func (l *runningLab) killUnnoticed(name string) {
	l.t.Helper()
	response := must.Get(http.Post(l.url+"/_lab/servers/"+name+"/kill", "", nil))(l.t)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(response.Body)
		l.t.Fatalf("killing %q: %d %s", name, response.StatusCode, body)
	}
}

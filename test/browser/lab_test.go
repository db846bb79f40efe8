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

	"stateless-servers/lab/fleet"
	"stateless-servers/session/sessiontest/process"
)

// lab is a running `lab up`.
type lab struct {
	t       *testing.T
	url     string
	process *process.Process
}

// server is one of GET /_lab/fleet.
type server struct{ Name, State string }

// labUp runs `lab up` with three servers until the test ends, and returns when they are healthy. Its load balancer notices
// a dead server within two seconds.
func labUp(t *testing.T, args ...string) *lab {
	t.Helper()
	program, err := fleet.BuildProgram(t.Context(), "lab", ".", "./lab")
	if err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(process.Command{
		Name: "lab up", Path: program, Dir: root,
		Env:  append(os.Environ(), "TMPDIR="+t.TempDir()), // the servers' logs stay
		Args: append([]string{"up", "--no-browser", "--addr", "127.0.0.1:0", "--health-interval", "1s"}, args...),
	})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, process: p}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Errorf("%v:\n%s", err, p.Tail())
		}
	})
	l.url = written(t, p, labAddress)
	l.await("three healthy servers", func(fleet []server) bool {
		return len(fleet) == 3 && !slices.ContainsFunc(fleet, func(s server) bool { return s.State != "healthy" })
	})
	return l
}

// What programs say of where they listen.
var (
	labAddress    = regexp.MustCompile(`\nApplication  (http://\S+)\n`)
	serverAddress = regexp.MustCompile(`"msg":"serving".*"addr":"([^"]+)".*\n`)
)

// written waits until the program has written what the pattern matches, and returns the pattern's group. The lab builds
// the server before it starts.
func written(t *testing.T, p *process.Process, pattern *regexp.Regexp) string {
	t.Helper()
	for deadline := time.Now().Add(3 * patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ended := p.Ended()
		if found := pattern.FindStringSubmatch(p.Tail()); found != nil {
			return found[1]
		}
		if ended != nil {
			t.Fatalf("%v\n%s", ended, p.Tail())
		}
	}
	t.Fatalf("waited in vain for %s in\n%s", pattern, p.Tail())
	return ""
}

// fleet is empty while the lab doesn't answer.
func (l *lab) fleet() []server {
	response, err := http.Get(l.url + "/_lab/fleet")
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	var fleet struct{ Servers []server }
	_ = json.NewDecoder(response.Body).Decode(&fleet)
	return fleet.Servers
}

// await waits until the fleet is as wanted.
func (l *lab) await(what string, as func([]server) bool) {
	l.t.Helper()
	for deadline := time.Now().Add(3 * patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err := l.process.Ended(); err != nil {
			l.t.Fatalf("%v:\n%s", err, l.process.Tail())
		}
		if as(l.fleet()) {
			return
		}
	}
	l.t.Fatalf("waited in vain for %s: %+v\n%s", what, l.fleet(), l.process.Tail())
}

// kill ends the server, and waits until the load balancer sends it no more requests.
func (l *lab) kill(name string) {
	l.t.Helper()
	response, err := http.Post(l.url+"/_lab/servers/"+name+"/kill", "", nil)
	if err != nil {
		l.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(response.Body)
		l.t.Fatalf("killing %q: %d %s", name, response.StatusCode, body)
	}
	l.await(name+" out of service", func(fleet []server) bool { return !slices.Contains(fleet, server{name, "healthy"}) })
}

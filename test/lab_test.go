// Package test has the tests that span several packages: the lab's program with a fleet of real servers, the CDK's command
// line, the documentation, and the contract between infrastructure and server.
package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stateless-servers/lab/fleet"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/process"
)

// root is the folder of the module, relative to this package.
const root = ".."

// labProgram builds the lab's program and returns its path.
func labProgram(t *testing.T) string {
	t.Helper()
	return must.Get(builtLab())(t)
}

// builtLab builds the lab once for all tests.
var builtLab = sync.OnceValues(func() (string, error) { return fleet.BuildProgram(context.Background(), "lab", ".", "./lab") })

// A runningLab is a running `lab up`.
type runningLab struct {
	t       *testing.T
	process *process.Process
	url     string
}

// A server is one line of GET /_lab/fleet.
type server struct {
	Name     string `json:"name"`
	Zone     string `json:"zone"`
	PID      int    `json:"pid"`
	Address  string `json:"address"`
	State    string `json:"state"`
	Requests int    `json:"requests"`
}

// openTempDir makes a temporary folder that other users can enter: as root, the lab runs PostgreSQL as another user.
func openTempDir(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	must.Succeed(t, os.Chmod(filepath.Dir(folder), 0o755))
	return folder
}

// labUp runs `lab up` and waits until its servers are healthy. At the end of the test it is interrupted, like by Ctrl-C, and
// no process may be left.
func labUp(t *testing.T, servers int, args ...string) *runningLab {
	t.Helper()
	p, err := process.Start(process.Command{
		Name: "lab up", Path: labProgram(t), Dir: root,
		Args: append([]string{"up", "--no-browser", "--addr", anyPort, "--servers", fmt.Sprint(servers)}, args...),
		Env:  append(os.Environ(), "TMPDIR="+openTempDir(t)), // the servers' logs stay
	})
	must.Succeed(t, err)
	l := &runningLab{t: t, process: p}
	t.Cleanup(l.end)
	l.url = written(t, p, labAddress)
	l.await("all servers healthy", func(fleet []server) bool {
		return len(fleet) == servers && !slices.ContainsFunc(fleet, func(s server) bool { return s.State != "healthy" })
	})
	return l
}

const (
	anyPort  = "127.0.0.1:0" // the kernel chooses, and the program says which
	nobody   = "127.0.0.1:1" // no process is given a port below 1024
	patience = 3 * time.Minute
)

// The lines of `lab up` with its address and with the logs of its servers.
var (
	labAddress = regexp.MustCompile(`\nApplication  (http://\S+)\n`)
	labLogs    = regexp.MustCompile(`\nLogs         (\S+)\n`)
)

// written waits until the output of the program matches the pattern, and returns the pattern's group.
func written(t *testing.T, p *process.Process, pattern *regexp.Regexp) string {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
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

// end interrupts the lab and checks that it and its servers have ended.
func (l *runningLab) end() {
	fleet, _ := l.fleet()
	_ = syscall.Kill(l.process.Pid(), syscall.SIGINT)
	select {
	case <-l.process.Done():
		if l.process.ExitCode() != 0 {
			l.t.Errorf("%v:\n%s", l.process.Ended(), l.process.Tail())
		}
	case <-time.After(patience):
		l.process.Kill()
		l.t.Errorf("the lab didn't end within %v of Ctrl-C:\n%s", patience, l.process.Tail())
	}
	for _, s := range fleet {
		if err := syscall.Kill(s.PID, 0); s.PID > 0 && !errors.Is(err, syscall.ESRCH) {
			l.t.Errorf("%s (pid %d) is alive after the lab ended", s.Name, s.PID)
		}
	}
}

// loads returns the lines of a server's metrics about sessions loaded from the store.
func (l *runningLab) loads(name string) []string {
	l.t.Helper()
	log := must.Get(os.ReadFile(filepath.Join(filepath.Dir(written(l.t, l.process, labLogs)), name+".log")))(l.t)
	admin := regexp.MustCompile(`"admin":"([^"]+)"`).FindSubmatch(log)
	if admin == nil {
		return nil // it hasn't started to serve
	}
	response := must.Get(http.Get(fmt.Sprintf("http://%s/metrics", admin[1])))(l.t)
	defer response.Body.Close()
	metrics := must.Get(io.ReadAll(response.Body))(l.t)
	return regexp.MustCompile(`(?m)^session_store_operation_seconds_count\{operation="load".*$`).FindAllString(string(metrics), -1)
}

func (l *runningLab) fleet() ([]server, error) {
	response, err := http.Get(l.url + "/_lab/fleet")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var fleet struct{ Servers []server }
	err = json.NewDecoder(response.Body).Decode(&fleet)
	return fleet.Servers, err
}

// await polls the fleet until the condition holds.
func (l *runningLab) await(what string, as func([]server) bool) {
	l.t.Helper()
	var fleet []server
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err := l.process.Ended(); err != nil {
			l.t.Fatalf("%v:\n%s", err, l.process.Tail())
		}
		var err error
		if fleet, err = l.fleet(); err == nil && as(fleet) {
			return
		}
	}
	l.t.Fatalf("timed out waiting for %s: %+v", what, fleet)
}

// outOfService waits until the load balancer considers the server unhealthy.
func (l *runningLab) outOfService(name string) {
	l.t.Helper()
	l.await(name+" out of service", func(fleet []server) bool {
		return !slices.ContainsFunc(fleet, func(s server) bool { return s.Name == name && s.State == "healthy" })
	})
}

// act sends a POST request to a route of the dashboard.
func (l *runningLab) act(path string) {
	l.t.Helper()
	response := must.Get(http.Post(l.url+path, "", nil))(l.t)
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode >= 300 {
		l.t.Fatalf("POST %s: %d %s", path, response.StatusCode, body)
	}
}

// A client sends requests to the lab and keeps cookies.
type client struct {
	*sessiontest.Client
	lab *runningLab
}

func (l *runningLab) client() *client { return &client{sessiontest.NewClient(), l} }

// An apiResponse is a response of the API, with the keys of all routes that the tests use.
type apiResponse struct {
	status        int
	Server        string
	Visits        int
	Authenticated bool
}

func (v *client) get(path string) apiResponse { return v.send(http.MethodGet, path, "") }

// post sends a form; each field is of the form "name=value".
func (v *client) post(path string, form ...string) apiResponse {
	return v.send(http.MethodPost, path, strings.Join(form, "&"))
}

func (v *client) send(method, path, form string) apiResponse {
	v.lab.t.Helper()
	response, err := v.Do(context.Background(), method, v.lab.url+path, form)
	if err != nil {
		v.lab.t.Error(err)
		return apiResponse{}
	}
	a := apiResponse{status: response.StatusCode}
	if response.StatusCode == http.StatusOK {
		if err := json.Unmarshal([]byte(response.Body), &a); err != nil {
			v.lab.t.Errorf("%s %s: %v", method, path, err)
		}
	}
	if a.Server == "" {
		a.Server = response.Header.Get("X-Served-By")
	}
	return a
}

// sharingCookies returns another client with the same cookies.
func (v *client) sharingCookies() *client { return &client{v.Clone(), v.lab} }

// Package test has the tests that span the rooms: the lab's own program with a fleet of real servers, the CDK's command
// line, and what infrastructure and server must agree on.
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
	"syscall"
	"testing"
	"time"

	"stateless-servers/lab/fleet"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/process"
)

// root is the module's folder, seen from this package.
const root = ".."

// labProgram builds the lab's command line, unless it is up to date.
func labProgram(t *testing.T) string {
	t.Helper()
	program, err := fleet.BuildProgram(t.Context(), "lab", ".", "./lab")
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// A lab is a running `lab up`.
type lab struct {
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

// openTempDir is a temporary folder that other users reach too: as root, the lab runs PostgreSQL as one of them.
func openTempDir(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.Chmod(filepath.Dir(folder), 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}

// labUp runs `lab up` and waits until its servers are healthy. The test's end interrupts it, as Ctrl-C does, and checks
// that no process is left.
func labUp(t *testing.T, servers int, args ...string) *lab {
	t.Helper()
	p, err := process.Start(process.Command{
		Name: "lab up", Path: labProgram(t), Dir: root,
		Args: append([]string{"up", "--no-browser", "--addr", anyPort, "--servers", fmt.Sprint(servers)}, args...),
		Env:  append(os.Environ(), "TMPDIR="+openTempDir(t)), // the servers' logs stay
	})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, process: p}
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

// What `lab up` says of where it listens, and of the logs of its servers.
var (
	labAddress = regexp.MustCompile(`\nApplication  (http://\S+)\n`)
	labLogs    = regexp.MustCompile(`\nLogs         (\S+)\n`)
)

// written waits until the program has written what the pattern matches, and returns the pattern's group.
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
	t.Fatalf("waited in vain for %s in\n%s", pattern, p.Tail())
	return ""
}

// end interrupts the lab and checks that it and its servers are gone.
func (l *lab) end() {
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
			l.t.Errorf("%s (pid %d) outlived the lab", s.Name, s.PID)
		}
	}
}

// loads returns what a server's metrics say of the sessions that it has read from the store.
func (l *lab) loads(name string) []string {
	l.t.Helper()
	log, err := os.ReadFile(filepath.Join(filepath.Dir(written(l.t, l.process, labLogs)), name+".log"))
	if err != nil {
		l.t.Fatal(err)
	}
	admin := regexp.MustCompile(`"admin":"([^"]+)"`).FindSubmatch(log)
	if admin == nil {
		return nil // it hasn't started to serve
	}
	response, err := http.Get(fmt.Sprintf("http://%s/metrics", admin[1]))
	if err != nil {
		l.t.Fatal(err)
	}
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return regexp.MustCompile(`(?m)^session_store_operation_seconds_count\{operation="load".*$`).FindAllString(string(metrics), -1)
}

func (l *lab) fleet() ([]server, error) {
	response, err := http.Get(l.url + "/_lab/fleet")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var fleet struct{ Servers []server }
	err = json.NewDecoder(response.Body).Decode(&fleet)
	return fleet.Servers, err
}

// await polls the fleet until it's as wanted.
func (l *lab) await(what string, as func([]server) bool) {
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
	l.t.Fatalf("waited in vain for %s: %+v", what, fleet)
}

// outOfService waits until the balancer takes the server for dead.
func (l *lab) outOfService(name string) {
	l.t.Helper()
	l.await(name+" out of service", func(fleet []server) bool {
		return !slices.ContainsFunc(fleet, func(s server) bool { return s.Name == name && s.State == "healthy" })
	})
}

// act posts to a route of the lab's own.
func (l *lab) act(path string) {
	l.t.Helper()
	response, err := http.Post(l.url+path, "", nil)
	if err != nil {
		l.t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode >= 300 {
		l.t.Fatalf("POST %s: %d %s", path, response.StatusCode, body)
	}
}

// A visitor is a client of the lab.
type visitor struct {
	*sessiontest.Client
	lab *lab
}

func (l *lab) visitor() *visitor { return &visitor{sessiontest.NewClient(), l} }

// An answer is what the API says: of each route's keys, those that the tests look at.
type answer struct {
	status        int
	Server        string
	Visits        int
	Authenticated bool
}

func (v *visitor) get(path string) answer { return v.send(http.MethodGet, path, "") }

// post sends a form; each field is of the form "name=value".
func (v *visitor) post(path string, form ...string) answer {
	return v.send(http.MethodPost, path, strings.Join(form, "&"))
}

func (v *visitor) send(method, path, form string) answer {
	v.lab.t.Helper()
	response, err := v.Do(context.Background(), method, v.lab.url+path, form)
	if err != nil {
		v.lab.t.Error(err)
		return answer{}
	}
	a := answer{status: response.StatusCode}
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

// twin returns another visitor with the same cookies.
func (v *visitor) twin() *visitor { return &visitor{v.Clone(), v.lab} }

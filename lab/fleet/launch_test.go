package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/balancer"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
)

func TestLaunch(t *testing.T) {
	b := newFixture(t, Options{})
	servers := b.launch(t, 4)
	seen := map[string]bool{}
	for i, s := range servers {
		if want := fmt.Sprintf("server-%d", i+1); s.Name != want {
			t.Errorf("%s, want %s", s.Name, want)
		}
		if want := string("abca"[i]); s.Zone != want {
			t.Errorf("%s in zone %s, want %s", s.Name, s.Zone, want)
		}
		if s.State != balancer.StateHealthy || s.PID == 0 || seen[s.Address] || !strings.HasPrefix(s.Address, "127.0.0.1:") {
			t.Errorf("%+v", s)
		}
		seen[s.Address] = true
		if want := fmt.Sprintf("%s added: %s, zone %s, process %d", s.Name, s.Address, s.Zone, s.PID); !b.reported(want) {
			t.Errorf("nothing reported like %q", want)
		}
	}
	want := map[string]int{"server-1": 2, "server-2": 2, "server-3": 2, "server-4": 2}
	if got := b.servedBy(t, 8); !maps.Equal(got, want) {
		t.Errorf("served by %v, want %v", got, want)
	}
	for _, s := range b.Servers() {
		if s.Requests != 2 {
			t.Errorf("%+v, want 2 requests", s)
		}
	}
	added, err := b.Add(t.Context())
	if err != nil || added.Name != "server-5" || added.Zone != "b" {
		t.Errorf("added %+v, %v", added, err)
	}
	sessiontest.Await(t, "what server-5 writes is in its log", func() bool {
		log, err := os.ReadFile(filepath.Join(b.options.LogDir, "server-5.log"))
		return err == nil && string(log) == "serving "+added.Address+"\n"
	})
}

// Concurrent calls of Add don't exceed the maximum. After a server is removed, another one can be added.
func TestMaxServers(t *testing.T) {
	b := newFixture(t, Options{})
	b.maxServers = 3
	if _, err := b.Launch(t.Context(), 4); !errors.Is(err, ErrFull) {
		t.Errorf("launching four: got %v, want ErrFull", err)
	}
	var added, refused atomic.Int64
	var asking sync.WaitGroup
	for range 20 {
		asking.Go(func() {
			_, err := b.Add(t.Context())
			switch {
			case err == nil:
				added.Add(1)
			case errors.Is(err, ErrFull):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	asking.Wait()
	if added.Load() != 3 || refused.Load() != 17 || len(b.Servers()) != 3 {
		t.Errorf("%d added, %d refused, %d servers, want 3, 17 and 3", added.Load(), refused.Load(), len(b.Servers()))
	}
	stopped := must.Get(b.Stop(b.Servers()[0].Name))(t)
	<-stopped
	if _, err := b.Add(t.Context()); err != nil {
		t.Errorf("adding one after one was stopped: %v", err)
	}
}

// A server keeps running if its log can't be opened or written. The error is reported once.
func TestServersRunWithoutLogs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has /dev/full")
	}
	tests := []struct {
		name  string
		spoil func(t *testing.T, b *fixture)
		want  string
	}{
		{"full", func(t *testing.T, b *fixture) {
			must.Succeed(t, os.Symlink("/dev/full", filepath.Join(b.options.LogDir, "server-1.log")))
		}, "no space left on device"},
		{"gone", func(t *testing.T, b *fixture) {
			must.Succeed(t, os.Remove(b.options.LogDir))
		}, "no such file or directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var output safeBuilder
			b := newFixture(t, Options{Output: &output})
			test.spoil(t, b)
			b.launch(t, 1)
			response := must.Get(http.Get(b.url + "/crash"))(t)
			response.Body.Close()
			sessiontest.Await(t, "the crash is reported", func() bool { return b.reported("server-1 ended: exit status 7: out of luck") })
			b.mu.Lock()
			defer b.mu.Unlock()
			var reports []string
			for _, line := range b.lines {
				if strings.HasPrefix(line, "the log of server-1 is incomplete: ") {
					reports = append(reports, line)
				}
			}
			if len(reports) != 1 || !strings.Contains(reports[0], test.want) {
				t.Errorf("reported %q, want once %q", reports, test.want)
			}
			if got := output.String(); !strings.HasPrefix(got, "serving ") || !strings.HasSuffix(got, "out of luck\n") {
				t.Errorf("the other output got %q", got)
			}
		})
	}
}

// A safeBuilder is a strings.Builder that several goroutines may write to.
type safeBuilder struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *safeBuilder) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *safeBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestServersDoNotInheritTheEnvironment(t *testing.T) {
	t.Setenv("LAB_SECRET", "1")
	b := newFixture(t, Options{})
	b.launch(t, 1)
	_, body := get(t, b.url+"/environment")
	lines := strings.Split(body, "\n")
	if len(lines) != 4 || strings.Contains(body, "LAB_SECRET") {
		t.Errorf("got %q, want only name, zone and the two addresses", lines)
	}
}

// script writes a shell script and returns its path.
func script(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	must.Succeed(t, os.WriteFile(path, []byte("#!/bin/sh\n"+lines+"\n"), 0o700))
	return path
}

func TestLaunchFails(t *testing.T) {
	tests := []struct {
		name, program, want string
		within              time.Duration
	}{
		{"ends at once", script(t, "echo first; echo no such store >&2; exit 3"), "server-1 ended: exit status 3: no such store", time.Minute},
		{"ends well", script(t, "exit 0"), "server-1 ended: exit status 0", time.Minute},
		{"never answers", script(t, "exec sleep 60"), "starting server-1: context deadline exceeded", 500 * time.Millisecond},
		{"is not there", filepath.Join(t.TempDir(), "nothing"), "starting server-1: ", time.Minute},
		{"its port is always taken", script(t, "echo address already in use; exit 1"),
			"server-1 ended: exit status 1: address already in use", time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newFixture(t, Options{Program: test.program})
			ctx, cancel := context.WithTimeout(t.Context(), test.within)
			defer cancel()
			_, err := b.Add(ctx)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if names := b.names(); names != "" {
				t.Errorf("left: %s", names)
			}
		})
	}
}

func TestTakenPortIsRetried(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "tried")
	b := newFixture(t, Options{Program: script(t, fmt.Sprintf(
		"[ -e %[1]s ] && exec %[2]s; touch %[1]s; echo bind: address already in use; exit 1", marker, stub))})
	b.launch(t, 1)
	if _, err := os.Stat(marker); err != nil {
		t.Error(err)
	}
}

func TestOthersKeepRunningIfOneFails(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "first")
	b := newFixture(t, Options{Program: script(t, fmt.Sprintf("mkdir %s 2>/dev/null && exit 1; exec %s", marker, stub))})
	if _, err := b.Launch(t.Context(), 3); err == nil || !strings.Contains(err.Error(), "ended: exit status 1") {
		t.Errorf("got %v, want the error of the server that failed", err)
	}
	if n := len(b.Servers()); n != 2 {
		t.Errorf("%d servers left, want 2", n)
	}
}

func TestNewRefusesAnInvalidConfig(t *testing.T) {
	c := config.Default()
	c.Store, c.KeepAlive = config.StoreValkey, 0
	_, err := New(Options{Program: stub, Config: c})
	var problems config.Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Errorf("got %v", err)
	}
}

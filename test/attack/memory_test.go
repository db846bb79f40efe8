package attack

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
)

// With little memory the server refuses requests instead of being killed. During a flood of requests, it responds to some with 503
// and stays within its limit. After the flood it is healthy. A server with GOMEMLIMIT=off dies in the same flood, which shows that
// the flood would exceed the limit.
func TestLittleMemory(t *testing.T) {
	sessiontest.Long(t)
	if runtime.GOOS != "linux" {
		t.Skip("only Linux enforces ulimit -d for mapped memory and has cgroups")
	}
	const unbounded = "GOMEMLIMIT=off"
	for _, limited := range []struct {
		name    string
		limit   int // bytes
		setting string
		under   func(t *testing.T, limit int) []string
	}{
		// This limit includes some 100 MB that Go maps but does not use.
		{"limit of the data segment", 320 << 20, "GOMEMLIMIT=160MiB", func(_ *testing.T, limit int) []string {
			return []string{"sh", "-c", fmt.Sprintf(`ulimit -d %d; exec "$0"`, limit>>10)}
		}},
		// The server detects this limit itself.
		{"cgroup", 160 << 20, "PLAIN_HTTP=true", memoryGroup},
	} {
		t.Run(limited.name, func(t *testing.T) {
			s := startServer(t, []string{"PLAIN_HTTP=true", limited.setting}, limited.under(t, limited.limit)...)
			f := newFlood(s.addr)
			defer f.end()
			f.add(t, 800)
			must.Succeed(t, s.Ended())
			if f.statuses()[http.StatusServiceUnavailable] == 0 {
				t.Errorf("responses with Retry-After by status: %v, want some with 503", f.statuses())
			}
			if used := s.maxResidentMemory(t); used > limited.limit {
				t.Errorf("the server used %d bytes, want at most %d", used, limited.limit)
			}
			f.end()
			s.awaitHealthy(t)
		})
		t.Run(limited.name+", GOMEMLIMIT=off", func(t *testing.T) {
			s := startServer(t, []string{"PLAIN_HTTP=true", unbounded}, limited.under(t, limited.limit)...)
			f := newFlood(s.addr)
			defer f.end()
			for wave := 0; wave < 5 && s.Ended() == nil; wave++ {
				f.add(t, 800)
			}
			select {
			case <-s.Done():
			case <-time.After(30 * time.Second):
				t.Errorf("the server survived the flood with GOMEMLIMIT=off and %d bytes, want it killed", s.maxResidentMemory(t))
			}
		})
	}
}

// Sessions in the server's memory don't use up the memory that requests need.
func TestSessionsFillMemory(t *testing.T) {
	s := startServer(t, []string{"PLAIN_HTTP=true", "GOMEMLIMIT=64MiB"})
	client := dial(t, s.addr)
	status := http.StatusOK
	for i := 0; i < 20_000 && status == http.StatusOK; i++ {
		status = client.do(t, http.MethodPost, "/api/visits")
	}
	if status != http.StatusServiceUnavailable {
		t.Fatalf("POST /api/visits after many sessions: %d, want 503", status)
	}
	if status := client.do(t, http.MethodGet, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d, want 200", status)
	}
}

// A flood is a set of connections, each with a request that takes memory in the server and doesn't end.
type flood struct {
	requests []string
	addr     string
	mu       sync.Mutex
	conns    []net.Conn
	status   map[int]int
}

func newFlood(addr string) *flood {
	const post = "POST /login HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	var short, query strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&short, "%s:\n", strconv.FormatInt(int64(i), 36))
		fmt.Fprintf(&query, "%s&", strconv.FormatInt(int64(i), 36))
	}
	return &flood{addr: addr, status: map[int]int{}, requests: []string{
		post + short.String(), // a header without an end
		post + "Content-Length: 4000\r\n" + short.String() + "\r\n" + strings.Repeat("a&", 1900), // a body without an end
		strings.Replace(post, " HTTP", "?"+query.String()+" HTTP", 1) + "X-A: " + strings.Repeat("a", 4<<10),
	}}
}

// add opens n connections and returns when each request has been read or refused.
func (f *flood) add(t *testing.T, n int) {
	t.Helper()
	var sending sync.WaitGroup
	for i := range n {
		conn, err := net.DialTimeout("tcp", f.addr, 5*time.Second)
		if err != nil {
			break // the server is gone
		}
		f.mu.Lock()
		f.conns = append(f.conns, conn)
		f.mu.Unlock()
		sending.Go(func() {
			conn.SetDeadline(time.Now().Add(5 * time.Second)) // well below the server's timeout for reading a request
			io.WriteString(conn, f.requests[i%len(f.requests)])
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			f.mu.Lock()
			defer f.mu.Unlock()
			if err == nil && response.Header.Get("Retry-After") != "" {
				f.status[response.StatusCode]++
				response.Body.Close()
			}
		})
	}
	sending.Wait()
}

// statuses returns the number of responses with a Retry-After header by status.
func (f *flood) statuses() map[int]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *flood) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range f.conns {
		conn.Close()
	}
}

// memoryGroup creates a cgroup with a memory limit below the test's own, and returns the command that runs a program in it.
func memoryGroup(t *testing.T, limit int) []string {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skip("no cgroups: ", err)
	}
	var folder, file string
	for line := range strings.Lines(string(own)) { // such as 4:memory:/path in version 1, 0::/path in version 2
		switch part := strings.SplitN(strings.TrimSpace(line), ":", 3); {
		case part[1] == "memory":
			folder, file = filepath.Join("/sys/fs/cgroup/memory", part[2]), "memory.limit_in_bytes"
		case part[0] == "0" && folder == "":
			folder, file = filepath.Join("/sys/fs/cgroup", part[2]), "memory.max"
		}
	}
	folder, err = os.MkdirTemp(folder, "test")
	if err != nil {
		t.Skip("this user can't make a cgroup: ", err)
	}
	t.Cleanup(func() {
		if err := os.Remove(folder); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(folder, file), []byte(strconv.Itoa(limit)), 0o644); err != nil {
		t.Skip("this user's cgroups have no limits of memory: ", err)
	}
	return []string{"sh", "-c", `echo $$ >"$0" && exec "$1"`, filepath.Join(folder, "cgroup.procs")}
}

// mostMemory returns the maximum resident memory of the server, in bytes.
func (s *server) maxResidentMemory(t *testing.T) int {
	t.Helper()
	status := must.Get(os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid())))(t)
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmHWM:" {
			kilobytes := must.Get(strconv.Atoi(fields[1]))(t)
			return kilobytes << 10
		}
	}
	t.Fatalf("no VmHWM in:\n%s", status)
	return 0
}

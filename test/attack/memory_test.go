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
)

// With little memory the server refuses requests instead of dying: while a flood of requests holds as much as it
// can, the surplus gets 503, the server keeps within its limit, and when the flood is over it serves as before. Without
// its bound, the same server dies of the same flood.
func TestLittleMemory(t *testing.T) {
	sessiontest.Long(t)
	if runtime.GOOS != "linux" {
		t.Skip("only Linux holds a process to a limit of all that it maps (ulimit -d), and has cgroups")
	}
	const unbounded = "GOMEMLIMIT=off"
	for _, limited := range []struct {
		name    string
		limit   int // bytes
		setting string
		under   func(t *testing.T, limit int) []string
	}{
		// Go maps some 100 MB that it doesn't use, which this limit counts.
		{"limit of data", 320 << 20, "GOMEMLIMIT=160MiB", func(_ *testing.T, limit int) []string {
			return []string{"sh", "-c", fmt.Sprintf(`ulimit -d %d; exec "$0"`, limit>>10)}
		}},
		// The server finds this limit by itself.
		{"cgroup", 160 << 20, "PLAIN_HTTP=true", memoryGroup},
	} {
		t.Run(limited.name, func(t *testing.T) {
			s := start(t, []string{"PLAIN_HTTP=true", limited.setting}, limited.under(t, limited.limit)...)
			f := newFlood(s.addr)
			defer f.end()
			f.rise(t, 800)
			if err := s.Ended(); err != nil {
				t.Fatal(err)
			}
			if f.answers()[http.StatusServiceUnavailable] == 0 {
				t.Errorf("answers by status: %v, want 503, and when to try again", f.answers())
			}
			if most := s.mostMemory(t); most > limited.limit {
				t.Errorf("the server took %d bytes, its limit is %d", most, limited.limit)
			}
			f.end()
			s.awaitHealthy(t)
		})
		t.Run(limited.name+", not obeyed", func(t *testing.T) {
			s := start(t, []string{"PLAIN_HTTP=true", unbounded}, limited.under(t, limited.limit)...)
			f := newFlood(s.addr)
			defer f.end()
			for wave := 0; wave < 5 && s.Ended() == nil; wave++ {
				f.rise(t, 800)
			}
			select {
			case <-s.Done():
			case <-time.After(30 * time.Second):
				t.Errorf("the server is alive without its bound, and took %d bytes", s.mostMemory(t))
			}
		})
	}
}

// Sessions in the server's memory leave memory for requests.
func TestSessionsFillMemory(t *testing.T) {
	s := start(t, []string{"PLAIN_HTTP=true", "GOMEMLIMIT=64MiB"})
	visitor := keep(t, s.addr)
	status := http.StatusOK
	for i := 0; i < 20_000 && status == http.StatusOK; i++ {
		status = visitor.do(t, http.MethodPost, "/api/visits")
	}
	if status != http.StatusServiceUnavailable {
		t.Fatalf("when the memory for sessions is full: %d", status)
	}
	if status := visitor.do(t, http.MethodGet, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
}

// A flood is many connections, each with a request that holds memory and doesn't end.
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

// rise adds connections and returns when each request has been read or refused.
func (f *flood) rise(t *testing.T, visitors int) {
	t.Helper()
	var sending sync.WaitGroup
	for i := range visitors {
		conn, err := net.DialTimeout("tcp", f.addr, 5*time.Second)
		if err != nil {
			break // the server is gone
		}
		f.mu.Lock()
		f.conns = append(f.conns, conn)
		f.mu.Unlock()
		sending.Go(func() {
			conn.SetDeadline(time.Now().Add(5 * time.Second)) // well below what the server grants slow visitors
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

// answers returns the number of responses with a Retry-After header by status.
func (f *flood) answers() map[int]int {
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

// memoryGroup makes a cgroup below the test's own with a limit of memory, and returns how to start a program in it.
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
func (s *server) mostMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); fields[0] == "VmHWM:" {
			kilobytes, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Fatalf("no VmHWM in:\n%s", status)
	return 0
}

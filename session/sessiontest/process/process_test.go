//go:build unix

package process

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
)

// The test binary is also the child process. PROCESS_TEST_ROLE selects its behavior.
func TestMain(m *testing.M) {
	switch os.Getenv("PROCESS_TEST_ROLE") {
	case "":
		os.Exit(m.Run())
	case "speak":
		fmt.Println("first")
		fmt.Fprintln(os.Stderr, "last")
		os.Exit(3)
	case "talk":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		fmt.Println("first")
		<-stop
		for range 10_000 {
			fmt.Println("more")
		}
		os.Exit(3)
	case "listen":
		_, err := net.Listen("tcp4", os.Getenv("PROCESS_TEST_ADDRESS"))
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	case "obey":
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		fmt.Println("ready")
		<-stop
		os.Exit(0)
	case "refuse":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		time.Sleep(time.Minute)
	case "parent":
		child, err := Start(Command{Name: "child", Path: os.Args[0], Env: role("refuse")})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		// Threads of the parent end. The child must survive that.
		for range 100 {
			go func() { runtime.LockOSThread() }()
		}
		fmt.Println(child.Pid())
		time.Sleep(time.Minute)
	}
}

func role(name string) []string { return append(os.Environ(), "PROCESS_TEST_ROLE="+name) }

func start(t *testing.T, name string) *Process {
	t.Helper()
	p := must.Get(Start(Command{Name: name, Path: os.Args[0], Env: role(name)}))(t)
	t.Cleanup(p.Kill)
	return p
}

func ready(p *Process) func() bool { return func() bool { return p.Tail() == "ready\n" } }

func TestEndedHasTheStatusAndTheLastLine(t *testing.T) {
	p := start(t, "speak")
	<-p.Done()
	if got, want := p.Ended().Error(), "speak ended: exit status 3: last"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if p.ExitCode() != 3 {
		t.Errorf("exit code %d, want 3", p.ExitCode())
	}
	if got, want := p.Tail(), "first\nlast\n"; got != want {
		t.Errorf("tail: got %q, want %q", got, want)
	}
}

func TestOutputGoesToTheWriterAsWell(t *testing.T) {
	var output strings.Builder
	p := must.Get(Start(Command{Name: "speak", Path: os.Args[0], Env: role("speak"), Output: &output}))(t)
	<-p.Done()
	if got, want := output.String(), "first\nlast\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A full is a writer that fails like a file on a full disk. It signals its first write.
type full struct{ tried chan struct{} }

func (f full) Write([]byte) (int, error) {
	select {
	case f.tried <- struct{}{}:
	default:
	}
	return 0, syscall.ENOSPC
}

func TestChildOutlivesItsLog(t *testing.T) {
	log := full{make(chan struct{}, 1)}
	p := must.Get(Start(Command{Name: "talk", Path: os.Args[0], Env: role("talk"), Output: log}))(t)
	t.Cleanup(p.Kill)
	<-log.tried
	must.Succeed(t, p.Stop(t.Context()))
	if got, want := p.Ended().Error(), "talk ended: exit status 3: more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestIgnoreErrorsReportsOnce(t *testing.T) {
	var told []error
	w := IgnoreErrors(full{make(chan struct{}, 1)}, func(err error) { told = append(told, err) })
	for range 3 {
		if n, err := w.Write([]byte("a line\n")); n != 7 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
	if len(told) != 1 || told[0] != syscall.ENOSPC {
		t.Errorf("reported %v, want one error", told)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var kept tail
	for i := range 10_000 {
		fmt.Fprintln(&kept, i)
	}
	if n := len(kept.String()); n != tailSize {
		t.Errorf("%d bytes kept, want %d", n, tailSize)
	}
	if got := kept.lastLine(); got != "9999" {
		t.Errorf("last line %q", got)
	}
}

func TestStartOfAMissingProgram(t *testing.T) {
	_, err := Start(Command{Name: "server-1", Path: "/nonexistent/program"})
	if err == nil || !strings.Contains(err.Error(), "starting server-1") {
		t.Errorf("got %v", err)
	}
}

func TestStop(t *testing.T) {
	tests := []struct {
		role   string
		paused bool
		killed bool // the child is killed instead of ending by itself
	}{
		{"obey", false, false},
		{"obey", true, false},
		{"refuse", false, true},
		{"refuse", true, true},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s paused=%v", test.role, test.paused), func(t *testing.T) {
			p := start(t, test.role)
			sessiontest.Await(t, "ready", ready(p))
			if test.paused {
				must.Succeed(t, p.Pause())
			}
			bound := time.Minute
			if test.killed {
				bound = 100 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), bound)
			defer cancel()
			if err := p.Stop(ctx); (err != nil) != test.killed {
				t.Errorf("Stop: %v", err)
			}
			if p.Ended() == nil {
				t.Error("the child runs after Stop")
			}
			if err := p.Stop(ctx); err != nil {
				t.Errorf("a second Stop: %v", err)
			}
		})
	}
}

func TestPauseAndResume(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	p := start(t, "refuse")
	sessiontest.Await(t, "ready", ready(p))
	must.Succeed(t, p.Pause())
	sessiontest.Await(t, "paused", func() bool { return state(p.Pid()) == "T" })
	must.Succeed(t, p.Resume())
	sessiontest.Await(t, "resumed", func() bool { return state(p.Pid()) != "T" })
	p.Kill()
	if err := p.Pause(); err == nil {
		t.Error("Pause of an ended process succeeded, want an error")
	}
}

func TestChildHasItsOwnProcessGroup(t *testing.T) {
	p := start(t, "refuse")
	group, err := syscall.Getpgid(p.Pid())
	if err != nil || group != p.Pid() {
		t.Errorf("group %d of process %d, %v", group, p.Pid(), err)
	}
}

func TestChildDiesWithAKilledParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a parent-death signal")
	}
	parent := exec.Command(os.Args[0])
	parent.Env = role("parent")
	output, err := parent.StdoutPipe()
	must.Succeed(t, err)
	must.Succeed(t, parent.Start())
	defer func() {
		_ = parent.Process.Kill()
		_ = parent.Wait()
	}()
	line, err := bufio.NewReader(output).ReadString('\n')
	must.Succeed(t, err)
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the parent printed %q, want a process id", line)
	}
	if s := state(child); s == "" {
		t.Fatal("the child ended before its parent")
	}
	must.Succeed(t, parent.Process.Kill())
	sessiontest.Await(t, "the child is gone", func() bool { s := state(child); return s == "" || s == "Z" })
}

// state returns the state letter in /proc/pid/stat: R, S, T (stopped), Z (zombie), or "" if there is no such process.
func state(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

func TestPortTaken(t *testing.T) {
	taken := must.Get(net.Listen("tcp4", "127.0.0.1:0"))(t)
	defer taken.Close()
	for address, want := range map[string]bool{taken.Addr().String(): true, "127.0.0.1:0": false} {
		p := must.Get(Start(Command{Name: "listen", Path: os.Args[0], Env: append(role("listen"), "PROCESS_TEST_ADDRESS="+address)}))(t)
		<-p.Done()
		if p.PortTaken() != want {
			t.Errorf("%s: %v after %q", address, p.PortTaken(), p.Tail())
		}
	}
}

func TestFreePortCanBeBound(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		port := must.Get(FreePort())(t)
		if seen[port] {
			t.Errorf("FreePort returned port %d twice", port)
		}
		seen[port] = true
		listener := must.Get(net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port)))(t)
		listener.Close()
	}
}

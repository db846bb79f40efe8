//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/must"
)

func TestSignalsEndEverything(t *testing.T) {
	// Tests that run under nohup ignore SIGHUP, and what they start would inherit that; what they handle it doesn't.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	tests := []struct {
		signal syscall.Signal
		exit   int // -1: by the signal
	}{
		{syscall.SIGINT, 0}, {syscall.SIGTERM, 0}, {syscall.SIGHUP, 0}, {syscall.SIGKILL, -1},
	}
	for _, test := range tests {
		t.Run(test.signal.String(), func(t *testing.T) {
			if test.signal == syscall.SIGKILL && runtime.GOOS != "linux" {
				t.Skip("only Linux has a parent-death signal")
			}
			lab := startLab(t)
			pids := children(lab.command.Process.Pid)
			for _, server := range lab.fleet(t).Servers {
				if !slices.Contains(pids, server.PID) {
					t.Errorf("%s, process %d, is not among the lab's children %v", server.Name, server.PID, pids)
				}
			}
			must.Succeed(t, lab.command.Process.Signal(test.signal))
			_ = lab.command.Wait()
			if exit := lab.command.ProcessState.ExitCode(); exit != test.exit {
				t.Errorf("exit status %d, want %d", exit, test.exit)
			}
			for _, pid := range pids {
				gone(t, pid, test.signal != syscall.SIGKILL)
			}
		})
	}
}

// gone waits for the end of a process; at most not at all if the lab itself has waited for it.
func gone(t *testing.T, pid int, waited bool) {
	t.Helper()
	for range 1000 {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) || zombie(pid) {
			return
		}
		if waited {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d lives", pid)
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// children lists the processes that pid started, in order; none where there is no ps.
func children(pid int) []int {
	output, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,comm=").Output()
	if err != nil {
		return nil
	}
	var list []int
	for line := range strings.Lines(string(output)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[1] != strconv.Itoa(pid) || fields[2] == "ps" {
			continue
		}
		if child, err := strconv.Atoi(fields[0]); err == nil {
			list = append(list, child)
		}
	}
	slices.Sort(list)
	return list
}

func zombie(pid int) bool {
	output, _ := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return strings.HasPrefix(string(output), "Z")
}

//go:build unix

package process

import (
	"os"
	"syscall"
)

// Signals go to the child's whole group, for a child may be a script that started the program proper.
// An error means that the group is gone, which is what terminate and kill are after.

// terminate also wakes the group: a paused process handles SIGTERM only after SIGCONT.
func terminate(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGTERM)
	_ = syscall.Kill(-p.Pid, syscall.SIGCONT)
}

func kill(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }

func pause(pid int) error { return syscall.Kill(-pid, syscall.SIGSTOP) }

func resume(pid int) error { return syscall.Kill(-pid, syscall.SIGCONT) }

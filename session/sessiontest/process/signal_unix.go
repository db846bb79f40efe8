//go:build unix

package process

import (
	"os"
	"syscall"
)

// Signals are sent to the whole process group, because a child may be a script that started the actual program.
// An error means that the group has ended, which terminate and kill want to achieve.

// terminate also continues the group, because a paused process handles SIGTERM only after SIGCONT.
func terminate(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGTERM)
	_ = syscall.Kill(-p.Pid, syscall.SIGCONT)
}

// kill pauses the group first, so that no process starts while it searches for descendants.
func kill(p *os.Process) {
	_ = pause(p.Pid)
	for _, group := range groups(p.Pid) {
		_ = syscall.Kill(-group, syscall.SIGKILL)
	}
}

func pause(pid int) error {
	err := syscall.Kill(-pid, syscall.SIGSTOP)
	for _, group := range groups(pid)[1:] {
		_ = syscall.Kill(-group, syscall.SIGSTOP)
	}
	return err
}

func resume(pid int) error {
	for _, group := range groups(pid)[1:] {
		_ = syscall.Kill(-group, syscall.SIGCONT)
	}
	return syscall.Kill(-pid, syscall.SIGCONT)
}

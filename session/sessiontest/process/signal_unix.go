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

// kill pauses first, so that nothing starts while it looks for what there is.
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

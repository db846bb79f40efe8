//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// detach puts the browser in a process group of its own, so that Ctrl-C in the lab's terminal does not end it.
func detach(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

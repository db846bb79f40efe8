//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// detach keeps Ctrl-C in the lab's terminal from the browser.
func detach(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

//go:build !unix

package process

import (
	"errors"
	"os"
	"syscall"
)

var errNoSignals = errors.New("this operating system can't pause a process")

func attributes() *syscall.SysProcAttr { return nil }

// terminate kills: there is no SIGTERM here.
func terminate(p *os.Process) { _ = p.Kill() }

func kill(p *os.Process) { _ = p.Kill() }

func pause(int) error { return errNoSignals }

func resume(int) error { return errNoSignals }

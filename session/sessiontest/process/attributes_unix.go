//go:build unix && !linux

package process

import "syscall"

// attributes sets no parent-death signal, which only Linux has. If the parent is killed, its children continue.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

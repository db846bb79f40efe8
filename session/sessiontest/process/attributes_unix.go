//go:build unix && !linux

package process

import "syscall"

// attributes has no parent-death signal: only Linux has one. Elsewhere a lab that is itself killed leaves its children.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

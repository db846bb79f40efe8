//go:build unix

package main

import "syscall"

// descriptorLimit is how many file descriptors the process may have open. The Go runtime has raised the soft limit to the
// hard one.
func descriptorLimit() (int, bool) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return int(min(limit.Cur, 1<<30)), true // #nosec G115 -- at most 1<<30
}

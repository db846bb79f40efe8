//go:build unix

package main

import "syscall"

// descriptorLimit returns the limit of open file descriptors of the process, and false if it isn't known. The Go runtime has
// already raised the soft limit to the hard limit.
func descriptorLimit() (int, bool) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return int(min(limit.Cur, 1<<30)), true // #nosec G115 -- at most 1<<30
}

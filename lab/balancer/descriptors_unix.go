//go:build unix

package balancer

import "syscall"

// descriptorLimit returns the limit of open file descriptors of the process. The Go runtime has already raised the soft limit to
// the hard limit.
func descriptorLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return DescriptorsNeeded
	}
	return int(min(limit.Cur, DescriptorsNeeded)) // #nosec G115 -- at most DescriptorsNeeded
}

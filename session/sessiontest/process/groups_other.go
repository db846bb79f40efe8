//go:build unix && !linux

package process

// groups returns only the process group pid, because there is no /proc outside Linux.
func groups(pid int) []int { return []int{pid} }

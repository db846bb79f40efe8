//go:build unix && !linux

package process

// groups returns the process group pid: outside Linux there is no /proc to find others in.
func groups(pid int) []int { return []int{pid} }

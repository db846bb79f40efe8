//go:build !linux

package load

import "time"

// sleep waits; see the one for Linux.
func sleep(d time.Duration) { time.Sleep(d) }

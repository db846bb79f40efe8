//go:build !linux

package load

import "time"

// sleep waits for d, with the resolution of time.Sleep.
func sleep(d time.Duration) { time.Sleep(d) }

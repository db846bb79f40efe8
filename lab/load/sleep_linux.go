package load

import (
	"time"

	"golang.org/x/sys/unix"
)

// sleep is like time.Sleep, but at most some microseconds late. Go's timers wait in epoll with a resolution of a millisecond,
// and every latency counts from the time at which the request was due. Requests that become due meanwhile would be sent
// together, and queue in the servers: on two cores at 1250 requests per second, the median latency is 0.68 ms with time.Sleep,
// the same as vegeta's, and 0.56 ms with this function.
func sleep(d time.Duration) {
	// The slack belongs to the thread. If the goroutine moves to another thread, it is up to 50 µs late.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	interval := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&interval, nil) // returns early after a signal; the caller checks the clock
}

//go:build unix

package storeserver

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// lockPoll is the time between two tries of a lock that another process has.
const lockPoll = 50 * time.Millisecond

// lock takes an exclusive lock on a file, which also ends with the process. It calls wait once if another has the lock.
func lock(ctx context.Context, path string, wait func()) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			file.Close()
			return nil, err
		}
		if try == 0 {
			wait()
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			file.Close()
			return nil, ctx.Err()
		}
	}
}

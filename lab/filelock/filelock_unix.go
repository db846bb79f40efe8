//go:build unix

// Package filelock has processes of the lab wait for each other.
package filelock

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// poll is the time between two tries of a lock that another process has.
const poll = 50 * time.Millisecond

// Take takes an exclusive lock on the file at path, which it makes if there is none. The lock ends with unlock, or with the
// process. If another has it, Take calls wait once and goes on trying until ctx ends.
func Take(ctx context.Context, path string, wait func()) (unlock func(), err error) {
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
		case <-time.After(poll):
		case <-ctx.Done():
			file.Close()
			return nil, ctx.Err()
		}
	}
}

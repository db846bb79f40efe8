package storeserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"stateless-servers/session/sessiontest/process"
)

// fetchTimeout limits a download. DynamoDB Local has 46 MB.
const fetchTimeout = 10 * time.Minute

// cached returns the folder with the given name in the user's cache. If it doesn't exist, fetch fills it; a failed fetch leaves
// nothing. If several processes call cached, one fetches and the others wait.
func cached(ctx context.Context, o options, name string, fetch func(ctx context.Context, dir string) error) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	base = filepath.Join(base, "stateless-servers")
	dir := filepath.Join(base, name)
	if exists(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", err
	}
	lock := flock.New(filepath.Join(base, name+".lock"))
	taken, err := lock.TryLock()
	if err == nil && !taken {
		o.progress("Waiting for another process that fetches " + name)
		_, err = lock.TryLockContext(ctx, 50*time.Millisecond)
	}
	if err != nil {
		return "", fmt.Errorf("waiting for the lock of %s: %w", name, err)
	}
	defer lock.Close()
	if exists(dir) {
		return dir, nil
	}
	unfinished, err := os.MkdirTemp(base, name+"-unfinished-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(unfinished)
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	if err := fetch(ctx, unfinished); err != nil {
		return "", err
	}
	return dir, os.Rename(unfinished, dir)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// run runs a program and waits for its end. The error contains the line of output that names the cause.
func run(ctx context.Context, dir, program string, args ...string) error {
	p, err := process.Start(process.Command{Name: program, Path: program, Args: args, Dir: dir})
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("running %s: %w", program, ctx.Err())
	}
	if p.ExitCode() == 0 {
		return nil
	}
	// Maven and npm name the cause first and end with advice.
	for line := range strings.Lines(p.Tail()) {
		if strings.Contains(strings.ToLower(line), "error") {
			return fmt.Errorf("%s failed: %s", program, strings.TrimSpace(line))
		}
	}
	return p.Ended()
}

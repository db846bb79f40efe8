package storeserver

import (
	"context"
	"errors"
	"os"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

func TestCacheFetchesOnce(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	quiet, err := applyOptions("thing", nil)
	must.Succeed(t, err)
	fetched := 0
	fetch := func(fails bool) func(context.Context, string) error {
		return func(_ context.Context, dir string) error {
			fetched++
			if fails {
				return os.ErrDeadlineExceeded
			}
			return os.WriteFile(dir+"/file", nil, 0o644)
		}
	}
	if _, err := cached(t.Context(), quiet, "thing", fetch(true)); err == nil {
		t.Fatal("a failed fetch left a folder in the cache")
	}
	errs := make(chan error)
	for range 4 {
		go func() {
			dir, err := cached(t.Context(), quiet, "thing", fetch(false))
			if err == nil && !exists(dir+"/file") {
				err = os.ErrNotExist
			}
			errs <- err
		}()
	}
	for range 4 {
		must.Succeed(t, <-errs)
	}
	if fetched != 2 {
		t.Errorf("%d fetches, want the failed one and one more", fetched)
	}

	// A caller that waits for another process reports it, and stops waiting when its context ends.
	waiting := 0
	quiet.progress = func(string) { waiting++ }
	ctx, cancel := context.WithCancel(t.Context())
	_, err = cached(ctx, quiet, "other thing", func(context.Context, string) error {
		cancel()
		_, err := cached(ctx, quiet, "other thing", fetch(false))
		return err
	})
	if !errors.Is(err, context.Canceled) || waiting != 1 {
		t.Errorf("waited %d times, got %v", waiting, err)
	}
}

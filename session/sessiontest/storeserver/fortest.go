package storeserver

import (
	"context"
	"errors"
	"testing"
)

// ForTest starts a server for one test or benchmark, which ends with it: ForTest(t, storeserver.Valkey). A server that
// can't be had fails the test with the line that says what to install. SKIP_STORES, a comma-separated list such as
// "dynamodb,valkey", skips the tests of stores that are knowingly missing; nothing else does.
func ForTest(t testing.TB, start func(context.Context, ...Option) (*Server, error)) *Server {
	t.Helper()
	return forTest(t, start, false)
}

// OwnForTest is ForTest for a test that pauses, kills or restarts the server: it starts one even where an environment
// variable names a running one.
func OwnForTest(t testing.TB, start func(context.Context, ...Option) (*Server, error)) *Server {
	t.Helper()
	return forTest(t, start, true)
}

func forTest(t testing.TB, start func(context.Context, ...Option) (*Server, error), own bool) *Server {
	t.Helper()
	server, err := start(t.Context(), WithProgress(func(line string) { t.Log(line) }),
		func(o *options) { o.skippable, o.own = true, own })
	if errors.Is(err, errSkipped) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// SkipIfSkipped skips the test when SKIP_STORES names the store, for tests that start servers in other ways.
func SkipIfSkipped(t testing.TB, store string) {
	t.Helper()
	if _, err := apply(store, []Option{func(o *options) { o.skippable = true }}); err != nil {
		t.Skip(err)
	}
}

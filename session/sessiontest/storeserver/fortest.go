package storeserver

import (
	"context"
	"errors"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// ForTest starts a server that ends with the test or benchmark: ForTest(t, storeserver.Valkey). If the server can't be started, it
// fails the test with a line that says what to install. SKIP_STORES, a comma-separated list such as "dynamodb,valkey", skips the
// tests of stores that are missing on purpose.
func ForTest(t testing.TB, start func(context.Context, ...Option) (*Server, error)) *Server {
	t.Helper()
	return forTest(t, start, false)
}

// OwnForTest does the same as ForTest, but always starts a server, even if an environment variable names a running one. Tests that
// pause, kill or restart the server need it.
func OwnForTest(t testing.TB, start func(context.Context, ...Option) (*Server, error)) *Server {
	t.Helper()
	return forTest(t, start, true)
}

func forTest(t testing.TB, start func(context.Context, ...Option) (*Server, error), own bool) *Server {
	t.Helper()
	server, err := start(t.Context(), WithProgress(func(line string) { t.Log(line) }),
		func(o *options) { o.forTest, o.own = true, own })
	if errors.Is(err, errSkipped) {
		t.Skip(err)
	}
	must.Succeed(t, err)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// SkipIfSkipped skips the test if SKIP_STORES names the store. It is for tests that start servers without ForTest.
func SkipIfSkipped(t testing.TB, store string) {
	t.Helper()
	if _, err := applyOptions(store, []Option{func(o *options) { o.forTest = true }}); err != nil {
		t.Skip(err)
	}
}

package sessiontest

import "testing"

// Long skips a test under go test -short, which runs another test of the same kind instead. make check runs both.
func Long(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: make check runs this test")
	}
}

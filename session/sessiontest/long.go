package sessiontest

import "testing"

// Long skips a long test under go test -short. A shorter test of the same kind runs then. make check runs both.
func Long(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: make check runs this test")
	}
}

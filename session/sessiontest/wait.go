package sessiontest

import (
	"fmt"
	"testing"
	"time"
)

// maxWait limits a wait. It allows for a busy machine.
const maxWait = time.Minute

// Eventually calls try until it returns nil. After a minute it fails the test with the last error.
func Eventually(t testing.TB, try func() error) {
	t.Helper()
	err := try()
	for deadline := time.Now().Add(maxWait); err != nil; err = try() {
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Await waits until condition returns true. After a minute it fails the test with what, a description of the condition.
func Await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	Eventually(t, func() error {
		if !condition() {
			return fmt.Errorf("not within %v: %s", maxWait, what)
		}
		return nil
	})
}

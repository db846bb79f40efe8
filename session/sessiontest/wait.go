package sessiontest

import (
	"fmt"
	"testing"
	"time"
)

// waitAtMost bounds a wait, on a machine that may be busy.
const waitAtMost = time.Minute

// Eventually tries until there is no error. After a minute, it fails the test with the last one.
func Eventually(t testing.TB, try func() error) {
	t.Helper()
	err := try()
	for deadline := time.Now().Add(waitAtMost); err != nil; err = try() {
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Await waits until the condition holds. After a minute, it fails the test and says what it waited for.
func Await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	Eventually(t, func() error {
		if !condition() {
			return fmt.Errorf("not within %v: %s", waitAtMost, what)
		}
		return nil
	})
}

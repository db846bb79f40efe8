package sessiontest_test

import (
	"testing"

	"stateless-servers/session/memory"
	"stateless-servers/session/revocation"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/broken"
)

func TestRevocationsInMemory(t *testing.T) { sessiontest.RunList(t, memory.NewRevocations()) }

// The suite must detect common defects of revocation. Each of these lists has one.
func TestBrokenRevocationsAreDetected(t *testing.T) {
	for _, test := range []struct {
		name string
		wrap func(revocation.List) revocation.List
		want string // the case that must fail
	}{
		{"polls without overlap", broken.PollsWithoutOverlap, "a poll finds entries of servers whose clocks are behind"},
		{"forgets pages", broken.ForgetsPages, "a new server reads every page"},
		{"revokes again", broken.RevokesAgain, "a session is revoked once"},
		{"trusts clocks", broken.TrustsClocks, "every cut-off is later than the one before"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, c := range sessiontest.ListCases() {
				if c.Name != test.want {
					continue
				}
				if err := c.Run(t.Context(), test.wrap(memory.NewRevocations())); err == nil {
					t.Errorf("%q passed, want a failure", c.Name)
				} else {
					t.Log(err)
				}
				return
			}
			t.Errorf("there is no case %q", test.want)
		})
	}
}

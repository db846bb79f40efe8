package sessiontest_test

import (
	"context"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/broken"
)

// The suite must detect common defects of session libraries. Each of these stores has one.
func TestBrokenStoresAreDetected(t *testing.T) {
	tests := []struct {
		name  string
		store session.Store
		want  []string // cases that must fail
	}{
		{"writes the whole session back", broken.WritesWholeSession(memory.New()), []string{
			"every addition counts", "changes of different keys all survive", "servers: every acknowledged visit counts",
			"only one of several conditional removals succeeds",
		}},
		{"an update recreates what was ended", broken.RevivesEndedSessions(memory.New()), []string{
			"an ended session stays ended", "servers: logout is final for requests in flight",
		}},
		{"reads are stale", broken.ReadsStale(memory.New()), []string{"servers: the next server reads every write"}},
		{"login in several steps", broken.RenewsInSteps(memory.New()), []string{
			"a renewal can be repeated", "a second login with the old id keeps the values", "a renewal loses no update", "faults: login",
		}},
		{"one page of a list", broken.ListsFirstPageOnly(memory.New()), []string{"sessions of a user, page by page"}},
		{"the store's own clock is ahead", broken.ClockAhead(memory.New(), session.MaxClockSkew), []string{"clocks of servers differ"}},
		{"nothing is kept of a renewed session", broken.ForgetsRenewedSessions(memory.New()), []string{
			"a second login with the old id keeps the values", "faults: login",
		}},
		{"values go from user to user", broken.LeaksValuesToNextUser(memory.New()), []string{"values of one user don't reach another"}},
		{"conditions of removals are ignored", broken.IgnoresConditions(memory.New()), []string{
			"a conditional removal", "only one of several conditional removals succeeds", "servers: two tabs never pop the same value",
		}},
		{"a session's own idle timeout is ignored", broken.ExtendsByServerTimeout(memory.New()), []string{
			"an update extends by the session's own idle timeout", "a renewal sets the idle timeout",
			"a session that moves keeps its idle timeout", "servers: a remembered login keeps its limits",
		}},
		{"extensions are late", broken.ExtendsLate(memory.New()), []string{"servers: a session ends after its idle timeout, never before"}},
		{"expired sessions are served", &immortal{Store: memory.New()}, []string{"expiry is checked by the reader"}},
		{"an update extends beyond the absolute expiry", &endless{Store: memory.New()}, []string{"an update extends, up to the absolute expiry"}},
		{"the end doesn't return the last state", &forgetful{Store: memory.New()}, []string{"no update is applied after the end", "a session that moves is returned again"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range test.want {
				if err := findCase(t, name).Run(t.Context(), test.store); err == nil {
					t.Errorf("%q passed, want a failure", name)
				} else {
					t.Log(name, "→", err)
				}
			}
		})
	}
}

// Some defects show only when the server of the store fails.
func TestStoresBrokenUnderFaultsAreDetected(t *testing.T) {
	for _, test := range []struct {
		name, operation string
		wrap            func(session.Store) session.Store
	}{
		{"a lost reply is taken for a success", "change", broken.IgnoresErrors},
		{"an update is repeated", "change", broken.RetriesUpdates},
		{"login in several steps", "login", broken.RenewsInSteps},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := sessiontest.FaultsBeneath(t.Context(), test.operation, memory.New(), test.wrap); err == nil {
				t.Error("no failure was detected")
			} else {
				t.Log(err)
			}
			correct := func(s session.Store) session.Store { return s }
			if err := sessiontest.FaultsBeneath(t.Context(), test.operation, memory.New(), correct); err != nil {
				t.Error("the store without a defect:", err)
			}
		})
	}
}

func findCase(t *testing.T, name string) sessiontest.Case {
	for _, c := range sessiontest.AllCases() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no case %q", name)
	panic("unreachable")
}

// An immortal returns expired sessions.
type immortal struct{ *memory.Store }

func (s *immortal) Load(ctx context.Context, id session.ID, _ time.Time) (session.Record, error) {
	return s.Store.Load(ctx, id, time.Time{})
}

// An endless ends sessions an hour after their absolute expiry.
type endless struct{ *memory.Store }

func (s *endless) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	return s.Store.Load(ctx, id, now.Add(-time.Hour))
}

// A forgetful does not return the last values of a session when it ends.
type forgetful struct{ *memory.Store }

func (s *forgetful) End(ctx context.Context, id session.ID, options session.EndOptions) (session.Record, error) {
	record, err := s.Store.End(ctx, id, options)
	record.Values = nil
	return record, err
}

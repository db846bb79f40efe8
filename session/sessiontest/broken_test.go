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

// The checks must find what popular libraries do wrong: each of these stores breaks one promise.
func TestBrokenStoresAreFound(t *testing.T) {
	tests := []struct {
		name  string
		store session.Store
		want  []string // checks that must fail
	}{
		{"writes the whole session back", broken.WriteBack(memory.New()), []string{
			"every addition counts", "changes of different keys all survive", "servers: every acknowledged visit counts",
		}},
		{"an update recreates what was ended", broken.Recreate(memory.New()), []string{
			"an ended session stays ended", "servers: logout is final for requests in flight",
		}},
		{"reads are stale", broken.Stale(memory.New()), []string{"servers: each write is read on the next server"}},
		{"login in several steps", broken.Split(memory.New()), []string{
			"a renewal can be repeated", "a second login with the old id keeps the values", "a renewal loses no update", "faults: login",
		}},
		{"one page of a list", broken.FirstPage(memory.New()), []string{"sessions of a user, page by page"}},
		{"the store's own clock is ahead", broken.Ahead(memory.New(), session.MaxClockSkew), []string{"clocks of servers differ"}},
		{"nothing is kept of a renewed session", broken.Oblivious(memory.New()), []string{
			"a second login with the old id keeps the values", "faults: login",
		}},
		{"values go from user to user", broken.Indiscreet(memory.New()), []string{"values of one user don't reach another"}},
		{"expired sessions are served", &immortal{Store: memory.New()}, []string{"expiry is checked by the reader"}},
		{"an update extends beyond the absolute expiry", &endless{Store: memory.New()}, []string{"an update extends, up to the absolute expiry"}},
		{"the end doesn't return the last state", &forgetful{Store: memory.New()}, []string{"no update outlives the end", "a session that moves is returned again"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, name := range test.want {
				if err := check(t, name).Run(t.Context(), test.store); err == nil {
					t.Errorf("%q found nothing", name)
				} else {
					t.Log(name, "→", err)
				}
			}
		})
	}
}

// Some are wrong only when the server behind the store fails.
func TestStoresThatAreBrokenUnderFaultsAreFound(t *testing.T) {
	for _, test := range []struct {
		name, operation string
		wrap            func(session.Store) session.Store
	}{
		{"a lost reply is taken for a success", "change", broken.Swallow},
		{"an update is repeated", "change", broken.Repeat},
		{"login in several steps", "login", broken.Split},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := sessiontest.FaultsBeneath(t.Context(), test.operation, memory.New(), test.wrap); err == nil {
				t.Error("nothing was found")
			} else {
				t.Log(err)
			}
			sound := func(s session.Store) session.Store { return s }
			if err := sessiontest.FaultsBeneath(t.Context(), test.operation, memory.New(), sound); err != nil {
				t.Error("the sound store:", err)
			}
		})
	}
}

func check(t *testing.T, name string) sessiontest.Check {
	for _, check := range sessiontest.AllChecks() {
		if check.Name == name {
			return check
		}
	}
	t.Fatalf("there is no check %q", name)
	panic("unreachable")
}

// immortal relies on something else to delete what has expired.
type immortal struct{ *memory.Store }

func (s *immortal) Load(ctx context.Context, id session.ID, _ time.Time) (session.Record, error) {
	return s.Store.Load(ctx, id, time.Time{})
}

// endless moves the absolute expiry along.
type endless struct{ *memory.Store }

func (s *endless) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	return s.Store.Load(ctx, id, now.Add(-time.Hour))
}

// forgetful ends a session without saying what was in it.
type forgetful struct{ *memory.Store }

func (s *forgetful) End(ctx context.Context, id session.ID, options session.EndOptions) (session.Record, error) {
	record, err := s.Store.End(ctx, id, options)
	record.Values = nil
	return record, err
}

package sessiontest_test

import (
	"context"
	"testing"
	"time"

	"stateless-servers/app/session"
	"stateless-servers/app/session/memory"
	"stateless-servers/app/session/sessiontest"
	"stateless-servers/app/session/sessiontest/broken"
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

func check(t *testing.T, name string) sessiontest.Check {
	for _, check := range sessiontest.Checks() {
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

func (s *forgetful) End(ctx context.Context, id session.ID, ending session.Ending) (session.Record, error) {
	record, err := s.Store.End(ctx, id, ending)
	record.Values = nil
	return record, err
}

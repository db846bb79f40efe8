package sessiontest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"stateless-servers/app/session"
	"stateless-servers/app/session/memory"
	"stateless-servers/app/session/sessiontest"
)

// The checks must find what popular libraries do wrong: each of these stores breaks one promise.
func TestBrokenStoresAreFound(t *testing.T) {
	tests := []struct {
		name  string
		store session.Store
		want  []string // checks that must fail
	}{
		{"writes the whole session back", &writeBack{Store: memory.New()}, []string{
			"every addition counts", "changes of different keys all survive", "servers: every acknowledged visit counts",
		}},
		{"an update recreates what was ended", &recreates{Store: memory.New()}, []string{
			"an ended session stays ended", "servers: logout is final for requests in flight",
		}},
		{"reads are stale", &stale{Store: memory.New()}, []string{"servers: each write is read on the next server"}},
		{"expired sessions are served", &immortal{Store: memory.New()}, []string{"expiry is checked by the reader"}},
		{"an update extends beyond the absolute expiry", &endless{Store: memory.New()}, []string{"an update extends, up to the absolute expiry"}},
		{"the end doesn't return the last state", &forgetful{Store: memory.New()}, []string{"servers: a login loses nothing"}},
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

// writeBack reads, changes and writes the whole session, as blob stores do.
type writeBack struct {
	*memory.Store
	mu   sync.Mutex
	blob map[session.ID]map[string]string
}

func (s *writeBack) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	record, err := s.Load(ctx, id, u.Now)
	if err != nil {
		return record, err
	}
	time.Sleep(time.Millisecond)
	if record.Values, err = session.Apply(record.Values, u.Changes); err != nil {
		return record, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blob == nil {
		s.blob = map[session.ID]map[string]string{}
	}
	s.blob[id] = record.Values
	return record, nil
}

func (s *writeBack) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	record, err := s.Store.Load(ctx, id, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	if blob, ok := s.blob[id]; ok && err == nil {
		record.Values = blob
	}
	return record, err
}

// recreates stores what it's given, whether the session still lives or not.
type recreates struct{ *memory.Store }

func (s *recreates) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	record, err := s.Store.Update(ctx, id, u)
	if err == nil {
		return record, nil
	}
	values, err := session.Apply(nil, u.Changes)
	return session.Record{Values: values, User: "ghost", Created: u.Now, Expires: u.IdleExpires, IdleExpires: u.IdleExpires}, err
}

// stale reads what was true before the last update, as a lagging replica does.
type stale struct {
	*memory.Store
	mu     sync.Mutex
	before map[session.ID]session.Record
}

func (s *stale) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	before, err := s.Store.Load(ctx, id, u.Now)
	if err != nil {
		return before, err
	}
	s.mu.Lock()
	if s.before == nil {
		s.before = map[session.ID]session.Record{}
	}
	s.before[id] = before
	s.mu.Unlock()
	return s.Store.Update(ctx, id, u)
}

func (s *stale) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	s.mu.Lock()
	before, ok := s.before[id]
	s.mu.Unlock()
	if ok {
		return before, nil
	}
	return s.Store.Load(ctx, id, now)
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

func (s *forgetful) End(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	record, err := s.Store.End(ctx, id, now)
	record.Values = nil
	return record, err
}

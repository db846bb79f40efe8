package sessiontest

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"stateless-servers/session"
)

// NewID returns a new random id.
func NewID() (id session.ID) {
	rand.Read(id[:])
	return id
}

// NewRecord returns an anonymous session that starts now, with an idle timeout of 10 minutes and a lifetime of an hour. Times are
// truncated to a second, the precision of the least precise store.
func NewRecord(values map[string]string) session.Record {
	now := time.Now().Truncate(time.Second)
	return session.Record{
		Values: values, UserAgent: "sessiontest",
		Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(10 * time.Minute),
	}
}

// Change returns an update at the time of the session's start.
func Change(record session.Record, changes ...session.Change) session.Update {
	return session.Update{Now: record.Created, IdleExpires: record.IdleExpires, Changes: changes}
}

// Set returns the change that sets a key to a value.
func Set(key, value string) session.Change {
	return session.Change{Op: session.OpSet, Key: key, Value: value}
}

// Add returns the change that adds n to a counter.
func Add(key string, n int64) session.Change {
	return session.Change{Op: session.OpAdd, Key: key, N: n}
}

// Create creates a session without values in the store.
func Create(t testing.TB, store session.Store) (session.ID, session.Record) {
	t.Helper()
	id, record := NewID(), NewRecord(nil)
	if err := store.Create(t.Context(), id, record); err != nil {
		t.Fatal("create:", err)
	}
	return id, record
}

// Short returns a context with a time limit for one operation of a store that is paused or gone.
func Short(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

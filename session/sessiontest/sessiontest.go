// Package sessiontest checks that a session.Store keeps its contract and every promise it declares, and breaks those that
// it doesn't. Whoever writes a store runs it against the real server:
//
//	func TestStore(t *testing.T) { sessiontest.Run(t, mystore.New(…)) }
//
//	func TestServers(t *testing.T) {
//		sessiontest.RunServers(t, func(o session.Options) (*session.Manager, error) {
//			return session.New(mystore.New(…), o)
//		})
//	}
package sessiontest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"stateless-servers/session"
)

// A Check is one thing that a store must keep.
type Check struct {
	Name string
	// Promised reports whether a store declares that it keeps this; nil when every store must.
	Promised func(session.Promises) bool
	// Run returns how the store fails, nil if it doesn't. The store may hold other sessions.
	Run func(ctx context.Context, store session.Store) error
}

// Checks returns all checks of one store, the simplest first: of its calls, then of two servers that share it.
func Checks() []Check {
	checks := slices.Concat(contractChecks(), promiseChecks(), renewalChecks(), userChecks())
	for _, check := range ServerChecks() {
		checks = append(checks, Check{
			Name: check.Name,
			Promised: func(p session.Promises) bool {
				p.Shared = true // they do share this one
				return check.Promised(p)
			},
			Run: func(ctx context.Context, store session.Store) error {
				return check.Run(ctx, func(o session.Options) (*session.Manager, error) { return session.New(store, o) })
			},
		})
	}
	return checks
}

// maxTime bounds one check.
const maxTime = time.Minute

// Run runs every check that the store's promises call for, each as a subtest. See RunFaults for the rest.
func Run(t *testing.T, store session.Store) { runChecks(t, store, Checks()) }

func runChecks(t *testing.T, store session.Store, checks []Check) {
	for _, check := range checks {
		if check.Promised != nil && !check.Promised(store.Promises()) {
			continue
		}
		t.Run(check.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), maxTime)
			defer cancel()
			if err := check.Run(ctx, store); err != nil {
				t.Error(err)
			}
		})
	}
}

// newID returns the id of no session yet.
func newID() (id session.ID) {
	rand.Read(id[:])
	return id
}

// newRecord returns a session that starts now, to the second as the coarsest store keeps time.
func newRecord(values map[string]string) session.Record {
	now := time.Now().Truncate(time.Second)
	return session.Record{
		Values: values, UserAgent: "sessiontest",
		Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(10 * time.Minute),
	}
}

// change is an update at the time of the session's start.
func change(record session.Record, changes ...session.Change) session.Update {
	return session.Update{Now: record.Created, IdleExpires: record.IdleExpires, Changes: changes}
}

func set(key, value string) session.Change {
	return session.Change{Op: session.OpSet, Key: key, Value: value}
}
func remove(key string) session.Change { return session.Change{Op: session.OpRemove, Key: key} }
func add(key string, n int64) session.Change {
	return session.Change{Op: session.OpAdd, Key: key, N: n}
}

// created stores a new session.
func created(ctx context.Context, store session.Store, values map[string]string) (session.ID, session.Record, error) {
	id, record := newID(), newRecord(values)
	if err := store.Create(ctx, id, record); err != nil {
		return id, record, fmt.Errorf("create: %w", err)
	}
	return id, record, nil
}

// expectValues checks what a call returned.
func expectValues(call string, got session.Record, err error, want map[string]string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", call, err)
	}
	if !maps.Equal(got.Values, want) {
		return fmt.Errorf("%s: got %v, want %v", call, got.Values, want)
	}
	return nil
}

// expectError checks that a call failed as it must.
func expectError(call string, got, want error) error {
	if !errors.Is(got, want) {
		return fmt.Errorf("%s: got %v, want %v", call, got, want)
	}
	return nil
}

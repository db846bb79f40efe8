// Package broken provides session stores with deliberate defects that are common in session libraries. Each function wraps a
// correct store and adds one defect. A tool that checks stores must detect each of them.
package broken

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"stateless-servers/session"
)

// WritesWholeSession returns a store that reads a session, changes it, and writes the whole session back, as stores of serialized
// sessions do. It loses concurrent updates.
func WritesWholeSession(store session.Store) session.Store { return wholeWriter{store} }

// RevivesEndedSessions returns a store whose Update creates a session that has ended, as a plain "set" does.
func RevivesEndedSessions(store session.Store) session.Store {
	return &reviver{Store: store, revived: map[session.ID]session.Record{}}
}

// ReadsStale returns a store whose Load returns the state before the last update, as a lagging replica or a cache does.
func ReadsStale(store session.Store) session.Store {
	return &staleReader{Store: store, before: map[session.ID]session.Record{}}
}

// RetriesUpdates returns a store that sends an update again when it gets no reply, as clients with automatic retries do.
// Additions then count twice. The defect shows only under faults.
func RetriesUpdates(store session.Store) session.Store { return retrier{store} }

type wholeWriter struct{ session.Store }

// RenewsInSteps returns a store that renews a session in several steps, and ends the new session if the last step fails. Libraries
// do so that copy a session and then delete the old one. A lost reply destroys both sessions.
func RenewsInSteps(store session.Store) session.Store { return stepRenewer{store} }

// IgnoresErrors returns a store that reports success when an update gets no reply, as libraries do that ignore the error of a
// save. The defect shows only under faults.
func IgnoresErrors(store session.Store) session.Store { return errorIgnorer{store} }

// ListsFirstPageOnly returns a store that lists only the first page of a user's sessions.
func ListsFirstPageOnly(store session.UserStore) session.UserStore { return firstPageLister{store} }

// ClockAhead returns a store that loads sessions by a clock that is ahead of the caller's by the given duration.
func ClockAhead(store session.Store, by time.Duration) session.Store { return fastClock{store, by} }

// ForgetsRenewedSessions returns a store that keeps no values of a renewed session for a repeated login.
func ForgetsRenewedSessions(store session.Store) session.Store { return renewalForgetter{store} }

// LeaksValuesToNextUser returns a store that keeps a session's values when another user logs in.
func LeaksValuesToNextUser(store session.Store) session.Store { return valueLeaker{store} }

// IgnoresConditions returns a store that removes a key even if the condition of the removal is false. Two tabs then pop the same
// value.
func IgnoresConditions(store session.Store) session.Store { return conditionIgnorer{store} }

// ExtendsByServerTimeout returns a store that extends each session by the server's idle timeout, even if the session has its own.
func ExtendsByServerTimeout(store session.Store) session.Store { return serverTimeout{store} }

// ExtendsLate returns a store that ignores an extension while more than half of the time that it would give is left. Sessions then
// end before their idle timeout.
func ExtendsLate(store session.Store) session.Store { return lateExtender{store} }

type lateExtender struct{ session.Store }

func (s lateExtender) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	if len(u.Changes) == 0 {
		record, err := s.Load(ctx, id, u.Now)
		if err != nil || record.IdleExpires.Sub(u.Now) > u.Extend(record).IdleExpires.Sub(u.Now)/2 {
			return record, err
		}
	}
	return s.Store.Update(ctx, id, u)
}

type conditionIgnorer struct{ session.Store }

func (s conditionIgnorer) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	u.Changes = slices.Clone(u.Changes)
	for i := range u.Changes {
		if u.Changes[i].Op == session.OpRemove {
			u.Changes[i].Value = ""
		}
	}
	return s.Store.Update(ctx, id, u)
}

type serverTimeout struct{ session.Store }

func (s serverTimeout) Create(ctx context.Context, id session.ID, record session.Record) error {
	record.IdleTimeout = 0
	return s.Store.Create(ctx, id, record)
}

func (s serverTimeout) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	r.Record.IdleTimeout = 0
	return s.Store.Renew(ctx, r)
}

type stepRenewer struct{ session.Store }

func (s stepRenewer) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	old, err := s.Load(ctx, r.Old, r.Now)
	if err != nil {
		return session.Record{}, err
	}
	record := r.Renewed(old)
	if err := s.Create(ctx, r.New, record); err != nil {
		return session.Record{}, err
	}
	time.Sleep(overlap)
	if _, err := s.End(ctx, r.Old, session.EndOptions{Now: r.Now}); err != nil {
		s.End(ctx, r.New, session.EndOptions{Now: r.Now})
		return session.Record{}, err
	}
	return record, nil
}

type errorIgnorer struct{ session.Store }

func (s errorIgnorer) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	record, err := s.Store.Update(ctx, id, u)
	for _, reply := range []error{nil, session.ErrNotFound, session.ErrEnded, session.ErrTooLarge, session.ErrCounter, session.ErrChanged} {
		if errors.Is(err, reply) {
			return record, err
		}
	}
	return session.Record{Created: u.Now, Expires: u.IdleExpires, IdleExpires: u.IdleExpires}, nil
}

type firstPageLister struct{ session.UserStore }

func (s firstPageLister) UserSessions(ctx context.Context, user string, query session.PageQuery) (session.Page, error) {
	page, err := s.UserStore.UserSessions(ctx, user, query)
	page.Next = ""
	return page, err
}

type fastClock struct {
	session.Store
	by time.Duration
}

func (s fastClock) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	return s.Store.Load(ctx, id, now.Add(s.by))
}

type renewalForgetter struct{ session.Store }

func (s renewalForgetter) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	r.AllowRenewed = false
	return s.Store.Renew(ctx, r)
}

type valueLeaker struct{ session.Store }

func (s valueLeaker) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	r.KeepValues = true
	return s.Store.Renew(ctx, r)
}

// overlap is the time between reading and writing, long enough for another request to come between.
const overlap = time.Millisecond

func (s wholeWriter) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	record, err := s.Load(ctx, id, u.Now)
	if err != nil {
		return record, err
	}
	values, err := session.Apply(record.Values, u.Changes)
	if err != nil {
		return session.Record{}, err
	}
	time.Sleep(overlap)
	if record, err = s.Load(ctx, id, u.Now); err != nil {
		return record, err
	}
	u.Changes = nil // store the whole session, and overwrite concurrent changes
	for key := range record.Values {
		if _, kept := values[key]; !kept {
			u.Changes = append(u.Changes, session.Change{Op: session.OpRemove, Key: key})
		}
	}
	for key, value := range values {
		u.Changes = append(u.Changes, session.Change{Op: session.OpSet, Key: key, Value: value})
	}
	return s.Store.Update(ctx, id, u)
}

type reviver struct {
	session.Store
	mu      sync.Mutex
	revived map[session.ID]session.Record
}

func (s *reviver) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	record, err := s.Store.Update(ctx, id, u)
	if !errors.Is(err, session.ErrEnded) && !errors.Is(err, session.ErrNotFound) {
		return record, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	values, err := session.Apply(s.revived[id].Values, u.Changes)
	if err != nil {
		return session.Record{}, err
	}
	record = session.Record{Values: values, User: "ghost", Created: u.Now, Expires: u.IdleExpires, IdleExpires: u.IdleExpires}
	s.revived[id] = record
	return record, nil
}

func (s *reviver) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	s.mu.Lock()
	record := s.revived[id]
	s.mu.Unlock()
	if record.Live(now) {
		return record, nil
	}
	return s.Store.Load(ctx, id, now)
}

type staleReader struct {
	session.Store
	mu     sync.Mutex
	before map[session.ID]session.Record
}

func (s *staleReader) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	before, err := s.Store.Load(ctx, id, u.Now)
	if err != nil {
		return before, err
	}
	s.mu.Lock()
	s.before[id] = before
	s.mu.Unlock()
	return s.Store.Update(ctx, id, u)
}

func (s *staleReader) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	s.mu.Lock()
	before, updated := s.before[id]
	s.mu.Unlock()
	if updated {
		return before, nil
	}
	return s.Store.Load(ctx, id, now)
}

type retrier struct{ session.Store }

func (s retrier) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	record, err := s.Store.Update(ctx, id, u)
	for _, reply := range []error{nil, session.ErrNotFound, session.ErrEnded, session.ErrTooLarge, session.ErrCounter, session.ErrChanged} {
		if errors.Is(err, reply) {
			return record, err
		}
	}
	again, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return s.Store.Update(again, id, u)
}

// Package broken has session stores that are wrong on purpose, each in one way in which session libraries commonly are.
// Whatever checks stores must find them, or it checks nothing.
package broken

import (
	"context"
	"errors"
	"sync"
	"time"

	"stateless-servers/session"
)

// WriteBack returns a store that reads a session, changes it and stores all of it, as stores of serialized sessions do:
// it loses updates.
func WriteBack(store session.Store) session.Store { return writeBack{store} }

// Recreate returns a store whose updates bring sessions back that have ended, as a plain "set" does.
func Recreate(store session.Store) session.Store {
	return &recreating{Store: store, ghosts: map[session.ID]session.Record{}}
}

// Stale returns a store that reads what was true before the last update, as a lagging replica or a cache does.
func Stale(store session.Store) session.Store {
	return &stale{Store: store, before: map[session.ID]session.Record{}}
}

// Repeat returns a store that sends an update again when it got no answer, as clients that retry by themselves do:
// additions count twice. It takes a fault to find that.
func Repeat(store session.Store) session.Store { return repeating{store} }

type writeBack struct{ session.Store }

// Split returns a store that renews a session in several steps, and takes the new one back when the last of them fails, as
// libraries do that copy a session, delete the old one, and know nothing of lost replies.
func Split(store session.Store) session.Store { return split{store} }

// Swallow returns a store that takes no answer for a success, as libraries do that ignore the error of a save.
func Swallow(store session.Store) session.Store { return swallowing{store} }

// FirstPage returns a store that lists one page of a user's sessions, and no more.
func FirstPage(store session.UserStore) session.UserStore { return firstPage{store} }

// Ahead returns a store that goes by its own clock, which is ahead, where callers tell it the time.
func Ahead(store session.Store, by time.Duration) session.Store { return ahead{store, by} }

// Oblivious returns a store that keeps nothing of a renewed session.
func Oblivious(store session.Store) session.Store { return oblivious{store} }

// Indiscreet returns a store that gives the values of one user to the next.
func Indiscreet(store session.Store) session.Store { return indiscreet{store} }

type split struct{ session.Store }

func (s split) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
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

type swallowing struct{ session.Store }

func (s swallowing) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	record, err := s.Store.Update(ctx, id, u)
	for _, answer := range []error{nil, session.ErrNotFound, session.ErrEnded, session.ErrTooLarge, session.ErrCounter} {
		if errors.Is(err, answer) {
			return record, err
		}
	}
	return session.Record{Created: u.Now, Expires: u.IdleExpires, IdleExpires: u.IdleExpires}, nil
}

type firstPage struct{ session.UserStore }

func (s firstPage) UserSessions(ctx context.Context, user string, query session.PageQuery) (session.Page, error) {
	page, err := s.UserStore.UserSessions(ctx, user, query)
	page.Next = ""
	return page, err
}

type ahead struct {
	session.Store
	by time.Duration
}

func (s ahead) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	return s.Store.Load(ctx, id, now.Add(s.by))
}

type oblivious struct{ session.Store }

func (s oblivious) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	r.AllowRenewed = false
	return s.Store.Renew(ctx, r)
}

type indiscreet struct{ session.Store }

func (s indiscreet) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	r.KeepValues = true
	return s.Store.Renew(ctx, r)
}

// overlap is long enough for another request to come between reading and writing.
const overlap = time.Millisecond

func (s writeBack) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
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
	u.Changes = nil // All of it is stored: what others added meanwhile goes, too.
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

type recreating struct {
	session.Store
	mu     sync.Mutex
	ghosts map[session.ID]session.Record
}

func (s *recreating) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	record, err := s.Store.Update(ctx, id, u)
	if !errors.Is(err, session.ErrEnded) && !errors.Is(err, session.ErrNotFound) {
		return record, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	values, err := session.Apply(s.ghosts[id].Values, u.Changes)
	if err != nil {
		return session.Record{}, err
	}
	record = session.Record{Values: values, User: "ghost", Created: u.Now, Expires: u.IdleExpires, IdleExpires: u.IdleExpires}
	s.ghosts[id] = record
	return record, nil
}

func (s *recreating) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	s.mu.Lock()
	ghost := s.ghosts[id]
	s.mu.Unlock()
	if ghost.Live(now) {
		return ghost, nil
	}
	return s.Store.Load(ctx, id, now)
}

type stale struct {
	session.Store
	mu     sync.Mutex
	before map[session.ID]session.Record
}

func (s *stale) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	before, err := s.Store.Load(ctx, id, u.Now)
	if err != nil {
		return before, err
	}
	s.mu.Lock()
	s.before[id] = before
	s.mu.Unlock()
	return s.Store.Update(ctx, id, u)
}

func (s *stale) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	s.mu.Lock()
	before, updated := s.before[id]
	s.mu.Unlock()
	if updated {
		return before, nil
	}
	return s.Store.Load(ctx, id, now)
}

type repeating struct{ session.Store }

func (s repeating) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	record, err := s.Store.Update(ctx, id, u)
	for _, answer := range []error{nil, session.ErrNotFound, session.ErrEnded, session.ErrTooLarge, session.ErrCounter} {
		if errors.Is(err, answer) {
			return record, err
		}
	}
	again, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return s.Store.Update(again, id, u)
}
